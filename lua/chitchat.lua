-- SPDX-License-Identifier: GPL-2.0-or-later
--
-- Chitchat Gossip: a dissector for Wireshark and tshark, 4.0 and newer.
--
-- Written by `scapy-chitchat wireshark generate` of scapy-chitchat 0.1.0.
-- Do not edit: change the Scapy layers, or the hand-written parts, and write it again.

---------------------------------------------------------------------------------------------------------------------------
-- The protocol's fields (from the Scapy layers behind Chitchat)
---------------------------------------------------------------------------------------------------------------------------

local PROTOCOL = Proto("Chitchat", "Chitchat Gossip")
local HAS_STREAMS = true
local DEFAULT_PORTS = "7280,7282,10000"
local HEADER_SIZE = 4
local DIGEST_NEAR_LIMIT = 58956
local ANSWERS = { { 0, 3 }, { 0, 1 }, { 1, 2 } }

-- What values are called.
local NAMES = {
  version = { [0] = "V0", [1] = "V1" },
  type = { [0] = "Syn", [1] = "SynAck", [2] = "Ack", [3] = "BadCluster" },
  block_type = { [0] = "NoMoreBlocks", [1] = "Compressed", [2] = "Uncompressed" },
  node_op_tag = { [0] = "Node", [1] = "KeyValue", [2] = "SetMaxVersion" },
  key_value_op_status = { [0] = "Set", [1] = "Delete", [2] = "DeleteAfterTtl" },
}

local F = {
  magic = ProtoField.uint16("chitchat.magic", "Magic", base.HEX),
  version = ProtoField.uint8("chitchat.version", "Version", base.DEC, NAMES.version),
  type = ProtoField.uint8("chitchat.type", "Type", base.DEC, NAMES.type),
  digest_count = ProtoField.uint16("chitchat.digest_count", "Digest count"),
  digest_blocks = ProtoField.none("chitchat.digest_blocks", "Digest blocks"),
  digest = ProtoField.none("chitchat.digest", "Digest"),
  cluster_id_len = ProtoField.uint16("chitchat.cluster_id_len", "Cluster ID len"),
  cluster_id = ProtoField.string("chitchat.cluster_id", "Cluster ID"),
  delta_blocks = ProtoField.none("chitchat.delta_blocks", "Delta blocks"),
  delta = ProtoField.none("chitchat.delta", "Delta"),
  block = ProtoField.none("chitchat.block", "Block"),
  block_type = ProtoField.uint8("chitchat.block.type", "Type", base.DEC, NAMES.block_type),
  block_len = ProtoField.uint16("chitchat.block.len", "Len"),
  block_data = ProtoField.bytes("chitchat.block.data", "Data"),
  node_digest = ProtoField.none("chitchat.node_digest", "NodeDigest"),
  node_digest_node_id_len = ProtoField.uint16("chitchat.node_digest.node_id_len", "Node ID len"),
  node_digest_node_id = ProtoField.string("chitchat.node_digest.node_id", "Node ID"),
  node_digest_generation_id = ProtoField.uint64("chitchat.node_digest.generation_id", "Generation ID"),
  node_digest_ip_version = ProtoField.uint8("chitchat.node_digest.ip_version", "IP version"),
  node_digest_ip = ProtoField.ipv4("chitchat.node_digest.ip", "IP"),
  node_digest_ipv6 = ProtoField.ipv6("chitchat.node_digest.ipv6", "IP"),
  node_digest_port = ProtoField.uint16("chitchat.node_digest.port", "Port"),
  node_digest_heartbeat = ProtoField.uint64("chitchat.node_digest.heartbeat", "Heartbeat"),
  node_digest_last_gc_version = ProtoField.uint64("chitchat.node_digest.last_gc_version", "Last GC version"),
  node_digest_max_version = ProtoField.uint64("chitchat.node_digest.max_version", "Max version"),
  node_op = ProtoField.none("chitchat.node_op", "NodeOp"),
  node_op_tag = ProtoField.uint8("chitchat.node_op.tag", "Tag", base.DEC, NAMES.node_op_tag),
  node_op_node_id_len = ProtoField.uint16("chitchat.node_op.node_id_len", "Node ID len"),
  node_op_node_id = ProtoField.string("chitchat.node_op.node_id", "Node ID"),
  node_op_generation_id = ProtoField.uint64("chitchat.node_op.generation_id", "Generation ID"),
  node_op_ip_version = ProtoField.uint8("chitchat.node_op.ip_version", "IP version"),
  node_op_ip = ProtoField.ipv4("chitchat.node_op.ip", "IP"),
  node_op_ipv6 = ProtoField.ipv6("chitchat.node_op.ipv6", "IP"),
  node_op_port = ProtoField.uint16("chitchat.node_op.port", "Port"),
  node_op_last_gc_version = ProtoField.uint64("chitchat.node_op.last_gc_version", "Last GC version"),
  node_op_from_version_excluded = ProtoField.uint64("chitchat.node_op.from_version_excluded", "From version excluded"),
  key_value_op = ProtoField.none("chitchat.key_value_op", "KeyValueOp"),
  key_value_op_tag = ProtoField.uint8("chitchat.key_value_op.tag", "Tag", base.DEC, NAMES.node_op_tag),
  key_value_op_key_len = ProtoField.uint16("chitchat.key_value_op.key_len", "Key len"),
  key_value_op_key = ProtoField.string("chitchat.key_value_op.key", "Key"),
  key_value_op_value_len = ProtoField.uint16("chitchat.key_value_op.value_len", "Value len"),
  key_value_op_value = ProtoField.string("chitchat.key_value_op.value", "Value"),
  key_value_op_version = ProtoField.uint64("chitchat.key_value_op.version", "Version"),
  key_value_op_status = ProtoField.uint8("chitchat.key_value_op.status", "Status", base.DEC, NAMES.key_value_op_status),
  set_max_version_op = ProtoField.none("chitchat.set_max_version_op", "SetMaxVersionOp"),
  set_max_version_op_tag = ProtoField.uint8("chitchat.set_max_version_op.tag", "Tag", base.DEC, NAMES.node_op_tag),
  set_max_version_op_max_version = ProtoField.uint64("chitchat.set_max_version_op.max_version", "Max version"),
  malformed_load = ProtoField.bytes("chitchat.malformed.load", "Bytes that cannot be read"),
  trailing_data = ProtoField.bytes("chitchat.trailing_data", "Bytes behind the message"),
  finding_detail = ProtoField.string("chitchat.finding.detail", "Detail"),
  response_in = ProtoField.framenum("chitchat.response_in", "Response in", base.NONE, frametype.RESPONSE),
  response_to = ProtoField.framenum("chitchat.response_to", "Response to", base.NONE, frametype.REQUEST),
  response_time = ProtoField.relative_time("chitchat.response_time", "Response time"),
}
PROTOCOL.fields = F

-- What there is to say of a message: the same findings, by the same names, as everywhere else.
local EXPERTS = {}
local function finding(code, severity, text)
  local name = "chitchat." .. string.gsub(code, "-", "_")
  local is_error = severity == "ERROR"
  local group = is_error and expert.group.MALFORMED or expert.group.PROTOCOL
  local registered = ProtoExpert.new(name, text, group, expert.severity[severity])
  EXPERTS[code] = { expert = registered, is_error = is_error }
end
finding("too-short", "ERROR", "Fewer bytes than a header has: a node drops the message.")
finding("bad-magic", "ERROR", "Not the magic number of chitchat: a node drops the message.")
finding("bad-version", "ERROR", "A protocol version that no node up to 0.13 knows: it drops the message.")
finding("bad-type", "ERROR", "A message type that no node knows: it drops the message.")
finding("string-short", "ERROR", "A string is announced longer than what is left: a node drops the message.")
finding("bad-utf8", "ERROR", "A string is no UTF-8: a node drops the message.")
finding("bad-ip-version", "ERROR", "An address of neither IPv4 nor IPv6: a node drops the message.")
finding("field-short", "ERROR", "The message or the stream ends within a field: a node drops the message.")
finding("bad-block-type", "ERROR", "A block of a type that no node knows: it drops the message.")
finding("block-short", "ERROR", "A block is announced longer than what is left: a node drops the message.")
finding("bad-zstd", "ERROR", "A block cannot be decompressed into 65,535 bytes: a node drops the message.")
finding("bad-tag", "ERROR", "An operation of a kind that no node knows: it drops the message.")
finding("bad-status", "ERROR", "A deletion status that no node knows: it drops the message.")
finding("no-node", "ERROR", "An operation before any Node operation, so of no node: a node drops the message.")
finding("duplicate-node", "ERROR", "Two sections of the same node in one delta: a node drops the message.")
finding("version-order", "ERROR", "The versions of a section's key-values do not rise: a node drops the message.")
finding("trailing-bytes", "WARN", "Bytes behind the message: a node ignores them.")
finding("duplicate-digest", "WARN", "A node is twice in the digest: a reader keeps the last entry.")
finding("unsorted-digest", "NOTE", "The digest is not in ascending order of identities: no node wrote it.")
finding("digest-near-limit", "WARN", "The digest nearly fills a datagram: it is never cut, and one that does not fit cannot be sent at all.")
finding("non-ascii-key", "WARN", "A key that starts with a non-ASCII character: nodes up to 0.13 panic on it and fall silent.")
finding("lowered-max-version", "WARN", "A SetMaxVersion below a version before it in its section: nodes up to 0.13 panic on it and fall silent.")
finding("reset", "NOTE", "A section from version 0 behind garbage collection: a reader whose copy is older drops it and starts over.")
finding("cut", "WARN", "The capture holds only part of the datagram (snap length): no verdict about the rest.")
finding("stream-limit", "WARN", "More decompressed data than this tool's limit, so not read on: no verdict.")
PROTOCOL.experts = (function()
  local registered = {}
  for _, each in pairs(EXPERTS) do
    registered[#registered + 1] = each.expert
  end
  return registered
end)()

---------------------------------------------------------------------------------------------------------------------------
-- zstd (zstd.lua, hand-written)
---------------------------------------------------------------------------------------------------------------------------

local zstd = (function()
  -- A decoder of Zstandard frames (RFC 8878), without dictionaries, in plain Lua 5.1 to 5.4 and LuaJIT.
  --
  -- zstd.decompress(bytes, limit) does what libzstd's ZSTD_decompressDCtx does in one shot with a destination of
  -- `limit` bytes, because that is what a chitchat node calls on a block: it takes any number of frames in a row,
  -- skippable frames among them, verifies content checksums, and gives the decompressed string, or nil and the reason
  -- of the refusal.
  --
  -- Strategy
  --
  -- Numbers. No Lua version shares its bit operators with all others, so a shift is a division by a power of two, a
  -- mask is a remainder, and the top bits of x above `unit` are (x - x % unit) / unit. All of that is exact below 2^53,
  -- whether Lua counts in doubles or in integers, so nothing here grows beyond that.
  --
  -- The backward bitstream. Entropy-coded streams are read from their last byte to their first (RFC 8878, section 4.1).
  -- A reader is three locals: `bits`, a number that holds the next `available` bits, the first to be read on top; and
  -- `position`, the next byte to take in. Reading w bits splits `bits` at POWER[available - w]; refill() adds whole
  -- bytes below. Beyond the first byte, zeros are handed out and `position` runs on below the start: one comparison at
  -- the end, unread_bits() ~= 0, finds streams that were too short as well as those that were too long.
  --
  -- Output. Matches are copied with string.sub, not byte by byte. What a frame has produced is `settled .. recent`:
  -- appending always copies the short `recent`, and the long `settled` grows only once every RECENT_SIZE bytes.
  --
  -- Bounds. Every length is compared with what is left of the input, and every output with what is left of the limit,
  -- before the bytes are read or made. A refusal is raised by refuse() and caught by the one pcall in decompress(): it
  -- is control flow, not a net for mistakes.
  --
  -- libzstd. Where it differs from the RFC, libzstd is followed; such places are marked "libzstd:".

  local zstd = {}

  local byte, char, rep, sub = string.byte, string.char, string.rep, string.sub
  local unpack = table.unpack or unpack
  local min, max = math.min, math.max

  -- Powers of two by exponent; built by doubling, so that they are integers where Lua has integers.
  local POWER = { [0] = 1 }
  for exponent = 1, 52 do
    POWER[exponent] = POWER[exponent - 1] * 2
  end

  local LARGEST_LIMIT = 65536 -- libzstd: above it, literals go through another buffer with other bounds (ZSTD_split)
  local LARGEST_BLOCK = 131072
  local RECENT_SIZE = 1024

  local function refuse(reason)
    error(reason, 0)
  end

  -- The position of the highest set bit of a number above zero.
  local function highest_bit(number)
    local position = 0
    while POWER[position + 1] <= number do
      position = position + 1
    end
    return position
  end

  local HIGHEST_BIT = {}
  for number = 1, 1023 do
    HIGHEST_BIT[number] = highest_bit(number)
  end

  -- `number` divided by 2^exponent, rounded down.
  local function shift_right(number, exponent)
    return (number - number % POWER[exponent]) / POWER[exponent]
  end

  -- A little-endian number of up to six bytes.
  local function little_endian(bytes, at, size)
    if at + size - 1 > #bytes then
      refuse("truncated")
    end
    local number = 0
    for index = at + size - 1, at, -1 do
      number = number * 256 + byte(bytes, index)
    end
    return number
  end

  ------------------------------------------------------------------------------------------------------------------------
  -- Backward bitstreams (section 4.1: "read from the end to the beginning"; the highest set bit of the last byte is the
  -- end mark)
  ------------------------------------------------------------------------------------------------------------------------

  -- Opens the stream in bytes first..last; gives bits, available, position.
  local function open_bitstream(bytes, first, last)
    local final = last >= first and byte(bytes, last) or 0
    if final == 0 then
      refuse("bitstream without an end mark")
    end
    local available = highest_bit(final)
    return final - POWER[available], available, last - 1
  end

  -- Takes in three bytes at a time until there are REFILLED bits: enough for any one thing that is read at once, and
  -- few enough for `bits` to stay below 2^53.
  local REFILLED = 26
  local function refill(bytes, first, bits, available, position)
    while available < REFILLED do
      if position - 2 >= first then
        local low, middle, high = byte(bytes, position - 2, position)
        bits = bits * 16777216 + high * 65536 + middle * 256 + low
      else
        for index = position, position - 2, -1 do
          bits = bits * 256 + (index >= first and byte(bytes, index) or 0)
        end
      end
      position = position - 3
      available = available + 24
    end
    return bits, available, position
  end

  -- Reads `width` of the bits that are there; gives them, and what is left.
  local function split(bits, available, width)
    available = available - width
    local rest = bits % POWER[available]
    return (bits - rest) / POWER[available], rest, available
  end

  -- Zero when the stream was read exactly to its start, negative when it was read beyond.
  local function unread_bits(first, available, position)
    return (position - first + 1) * 8 + available
  end

  ------------------------------------------------------------------------------------------------------------------------
  -- FSE (section 4.1)
  ------------------------------------------------------------------------------------------------------------------------

  -- Bits of the table description in first..last, which is read forwards, lowest bit first; zeros follow its end.
  local function peek_forward(bytes, first, last, position, width)
    local skipped = position % 8
    local at = first + (position - skipped) / 8
    local a, b, c, d = byte(bytes, at, min(at + 3, last))
    local number = (a or 0) + (b or 0) * 256 + (c or 0) * 65536 + (d or 0) * 16777216
    return shift_right(number % POWER[skipped + width], skipped)
  end

  -- libzstd: a description that runs over its end continues four bytes before that end. Only a malformed one does so;
  -- but it may end well, and libzstd takes it.
  local function wrap(position, size)
    if position >= size then
      return position - 32
    end
    return position
  end

  -- The two-bit codes that follow a probability of zero: how many more symbols have none.
  local function read_zero_run(bytes, first, last, position, size)
    local zeros = 0
    while peek_forward(bytes, first, last, position, 24) == 16777215 do
      zeros = zeros + 36
      position = wrap(position + 24, size)
    end
    repeat
      local code = peek_forward(bytes, first, last, position, 2)
      position = position + 2
      zeros = zeros + code
    until code < 3
    return zeros, position
  end

  -- Section 4.1.1, FSE table description. Gives the probabilities by symbol (-1: "less than one"), the number of symbols,
  -- the accuracy log, and the index of the byte after the description.
  local function read_distribution(bytes, first, last, largest_accuracy, largest_symbol)
    local size = max(last - first + 1, 8) * 8
    local accuracy = peek_forward(bytes, first, last, 0, 4) + 5
    if accuracy > largest_accuracy then
      refuse("FSE accuracy too large")
    end
    local position, remaining = 4, POWER[accuracy] + 1
    local probabilities, symbol = {}, 0
    while remaining > 1 do
      if symbol > largest_symbol then
        refuse("FSE table with too many symbols")
      end
      position = wrap(position, size)
      local width = highest_bit(remaining)
      local half = POWER[width]
      local short_values = 2 * half - 1 - remaining -- so many values take one bit less
      local value = peek_forward(bytes, first, last, position, width + 1)
      if value % half < short_values then
        value = value % half
        position = position + width
      else
        value = value < half and value or value - short_values
        position = position + width + 1
      end
      local probability = value - 1
      probabilities[symbol] = probability
      symbol = symbol + 1
      remaining = remaining - (probability < 0 and 1 or probability)
      if probability == 0 then
        local zeros
        zeros, position = read_zero_run(bytes, first, last, wrap(position, size), size)
        for _ = 1, zeros do
          probabilities[symbol] = 0
          symbol = symbol + 1
        end
      end
    end
    local next_byte = first + shift_right(position + 7, 3)
    if next_byte > last + 1 then
      refuse("FSE table truncated")
    end
    return probabilities, symbol, accuracy, next_byte
  end

  -- Section 4.1.1, "From normalized distribution to decoding tables": where each symbol's states are.
  local function spread_symbols(probabilities, symbol_count, size)
    local symbols, high = {}, size
    for symbol = 0, symbol_count - 1 do
      if probabilities[symbol] == -1 then
        high = high - 1
        symbols[high] = symbol
      end
    end
    local position, step = 0, shift_right(size, 1) + shift_right(size, 3) + 3
    for symbol = 0, symbol_count - 1 do
      for _ = 1, probabilities[symbol] do
        symbols[position] = symbol
        repeat
          position = (position + step) % size
        until position < high
      end
    end
    return symbols
  end

  -- The decoding table: for each state its symbol, how many bits to read for the next state, and what to add to them.
  local function build_fse_table(probabilities, symbol_count, accuracy)
    local size = POWER[accuracy]
    local symbols = spread_symbols(probabilities, symbol_count, size)
    local widths, bases, numbers = {}, {}, {}
    for symbol = 0, symbol_count - 1 do
      local probability = probabilities[symbol]
      numbers[symbol] = probability < 0 and 1 or probability
    end
    for state = 0, size - 1 do
      local symbol = symbols[state]
      local number = numbers[symbol]
      numbers[symbol] = number + 1
      local width = accuracy - HIGHEST_BIT[number]
      widths[state] = width
      bases[state] = number * POWER[width] - size
    end
    return { accuracy = accuracy, symbols = symbols, widths = widths, bases = bases }
  end

  -- The table of a single symbol, which takes no bits (section 3.1.1.3.2.1, RLE_Mode).
  local function build_rle_table(symbol)
    return { accuracy = 0, symbols = { [0] = symbol }, widths = { [0] = 0 }, bases = { [0] = 0 } }
  end

  ------------------------------------------------------------------------------------------------------------------------
  -- Huffman (section 4.2)
  ------------------------------------------------------------------------------------------------------------------------

  -- libzstd: the work space for the weights' table allows this highest symbol by accuracy, though no weight is above 12.
  local LARGEST_WEIGHT_SYMBOL = { [5] = 91, [6] = 11 }

  -- Section 4.2.1.2, FSE compression of Huffman weights: two states take turns until the bits run out.
  local function read_fse_weights(bytes, first, last)
    local probabilities, symbol_count, accuracy, at = read_distribution(bytes, first, last, 6, 255)
    if symbol_count - 1 > LARGEST_WEIGHT_SYMBOL[accuracy] then
      refuse("Huffman weights with too many symbols")
    end
    local fse = build_fse_table(probabilities, symbol_count, accuracy)
    local symbols, widths, bases = fse.symbols, fse.widths, fse.bases
    local bits, available, position = open_bitstream(bytes, at, last)
    local function read(width)
      if available < width then
        bits, available, position = refill(bytes, at, bits, available, position)
      end
      available = available - width
      local unit = POWER[available]
      local rest = bits % unit
      local value = (bits - rest) / unit
      bits = rest
      return value
    end
    local state, other = read(accuracy), read(accuracy)
    if unread_bits(at, available, position) < 0 then
      refuse("Huffman weights truncated")
    end
    local weights, count = {}, 0
    repeat
      if count > 253 then
        refuse("too many Huffman weights")
      end
      weights[count] = symbols[state]
      count = count + 1
      state, other = other, bases[state] + read(widths[state])
    until unread_bits(at, available, position) < 0
    weights[count] = symbols[state]
    return weights, count + 1
  end

  -- Section 4.2.1.1, Huffman tree header. Gives the weights by symbol, their number, and the index of the byte after it.
  local function read_weights(bytes, first, last)
    if first > last then
      refuse("Huffman tree truncated")
    end
    local header = byte(bytes, first)
    local size = header < 128 and header or shift_right(header - 126, 1)
    if first + size > last then
      refuse("Huffman tree truncated")
    end
    if header < 128 then
      local weights, count = read_fse_weights(bytes, first + 1, first + size)
      return weights, count, first + size + 1
    end
    local weights = {}
    for index = 1, size do
      local pair = byte(bytes, first + index)
      weights[2 * index - 2] = shift_right(pair, 4)
      weights[2 * index - 1] = pair % 16
    end
    return weights, header - 127, first + size + 1
  end

  -- Section 4.2.1: the last symbol's weight is what completes the sum to a power of two. Gives the depth of the tree.
  -- libzstd: codes of 12 bits are taken, where the RFC allows 11; two symbols at least must have the longest code.
  local function complete_weights(weights, count)
    local sum, longest_codes = 0, 0
    for symbol = 0, count - 1 do
      local weight = weights[symbol]
      if weight > 12 then
        refuse("Huffman weight too large")
      elseif weight > 0 then
        sum = sum + POWER[weight - 1]
        longest_codes = longest_codes + (weight == 1 and 1 or 0)
      end
    end
    if sum == 0 then
      refuse("Huffman tree without symbols")
    end
    local depth = highest_bit(sum) + 1
    local missing = POWER[depth] - sum
    local last_weight = highest_bit(missing) + 1
    longest_codes = longest_codes + (last_weight == 1 and 1 or 0)
    if depth > 12 or POWER[last_weight - 1] ~= missing or longest_codes < 2 or longest_codes % 2 == 1 then
      refuse("Huffman weights do not make a tree")
    end
    weights[count] = last_weight
    return depth
  end

  -- Section 4.2.1.3: the decoding table, by the next `depth` bits: the symbol, its length, and the bits that it leaves.
  local function read_huffman_table(bytes, first, last)
    local weights, count, next_byte = read_weights(bytes, first, last)
    local depth = complete_weights(weights, count)
    local by_weight = {}
    for weight = 1, depth do
      by_weight[weight] = {}
    end
    for symbol = 0, count do
      local weight = weights[symbol]
      if weight > 0 then
        local group = by_weight[weight]
        group[#group + 1] = symbol
      end
    end
    local symbols, lengths, code = {}, {}, 0
    for weight = 1, depth do
      local length, span = depth + 1 - weight, POWER[weight - 1]
      for _, symbol in ipairs(by_weight[weight]) do
        for filled = code, code + span - 1 do
          symbols[filled] = symbol
          lengths[filled] = length
        end
        code = code + span
      end
    end
    return { depth = depth, symbols = symbols, lengths = lengths }, next_byte
  end

  -- Section 4.2.2: decodes one stream into literals[from..to]; tells whether the stream was read exactly to its start.
  local function decode_huffman_stream(bytes, first, last, huffman, literals, from, to)
    if last < first or byte(bytes, last) == 0 then
      return false
    end
    local bits, available, position = open_bitstream(bytes, first, last)
    local symbols, lengths, depth = huffman.symbols, huffman.lengths, huffman.depth
    local powers, get = POWER, byte
    for index = from, to do
      if available < depth then
        if position - 4 >= first then
          local a, b, c, d, e = get(bytes, position - 4, position)
          bits = bits * 1099511627776 + e * 4294967296 + d * 16777216 + c * 65536 + b * 256 + a
          available = available + 40
          position = position - 5
        else
          bits, available, position = refill(bytes, first, bits, available, position)
        end
      end
      local unit = powers[available - depth]
      local code = (bits - bits % unit) / unit
      literals[index] = symbols[code]
      available = available - lengths[code]
      bits = bits % powers[available]
    end
    return unread_bits(first, available, position) == 0
  end

  ------------------------------------------------------------------------------------------------------------------------
  -- Huffman streams that do not end where they should
  --
  -- The RFC calls them corrupted (section 4.2.2). libzstd: its fast decoder of four streams does not look at where they
  -- end, and reads on into the bytes before, down to the jump table. What follows gives the same bytes and the same
  -- refusals as that decoder (HUF_decompress4X1/4X2_usingDTable_internal_fast), so it follows its steps. It is not
  -- reached by well-formed frames. An x86-64 processor without BMI2 does not run that decoder: a libzstd there refuses
  -- these frames, as the RFC says.
  --
  -- Positions in the streams are counted in bits, `unread`, above the lowest byte that libzstd may read, `first`.
  ------------------------------------------------------------------------------------------------------------------------

  -- libzstd: costs of building a table and of decoding 256 symbols, by sixteenths of the compression ratio, for a table
  -- of one symbol and one of two symbols a lookup; the cheaper one is chosen (HUF_selectDecoder).
  local DECODER_COSTS = {
    [0] = { 0, 0, 1, 1 }, { 0, 0, 1, 1 }, { 150, 216, 381, 119 }, { 170, 205, 514, 112 }, { 177, 199, 539, 110 },
    { 197, 194, 644, 107 }, { 221, 192, 735, 107 }, { 256, 189, 881, 106 }, { 359, 188, 1167, 109 },
    { 582, 187, 1570, 114 }, { 688, 187, 1712, 122 }, { 825, 186, 1965, 136 }, { 976, 185, 2131, 150 },
    { 1180, 186, 2070, 175 }, { 1377, 185, 1731, 202 }, { 1412, 185, 1695, 202 },
  }

  local function decodes_pairs(regenerated_size, compressed_size)
    local ratio = 15
    if compressed_size < regenerated_size then
      ratio = (compressed_size * 16 - compressed_size * 16 % regenerated_size) / regenerated_size
    end
    local costs, pages = DECODER_COSTS[ratio], shift_right(regenerated_size, 8)
    local single, pair = costs[1] + costs[2] * pages, costs[3] + costs[4] * pages
    return pair + shift_right(pair, 5) < single
  end

  -- One lookup as libzstd does it: the first symbol, its length, and the second symbol and its length if both fit into
  -- a lookup. Beyond the lowest byte come zeros; when all 64 bits of libzstd's register are used up, it starts over
  -- with its top.
  local function look_up(stream, huffman, unread)
    local window = max(huffman.depth, 11)
    local top = unread > 0 and unread or (unread - 1) % 64 + 1
    local skipped = (top - window) % 8
    local at = stream.first + (top - window - skipped) / 8
    local number = 0
    for index = at + 2, at, -1 do
      local inside = index >= stream.first and index <= stream.last
      number = number * 256 + (inside and byte(stream.bytes, index) or 0)
    end
    local code = shift_right(number, skipped) % POWER[window]
    local depth = huffman.depth
    local symbol = huffman.symbols[shift_right(code, window - depth)]
    local length = huffman.lengths[shift_right(code, window - depth)]
    if huffman.pairs then
      local second = shift_right(code * POWER[length] % POWER[window], window - depth)
      if length + huffman.lengths[second] <= window then
        return symbol, length, huffman.symbols[second], huffman.lengths[second]
      end
    end
    return symbol, length
  end

  -- Decodes by lookups until stream.at reaches `stop`, never writing beyond stream.to.
  local function decode_lookups(stream, huffman, literals, stop)
    while stream.at < stop do
      local symbol, length, second, second_length = look_up(stream, huffman, stream.unread)
      literals[stream.at] = symbol
      stream.at = stream.at + 1
      stream.unread = stream.unread - length
      if second and stream.at <= stream.to then
        literals[stream.at] = second
        stream.at = stream.at + 1
        stream.unread = stream.unread - second_length
      end
    end
  end

  -- libzstd: the decoder by pairs consumes both symbols of its last lookup, though it only needs one of them, and takes
  -- the stream if that reaches its start. Every other stream has to end exactly.
  local function decode_stream_strictly(stream, huffman, literals)
    if not huffman.pairs then
      refuse("Huffman stream does not end at its start")
    end
    decode_lookups(stream, huffman, literals, stream.to)
    if stream.at == stream.to and stream.unread >= 0 then
      local symbol, length, second, second_length = look_up(stream, huffman, stream.unread)
      literals[stream.at] = symbol
      if second and stream.unread <= length + second_length then
        return
      end
      stream.unread = stream.unread - length
    end
    if stream.unread ~= 0 then
      refuse("Huffman stream does not end at its start")
    end
  end

  -- The fast loop of libzstd: rounds of five lookups in each stream, as many at a time as are safe without further
  -- checks.
  local function run_fast_loop(streams, huffman, literals)
    local lowest, fourth = streams[1], streams[4]
    while true do
      local rounds = (lowest.loaded - lowest.loaded % 7) / 7
      for index = huffman.pairs and 1 or 4, 4 do
        local stream, most = streams[index], huffman.pairs and 10 or 5
        local room = stream.to + 1 - stream.at
        rounds = min(rounds, (room - room % most) / most)
      end
      if rounds == 0 then
        return
      end
      for index = 2, 4 do
        if streams[index].loaded < streams[index - 1].loaded then
          return
        end
      end
      local stop = fourth.at + 5 * rounds
      repeat
        for _, stream in ipairs(streams) do
          for _ = 1, 5 do
            decode_lookups(stream, huffman, literals, stream.at + 1)
          end
          stream.loaded = -shift_right(64 - stream.unread, 3)
        end
      until fourth.at >= stop
    end
  end

  -- Decodes again, like libzstd, streams of which one does not end at its start.
  local function decode_inexact_streams(streams, huffman, literals)
    if huffman.pairs == nil then
      huffman.pairs = decodes_pairs(huffman.regenerated_size, huffman.compressed_size)
    end
    local fast = #streams == 4 and huffman.depth < 12 and streams[4].at <= streams[4].to
    for _, stream in ipairs(streams) do
      fast = fast and stream.last - stream.own_first >= 7
    end
    local lowest_byte = streams[1].own_first - 6
    for _, stream in ipairs(streams) do
      local final = byte(stream.bytes, stream.last) or 0
      if not fast and (final == 0 or stream.last < stream.own_first) then
        refuse("bitstream without an end mark")
      end
      stream.first = fast and lowest_byte or stream.own_first
      stream.unread = (stream.last - stream.first) * 8 + (final == 0 and 8 or highest_bit(final))
      stream.loaded = stream.last - 7 - stream.first
    end
    if not fast then
      for _, stream in ipairs(streams) do
        decode_stream_strictly(stream, huffman, literals)
      end
      return
    end
    run_fast_loop(streams, huffman, literals)
    for _, stream in ipairs(streams) do
      if stream.first + stream.loaded < stream.own_first - 8 then
        refuse("Huffman stream read beyond its start")
      end
      decode_lookups(stream, huffman, literals, stream.to + 1)
    end
  end

  ------------------------------------------------------------------------------------------------------------------------
  -- Literals section (section 3.1.1.3.1)
  ------------------------------------------------------------------------------------------------------------------------

  -- Numbers below 256 in numbers[1..count], as a string. Few enough at a time for every version's stack.
  local function to_string(numbers, count)
    local parts = {}
    for from = 1, count, 4096 do
      parts[#parts + 1] = char(unpack(numbers, from, min(from + 4095, count)))
    end
    return table.concat(parts)
  end

  -- Section 3.1.1.3.1.6, jump table: where the four streams are and which literals they make. One stream has no jump
  -- table.
  local function locate_streams(bytes, first, last, four_streams, count)
    if not four_streams then
      return { { bytes = bytes, own_first = first, last = last, at = 1, to = count } }
    end
    if last - first + 1 < 10 then
      refuse("jump table truncated")
    end
    local streams, start, share = {}, first + 6, shift_right(count + 3, 2)
    for index = 1, 4 do
      local size = index < 4 and little_endian(bytes, first + 2 * index - 2, 2) or last - start + 1
      if start + size - 1 > last then
        refuse("Huffman streams truncated")
      end
      streams[index] = {
        bytes = bytes, own_first = start, last = start + size - 1,
        at = (index - 1) * share + 1, to = index < 4 and index * share or count,
      }
      start = start + size
    end
    if streams[4].at > count + 1 then
      refuse("too few literals for four streams")
    end
    return streams
  end

  -- Sections 3.1.1.3.1.5 and 3.1.1.3.1.6, Huffman-coded literals in first..last.
  local function decode_huffman_literals(frame, bytes, first, last, treeless, four_streams, count)
    if not treeless then
      local compressed_size = last - first + 1
      frame.huffman, first = read_huffman_table(bytes, first, last)
      frame.huffman.regenerated_size, frame.huffman.compressed_size = count, compressed_size
      if not four_streams then
        frame.huffman.pairs = false
      end
    end
    if first > last then
      refuse("no Huffman streams")
    end
    local huffman, literals, exact = frame.huffman, {}, true
    local streams = locate_streams(bytes, first, last, four_streams, count)
    for _, stream in ipairs(streams) do
      exact = exact
        and decode_huffman_stream(bytes, stream.own_first, stream.last, huffman, literals, stream.at, stream.to)
    end
    if not exact then
      decode_inexact_streams(streams, huffman, literals)
    end
    return to_string(literals, count)
  end

  -- Section 3.1.1.3.1.1, literals section header: type, regenerated size, compressed size, number of streams, header
  -- size.
  local function read_literals_header(bytes, first)
    local lead = byte(bytes, first)
    local kind, format = lead % 4, shift_right(lead, 2) % 4
    if kind < 2 then
      if format % 2 == 0 then
        return kind, shift_right(lead, 3), nil, false, 1
      end
      local size = format == 1 and 2 or 3
      return kind, shift_right(little_endian(bytes, first, size), 4), nil, false, size
    end
    local width = format < 2 and 10 or 4 * format + 6
    local size = format < 2 and 3 or format + 2
    local sizes = shift_right(little_endian(bytes, first, size), 4)
    return kind, sizes % POWER[width], shift_right(sizes, width), format > 0, size
  end

  -- Section 3.1.1.3.1: gives the literals, the index of the byte after them, and how much this block may produce.
  local function read_literals(frame, bytes, first, last)
    local kind, count, compressed_size, four_streams, header_size = read_literals_header(bytes, first)
    -- libzstd: five bytes are wanted even where the header and the streams need fewer.
    if kind >= 2 and last - first + 1 < 5 then
      refuse("literals truncated")
    elseif count > min(frame.largest_block, frame.room) then
      refuse("too many literals")
    elseif kind == 3 and not frame.huffman then
      refuse("treeless literals without an earlier tree")
    elseif four_streams and count < 6 then
      refuse("too few literals for four streams")
    end
    local at = first + header_size
    local stored_size = kind == 0 and count or kind == 1 and 1 or compressed_size
    local next_byte = at + stored_size
    if next_byte - 1 > last then
      refuse("literals truncated")
    end
    -- libzstd: when the literals are put behind the block in the destination, the block ends there, 32 bytes above
    -- its largest size. They are, if there is room, unless they can be used where they stand. Sequences beyond the
    -- largest size are taken.
    local room = frame.room
    if room > frame.largest_block + count + 64 and not (kind == 0 and next_byte + 32 <= last + 1) then
      room = frame.largest_block + 32
    end
    if kind == 0 then
      return sub(bytes, at, next_byte - 1), next_byte, room
    elseif kind == 1 then
      return rep(sub(bytes, at, at), count), next_byte, room
    end
    return decode_huffman_literals(frame, bytes, at, next_byte - 1, kind == 3, four_streams, count), next_byte, room
  end

  ------------------------------------------------------------------------------------------------------------------------
  -- Sequences section (section 3.1.1.3.2)
  ------------------------------------------------------------------------------------------------------------------------

  -- Section 3.1.1.3.2.1.1: codes below `plain` mean their own number plus `least`, without extra bits; for each further
  -- code its extra bits are listed. Its baseline is where the values of the code before it end.
  local function length_codes(plain, least, listed)
    local baselines, extras, baseline = {}, {}, plain + least
    for code = 0, plain - 1 do
      baselines[code], extras[code] = code + least, 0
    end
    for index, extra in ipairs(listed) do
      local code = plain + index - 1
      baselines[code], extras[code] = baseline, extra
      baseline = baseline + POWER[extra]
    end
    return { baselines = baselines, extras = extras }
  end

  local LITERAL_LENGTH_CODES = length_codes(16, 0, { 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 })
  local MATCH_LENGTH_CODES = length_codes(32, 3, { 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 })

  -- Section 3.1.1.3.2.2, default distributions.
  local function default_table(accuracy, listed)
    local probabilities = {}
    for index, probability in ipairs(listed) do
      probabilities[index - 1] = probability
    end
    return build_fse_table(probabilities, #listed, accuracy)
  end

  -- The three codes of a sequence: largest code and accuracy, and the table of Predefined_Mode.
  local LITERAL_LENGTHS = {
    name = "literal_lengths", largest_code = 35, largest_accuracy = 9,
    default = default_table(6, {
      4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1,
    }),
  }
  local OFFSETS = {
    name = "offsets", largest_code = 31, largest_accuracy = 8,
    default = default_table(5, {
      1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1,
    }),
  }
  local MATCH_LENGTHS = {
    name = "match_lengths", largest_code = 52, largest_accuracy = 9,
    default = default_table(6, {
      1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
      1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
    }),
  }

  -- Section 3.1.1.3.2.1, sequences section header: the number of sequences, and the index of the byte after it.
  local function read_sequence_count(bytes, first, last)
    if first > last then
      refuse("sequences truncated")
    end
    local lead = byte(bytes, first)
    if lead < 128 then
      return lead, first + 1
    end
    local size = lead == 255 and 3 or 2
    if first + size - 1 > last then
      refuse("sequences truncated")
    end
    if size == 3 then
      return little_endian(bytes, first + 1, 2) + 32512, first + 3
    end
    return (lead - 128) * 256 + byte(bytes, first + 1), first + 2
  end

  -- Section 3.1.1.3.2.1, symbol compression modes: sets frame[code.name] to the table of one code; gives the index of
  -- the byte after its description.
  local function read_sequence_table(frame, bytes, first, last, code, mode)
    if mode == 0 then
      frame[code.name] = code.default
    elseif mode == 1 then
      if first > last or byte(bytes, first) > code.largest_code then
        refuse("sequence code out of range")
      end
      frame[code.name] = build_rle_table(byte(bytes, first))
      return first + 1
    elseif mode == 2 then
      local probabilities, symbol_count, accuracy, next_byte =
        read_distribution(bytes, first, last, code.largest_accuracy, code.largest_code)
      frame[code.name] = build_fse_table(probabilities, symbol_count, accuracy)
      return next_byte
    elseif not frame[code.name] then
      refuse("no sequence table to repeat")
    end
    return first
  end

  -- Section 3.1.1.3.2.1.2, decoding sequences: the sequences in first..last, as three lists. Offsets are values of the
  -- format: 1 to 3 stand for repeat offsets. The reads are written out, because calls would cost more than anything
  -- else here. An offset code above 16 means an offset above LARGEST_LIMIT, so its bits need not be read.
  local function decode_sequences(frame, bytes, first, last, count)
    local ll, of, ml = frame.literal_lengths, frame.offsets, frame.match_lengths
    local ll_symbols, ll_widths, ll_bases = ll.symbols, ll.widths, ll.bases
    local of_symbols, of_widths, of_bases = of.symbols, of.widths, of.bases
    local ml_symbols, ml_widths, ml_bases = ml.symbols, ml.widths, ml.bases
    local ll_baselines, ll_extras = LITERAL_LENGTH_CODES.baselines, LITERAL_LENGTH_CODES.extras
    local ml_baselines, ml_extras = MATCH_LENGTH_CODES.baselines, MATCH_LENGTH_CODES.extras
    local powers, literal_lengths, offsets, match_lengths = POWER, {}, {}, {}
    local bits, available, position = refill(bytes, first, open_bitstream(bytes, first, last))
    local ll_state, of_state, ml_state, ll_extra, ml_extra, unit, rest
    ll_state, bits, available = split(bits, available, ll.accuracy)
    of_state, bits, available = split(bits, available, of.accuracy)
    ml_state, bits, available = split(bits, available, ml.accuracy)
    for index = 1, count do
      local ll_code, of_code, ml_code = ll_symbols[ll_state], of_symbols[of_state], ml_symbols[ml_state]
      if of_code > 16 then
        refuse("offset beyond the start of the frame")
      elseif available < REFILLED then
        bits, available, position = refill(bytes, first, bits, available, position)
      end
      available = available - of_code
      unit = powers[available]
      rest = bits % unit
      offsets[index] = powers[of_code] + (bits - rest) / unit
      bits = rest
      literal_lengths[index], match_lengths[index] = ll_baselines[ll_code], ml_baselines[ml_code]
      if ml_code > 31 or ll_code > 15 then
        bits, available, position = refill(bytes, first, bits, available, position)
        ml_extra, bits, available = split(bits, available, ml_extras[ml_code])
        match_lengths[index] = match_lengths[index] + ml_extra
        bits, available, position = refill(bytes, first, bits, available, position)
        ll_extra, bits, available = split(bits, available, ll_extras[ll_code])
        literal_lengths[index] = literal_lengths[index] + ll_extra
      end
      if index < count then
        if available < REFILLED then
          bits, available, position = refill(bytes, first, bits, available, position)
        end
        available = available - ll_widths[ll_state]
        unit = powers[available]
        rest = bits % unit
        ll_state = ll_bases[ll_state] + (bits - rest) / unit
        available = available - ml_widths[ml_state]
        unit = powers[available]
        bits = rest % unit
        ml_state = ml_bases[ml_state] + (rest - bits) / unit
        available = available - of_widths[of_state]
        unit = powers[available]
        rest = bits % unit
        of_state = of_bases[of_state] + (bits - rest) / unit
        bits = rest
      end
    end
    if unread_bits(first, available, position) ~= 0 then
      refuse("sequences do not end at their start")
    end
    return literal_lengths, offsets, match_lengths
  end

  -- Section 3.1.1.5, repeat offsets: what a value of 1 to 3 means, and the three offsets to remember then.
  local function repeat_offset(value, without_literals, last, second_last, third_last)
    if without_literals then
      value = value + 1
    end
    if value == 1 then
      return last, last, second_last, third_last
    elseif value == 2 then
      return second_last, second_last, last, third_last
    elseif value == 3 then
      return third_last, third_last, last, second_last
    elseif last == 1 then
      refuse("offset of zero")
    end
    return last - 1, last - 1, last, second_last
  end

  -- The `length` bytes that start `offset` bytes before the end of settled .. recent. A match may be longer than its
  -- offset: it then repeats itself.
  local function match(settled, recent, offset, length)
    local from, size = #recent - offset + 1, min(offset, length)
    local piece
    if from > 0 then
      piece = sub(recent, from, from + size - 1)
    else
      from = from + #settled
      piece = sub(settled, from, from + size - 1)
      if #piece < size then
        piece = piece .. sub(recent, 1, size - #piece)
      end
    end
    if size < length then
      local times = (length - 1 - (length - 1) % size) / size + 1
      return sub(rep(piece, times), 1, length)
    end
    return piece
  end

  -- Section 3.1.1.4, sequence execution: appends the output of the sequences, and of the literals after the last one,
  -- to the frame's. `room` is what this block may produce.
  local function execute_sequences(frame, literals, room, literal_lengths, offsets, match_lengths)
    local settled, recent, used = frame.settled, frame.recent, 0
    local last, second_last, third_last = frame.last, frame.second_last, frame.third_last
    for index = 1, #offsets do
      local literal_length, offset, match_length = literal_lengths[index], offsets[index], match_lengths[index]
      if offset > 3 then
        offset = offset - 3
        last, second_last, third_last = offset, last, second_last
      else
        offset, last, second_last, third_last = repeat_offset(offset, literal_length == 0, last, second_last, third_last)
      end
      room = room - literal_length - match_length
      if room < 0 or used + literal_length > #literals then
        refuse("sequence beyond its literals or its output")
      end
      local size = #settled
      local from = size + #recent + literal_length - offset
      if from < 0 then
        refuse("offset beyond the start of the frame")
      elseif from + match_length <= size then
        recent = recent .. sub(literals, used + 1, used + literal_length) .. sub(settled, from + 1, from + match_length)
      else
        recent = recent .. sub(literals, used + 1, used + literal_length)
        recent = recent .. match(settled, recent, offset, match_length)
      end
      used = used + literal_length
      if #recent > RECENT_SIZE then
        settled, recent = settled .. recent, ""
      end
    end
    if room < #literals - used then
      refuse("too much output")
    end
    frame.settled, frame.recent = settled, recent .. sub(literals, used + 1)
    frame.last, frame.second_last, frame.third_last = last, second_last, third_last
  end

  -- Section 3.1.1.3, compressed blocks.
  local function decompress_block(frame, bytes, first, last)
    -- libzstd: two bytes at least.
    if first >= last or last - first + 1 > frame.largest_block then
      refuse("compressed block too short or too long")
    end
    local literals, at, room = read_literals(frame, bytes, first, last)
    local count
    count, at = read_sequence_count(bytes, at, last)
    if count == 0 then
      if at <= last then
        refuse("bytes after a block without sequences")
      end
      frame.recent = frame.recent .. literals
      return
    end
    if at > last or byte(bytes, at) % 4 ~= 0 then
      refuse("sequences truncated, or reserved bits in their header")
    elseif count * 3 > room then -- a match has three bytes at least
      refuse("too much output")
    end
    local modes = byte(bytes, at)
    at = read_sequence_table(frame, bytes, at + 1, last, LITERAL_LENGTHS, shift_right(modes, 6))
    at = read_sequence_table(frame, bytes, at, last, OFFSETS, shift_right(modes, 4) % 4)
    at = read_sequence_table(frame, bytes, at, last, MATCH_LENGTHS, shift_right(modes, 2) % 4)
    execute_sequences(frame, literals, room, decode_sequences(frame, bytes, at, last, count))
  end

  ------------------------------------------------------------------------------------------------------------------------
  -- Content checksum (section 3.1.1: "the low 4 bytes" of XXH64 with a seed of zero)
  --
  -- A 64-bit number is two of 32 bits, high and low. Products are summed up from halves of 16 bits, so as to stay below
  -- 2^53.
  ------------------------------------------------------------------------------------------------------------------------

  local TWO_32, TWO_16 = 4294967296, 65536

  local function add64(high, low, other_high, other_low)
    local sum = low + other_low
    local carried = sum % TWO_32
    return (high + other_high + (sum - carried) / TWO_32) % TWO_32, carried
  end

  -- The low 32 bits of a product of two 32-bit numbers, and what is above them.
  local function multiply32(number, factor)
    local bottom = number % TWO_16
    local upper = (number - bottom) / TWO_16 * factor
    local upper_bottom = upper % TWO_16
    local sum = bottom * factor + upper_bottom * TWO_16
    local low = sum % TWO_32
    return low, (sum - low) / TWO_32 + (upper - upper_bottom) / TWO_16
  end

  local function multiply64(high, low, factor_high, factor_low)
    local product, above = multiply32(low, factor_low)
    local cross, other_cross = multiply32(high, factor_low), multiply32(low, factor_high)
    return (above + cross + other_cross) % TWO_32, product
  end

  local function rotate64(high, low, count)
    if count >= 32 then
      high, low, count = low, high, count - 32
    end
    local unit, factor = POWER[32 - count], POWER[count]
    local high_rest, low_rest = high % unit, low % unit
    return high_rest * factor + (low - low_rest) / unit, low_rest * factor + (high - high_rest) / unit
  end

  local function xor32(left, right)
    local result, unit = 0, 1
    for _ = 1, 32 do
      local left_bit, right_bit = left % 2, right % 2
      if left_bit ~= right_bit then
        result = result + unit
      end
      left, right, unit = (left - left_bit) / 2, (right - right_bit) / 2, unit * 2
    end
    return result
  end

  local function xor64(high, low, other_high, other_low)
    return xor32(high, other_high), xor32(low, other_low)
  end

  -- XXH64's five primes.
  local PRIME = {
    { 0x9E3779B1, 0x85EBCA87 }, { 0xC2B2AE3D, 0x27D4EB4F }, { 0x165667B1, 0x9E3779F9 }, { 0x85EBCA77, 0xC2B2AE63 },
    { 0x27D4EB2F, 0x165667C5 },
  }

  local function multiply_by_prime(high, low, index)
    return multiply64(high, low, PRIME[index][1], PRIME[index][2])
  end

  -- One lane's step: adds eight bytes of input.
  local function xxh64_round(high, low, input_high, input_low)
    high, low = add64(high, low, multiply_by_prime(input_high, input_low, 2))
    high, low = rotate64(high, low, 31)
    return multiply_by_prime(high, low, 1)
  end

  -- The part of XXH64 that takes 32 bytes at a time, in four lanes; gives its state and the index of the first byte
  -- left over.
  local function xxh64_lanes(content)
    if #content < 32 then
      return PRIME[5][1], PRIME[5][2], 1
    end
    local highs, lows = { 0, PRIME[2][1], 0, 0 }, { 0, PRIME[2][2], 0, 0 }
    highs[1], lows[1] = add64(PRIME[1][1], PRIME[1][2], PRIME[2][1], PRIME[2][2])
    highs[4], lows[4] = TWO_32 - 1 - PRIME[1][1], TWO_32 - PRIME[1][2]
    local at = 1
    while at + 31 <= #content do
      for lane = 1, 4 do
        local a, b, c, d, e, f, g, h = byte(content, at, at + 7)
        local input_low, input_high = a + b * 256 + c * 65536 + d * 16777216, e + f * 256 + g * 65536 + h * 16777216
        highs[lane], lows[lane] = xxh64_round(highs[lane], lows[lane], input_high, input_low)
        at = at + 8
      end
    end
    local high, low = 0, 0
    for lane, count in ipairs({ 1, 7, 12, 18 }) do
      high, low = add64(high, low, rotate64(highs[lane], lows[lane], count))
    end
    for lane = 1, 4 do
      high, low = xor64(high, low, xxh64_round(0, 0, highs[lane], lows[lane]))
      high, low = multiply_by_prime(high, low, 1)
      high, low = add64(high, low, PRIME[4][1], PRIME[4][2])
    end
    return high, low, at
  end

  -- The low four bytes of XXH64 with a seed of zero.
  local function xxh64_low(content)
    local high, low, at = xxh64_lanes(content)
    high, low = add64(high, low, 0, #content)
    while at + 7 <= #content do
      high, low = xor64(high, low, xxh64_round(0, 0, little_endian(content, at + 4, 4), little_endian(content, at, 4)))
      high, low = rotate64(high, low, 27)
      high, low = multiply_by_prime(high, low, 1)
      high, low = add64(high, low, PRIME[4][1], PRIME[4][2])
      at = at + 8
    end
    if at + 3 <= #content then
      high, low = xor64(high, low, multiply_by_prime(0, little_endian(content, at, 4), 1))
      high, low = rotate64(high, low, 23)
      high, low = multiply_by_prime(high, low, 2)
      high, low = add64(high, low, PRIME[3][1], PRIME[3][2])
      at = at + 4
    end
    for index = at, #content do
      high, low = xor64(high, low, multiply_by_prime(0, byte(content, index), 5))
      high, low = rotate64(high, low, 11)
      high, low = multiply_by_prime(high, low, 1)
    end
    low = xor32(low, shift_right(high, 1)) -- the state xor itself shifted right by 33, and so on
    high, low = multiply_by_prime(high, low, 2)
    high, low = xor64(high, low, shift_right(high, 29), high % POWER[29] * 8 + shift_right(low, 29))
    high, low = multiply_by_prime(high, low, 3)
    return xor32(low, high)
  end

  ------------------------------------------------------------------------------------------------------------------------
  -- Frames (section 3.1)
  ------------------------------------------------------------------------------------------------------------------------

  -- Section 3.1.1.1, frame header, after the magic number. Gives content size (nil: not told), largest block, whether a
  -- checksum follows, and the index of the byte after it.
  local function read_frame_header(bytes, at)
    local descriptor = little_endian(bytes, at, 1)
    local single_segment, size_flag = shift_right(descriptor, 5) % 2 == 1, shift_right(descriptor, 6)
    local has_checksum, dictionary_flag = shift_right(descriptor, 2) % 2 == 1, descriptor % 4
    if shift_right(descriptor, 3) % 2 == 1 then
      refuse("reserved bit in the frame header")
    end
    at = at + 1
    local largest_block = LARGEST_BLOCK
    if not single_segment then
      local window = little_endian(bytes, at, 1)
      local exponent = shift_right(window, 3)
      if exponent > 21 then -- libzstd: no more than 31 bits, where the RFC goes to 41
        refuse("window too large")
      end
      largest_block = min(LARGEST_BLOCK, POWER[exponent + 10] + POWER[exponent + 7] * (window % 8))
      at = at + 1
    end
    local dictionary_size = ({ [0] = 0, 1, 2, 4 })[dictionary_flag]
    if little_endian(bytes, at, dictionary_size) ~= 0 then
      refuse("dictionary")
    end
    at = at + dictionary_size
    if size_flag == 0 and not single_segment then
      return nil, largest_block, has_checksum, at
    end
    local size_size = POWER[size_flag]
    local content_size = little_endian(bytes, at, min(size_size, 4)) + (size_flag == 1 and 256 or 0)
    if size_flag == 3 then
      content_size = content_size + little_endian(bytes, at + 4, 4) * 4294967296.0
      if sub(bytes, at, at + 7) == rep("\255", 8) then
        content_size = nil -- libzstd: its own mark of an unknown size
      end
    end
    if single_segment then
      largest_block = min(largest_block, content_size or LARGEST_BLOCK)
    end
    return content_size, largest_block, has_checksum, at + size_size
  end

  -- Section 3.1.1.2, blocks: appends one block to the frame's output; gives whether it is the last, and the index after
  -- it. libzstd: raw and RLE blocks may be larger than the frame's largest block.
  local function read_block(frame, bytes, at)
    local header = little_endian(bytes, at, 3)
    local kind, size = shift_right(header, 1) % 4, shift_right(header, 3)
    local stored_size = kind == 1 and 1 or size
    at = at + 3
    if kind == 3 then
      refuse("reserved block type")
    elseif at + stored_size - 1 > #bytes then
      refuse("block truncated")
    end
    local next_byte = at + stored_size
    if kind == 2 then
      decompress_block(frame, bytes, at, next_byte - 1)
    elseif size > frame.room then
      refuse("too much output")
    elseif kind == 1 then
      frame.recent = frame.recent .. rep(sub(bytes, at, at), size)
    else
      frame.recent = frame.recent .. sub(bytes, at, next_byte - 1)
    end
    if #frame.recent > RECENT_SIZE then
      frame.settled, frame.recent = frame.settled .. frame.recent, ""
    end
    frame.room = frame.limit - #frame.settled - #frame.recent
    return header % 2 == 1, next_byte
  end

  -- Section 3.1.1, one frame after its magic number. Gives its content and the index of the byte after it.
  local function read_frame(bytes, at, limit)
    local content_size, largest_block, has_checksum
    content_size, largest_block, has_checksum, at = read_frame_header(bytes, at)
    local frame = {
      settled = "", recent = "", limit = limit, room = limit, largest_block = largest_block,
      last = 1, second_last = 4, third_last = 8, -- section 3.1.1.5
    }
    local done
    repeat
      done, at = read_block(frame, bytes, at)
    until done
    local content = frame.settled .. frame.recent
    if content_size and content_size ~= #content then
      refuse("content size mismatch")
    end
    if has_checksum then
      if little_endian(bytes, at, 4) ~= xxh64_low(content) then
        refuse("checksum mismatch")
      end
      at = at + 4
    end
    return content, at
  end

  local MAGIC = "\40\181\47\253"
  local SKIPPABLE_MAGIC = "\42\77\24" -- after a byte of 0x50 to 0x5F (section 3.1.2)

  local function read_frames(bytes, limit)
    local contents, at = {}, 1
    while at <= #bytes do
      local magic = sub(bytes, at, at + 3)
      if magic == MAGIC then
        local content
        content, at = read_frame(bytes, at + 4, limit)
        contents[#contents + 1] = content
        limit = limit - #content
      elseif sub(magic, 2) == SKIPPABLE_MAGIC and shift_right(byte(magic), 4) == 5 then
        at = at + 8 + little_endian(bytes, at + 4, 4)
        if at - 1 > #bytes then
          refuse("skippable frame truncated")
        end
      else
        refuse("no zstd frame")
      end
    end
    return table.concat(contents)
  end

  -- Decompresses all frames in the string `bytes` into at most `limit` bytes (itself at most 65,536). Returns the
  -- content, or nil and why a node would refuse it.
  function zstd.decompress(bytes, limit)
    if limit > LARGEST_LIMIT then
      return nil, "limit above 65536"
    end
    local accepted, result = pcall(read_frames, bytes, limit)
    if accepted then
      return result
    end
    return nil, result
  end

  return zstd
end)()

---------------------------------------------------------------------------------------------------------------------------
-- Reading (runtime.lua, hand-written)
---------------------------------------------------------------------------------------------------------------------------

-- What every generated dissector stands on: numbers and text out of bytes, findings, and the careful way through a layer.
--
-- A message's bytes are taken into a Lua string once, because reading a number from a string costs a fifth of what it costs
-- to make a range and ask that. Ranges are made for the tree alone, always after the bounds were checked: an exception of
-- Wireshark's that passes through Lua leaks call depth, and after a hundred of them Lua refuses to work.
--
-- There are two ways to read an item of a list. The quick reader (one function per layer, generated) checks the whole item,
-- then shows it, and gives nil without having shown anything where the item is odd in any way. The careful reader then goes
-- field by field and says what is wrong and where. Everything that is there once in a message is read carefully at once.
--
-- Two kinds of trouble: where the framing is lost nothing more can be read, and break_off() raises BREAK_OFF, which is
-- caught where reading can go on. Where only a value is refused, refuse() notes it and reading goes on.

local byte, char, find, format, gsub, sub = string.byte, string.char, string.find, string.format, string.gsub, string.sub
local concat, min = table.concat, math.min
local add, add_le, add_packet_field, referenced = TreeItem.add, TreeItem.add_le, TreeItem.add_packet_field, TreeItem.referenced
local set_len, set_text = TreeItem.set_len, TreeItem.set_text

-- Wireshark gives up on a frame with more than 1,000,000 items (its preference gui.max_tree_items); a hundred thousand take a
-- tenth of a second. A message of real nodes has fewer.
local MOST_TREE_ITEMS = 200000
local MOST_REMARKS = 1000 -- of one message: each takes several items of the tree
local LONGEST_LABEL = 80 -- bytes of a text in a label

---------------------------------------------------------------------------------------------------------------------------
-- Numbers
---------------------------------------------------------------------------------------------------------------------------

-- The little-endian number in `size` bytes, at most four, from offset `at`.
local function little_endian(bytes, at, size)
  local a, b, c, d = byte(bytes, at + 1, at + size)
  return a + (b or 0) * 256 + (c or 0) * 65536 + (d or 0) * 16777216
end

-- The big-endian number in `size` bytes, at most four, from offset `at`.
local function big_endian(bytes, at, size)
  local number = 0
  for index = at + 1, at + size do
    number = number * 256 + byte(bytes, index)
  end
  return number
end

-- The upper and the lower half of the eight bytes from offset `at`, little-endian: together too large for a Lua 5.2 number.
local function halves(bytes, at)
  local a, b, c, d, e, f, g, h = byte(bytes, at + 1, at + 8)
  return e + f * 256 + g * 65536 + h * 16777216, a + b * 256 + c * 65536 + d * 16777216
end

-- Eight little-endian bytes as something that prints as decimal digits.
local function decimal(bytes, at)
  local high, low = halves(bytes, at)
  if high == 0 then
    return low
  elseif high < 2097152 then -- below 2^53
    return format("%.0f", high * 4294967296 + low)
  end
  return tostring(UInt64.new(low, high))
end

---------------------------------------------------------------------------------------------------------------------------
-- Text
---------------------------------------------------------------------------------------------------------------------------

-- Whether the bytes after a lead byte continue a UTF-8 sequence that Rust takes: no surrogates, nothing overlong. Gives the
-- length of the sequence, or nil.
local function sequence_length(lead, second, third, fourth)
  local function continues(value)
    return value and value >= 128 and value < 192
  end
  if lead < 194 or lead > 244 or not continues(second) then
    return nil
  elseif lead < 224 then
    return 2
  elseif not continues(third) or lead == 224 and second < 160 or lead == 237 and second > 159 then
    return nil
  elseif lead < 240 then
    return 3
  elseif not continues(fourth) or lead == 240 and second < 144 or lead == 244 and second > 143 then
    return nil
  end
  return 4
end

-- The place of the first byte, counted from 0, that makes a text no UTF-8; nil for valid text.
local function utf8_error(text)
  local at = find(text, "[\128-\255]")
  while at do
    local length = sequence_length(byte(text, at, at + 3))
    if not length then
      return at - 1
    end
    at = find(text, "[\128-\255]", at + length)
  end
  return nil
end

local function escaped(text)
  return (gsub(text, ".", function(one)
    return format("\\x%02x", byte(one))
  end))
end

-- Text off the wire made fit for one line on a screen: control characters and what turns the reading direction escaped,
-- bytes that are no UTF-8 as well, and not too long.
local function printable(text)
  local shortened = #text > LONGEST_LABEL
  if shortened then
    local last = LONGEST_LABEL
    while last > 0 and byte(text, last + 1) >= 128 and byte(text, last + 1) < 192 do
      last = last - 1
    end
    text = sub(text, 1, last)
  end
  if find(text, "[^ -~]") then
    if utf8_error(text) then
      text = gsub(text, "[\128-\255]", escaped)
    end
    text = gsub(text, "[%z\1-\31\127]", escaped)
    text = gsub(text, "\194[\128-\159]", escaped) -- U+0080 to U+009F: control characters
    text = gsub(text, "\226\128[\142\143\168-\174]", escaped) -- U+200E, U+200F, U+2028 to U+202E: marks, separators
    text = gsub(text, "\226\129[\166-\169]", escaped) -- U+2066 to U+2069: isolates
  end
  return shortened and text .. "…" or text
end

-- What may not stand in a line as it is: control characters, and bytes that are not ASCII. One range is the quickest to find.
local UNPRINTABLE = "[^ -~]"

-- Shows a text. Without a value Wireshark takes the bytes for ASCII; a value ends at its first NUL; and only its own
-- decoder makes something of invalid UTF-8.
local function add_text(tree, field, range, text)
  if find(text, "[%z\128-\255]") then
    return (add_packet_field(tree, field, range, ENC_UTF_8))
  end
  return add(tree, field, range, text)
end

---------------------------------------------------------------------------------------------------------------------------
-- Findings
---------------------------------------------------------------------------------------------------------------------------

-- EXPERTS (generated): the ProtoExpert of each finding code.

-- Puts a finding on an item of the tree. What is special about this one stands below it: Wireshark groups by text.
local function report(message, code, item, detail)
  local on = item or message.root
  on:add_proto_expert_info(EXPERTS[code].expert)
  if detail then
    on:add(F.finding_detail, detail):set_generated(true)
  end
end

-- What makes a node refuse the message. Only the first thing counts: a node stops there.
local function refuse(message, code, item, detail)
  if not message.trouble then
    message.trouble = code
    report(message, code, item, detail)
  end
end

-- Something to know of a message that a node takes. It is held back until the message has been read to its end. The detail
-- is a format and what goes into it.
local function remark(message, code, item, detail, ...)
  local remarks = message.remarks
  if #remarks < MOST_REMARKS then
    remarks[#remarks + 1] = { code = code, item = item, detail = format(detail, ...) }
  end
end

local function report_remarks(message)
  for _, held in ipairs(message.remarks) do
    report(message, held.code, held.item, held.detail)
  end
end

local BREAK_OFF = {} -- raised where a message or a stream cannot be read on

local function where(reader, at)
  if reader.stream then
    return format(" (at byte %d of the decompressed %s)", at, reader.stream)
  end
  return ""
end

local function break_off(reader, code, detail, at)
  refuse(reader.message, code, reader.tree, detail .. where(reader, at or reader.at))
  error(BREAK_OFF, 0)
end

-- Where a message ends too early. When there is only the first part of it, that says nothing about the message.
local function break_off_short(reader, code, name, size)
  local detail = format("%s needs %d bytes, %d are left", name, size, reader.stop - reader.at)
  if reader.message.cut and not reader.stream then
    break_off(reader, "cut", detail)
  end
  break_off(reader, code, detail)
end

-- Runs read(reader, …); gives its result, or false where reading broke off. Any other error is a mistake of this file.
local function attempt(read, reader, ...)
  local done, result = pcall(read, reader, ...)
  if not done and result ~= BREAK_OFF then
    error(result, 0)
  end
  return done and (result or true)
end

---------------------------------------------------------------------------------------------------------------------------
-- The careful reader
--
-- `reader` is a place in bytes: message, bytes, tvb, at, stop, tree (nil: nothing is to be shown), stream (the name of the
-- list whose decompressed bytes these are), show (whether the list's fields are looked at, where that is known already).
-- Each take_…() reads one field, shows it and moves behind it.
---------------------------------------------------------------------------------------------------------------------------

local function take(reader, name, size, code)
  local at = reader.at
  if at + size > reader.stop then
    break_off_short(reader, code, name, size)
  end
  reader.at = at + size
  return at
end

-- A number; gives its value where it has at most four bytes.
local function take_le(reader, field, name, size, code)
  local at = take(reader, name, size, code or "field-short")
  local item = reader.tree and add_le(reader.tree, field, reader.tvb(at, size))
  return size <= 4 and little_endian(reader.bytes, at, size), item
end

local function take_be(reader, field, name, size, code)
  local at = take(reader, name, size, code or "field-short")
  local item = reader.tree and add(reader.tree, field, reader.tvb(at, size))
  return size <= 4 and big_endian(reader.bytes, at, size), item
end

-- Bytes that Wireshark itself knows how to show.
local function take_bytes(reader, field, name, size, code)
  local at = take(reader, name, size, code or "field-short")
  if reader.tree then
    add(reader.tree, field, reader.tvb(at, size))
  end
  return at
end

local function known_values(names)
  local known = {}
  for value, name in pairs(names) do
    known[#known + 1] = value .. " (" .. name .. ")"
  end
  table.sort(known)
  return concat(known, ", ")
end

-- A byte of which a node knows only the values in `names`. `breaks`: nothing after an unknown one can be read.
local function take_known_byte(reader, field, name, names, refused_as, short_as, breaks)
  local at = take(reader, name, 1, short_as)
  local value = byte(reader.bytes, at + 1)
  local known = names[value]
  if not known and breaks then
    reader.at = at
    break_off(reader, refused_as, format("%s is %d; a node knows %s", name, value, known_values(names)))
  end
  local item = reader.tree and add(reader.tree, field, reader.tvb(at, 1))
  if not known then
    local detail = format("%s is %d; a node knows %s%s", name, value, known_values(names), where(reader, at))
    refuse(reader.message, refused_as, item, detail)
  end
  return value
end

-- The number that starts every message. `room`: so many bytes a node wants to see before it looks at it.
local function take_magic(reader, field, name, size, expected, room, short_as, refused_as)
  local left = reader.stop - reader.at
  if left < room and not reader.message.cut then
    refuse(reader.message, short_as, reader.tree, format("%d bytes, a header has at least %d", left, room))
  end
  local value, item = take_le(reader, field, name, size, short_as)
  if value ~= expected then
    refuse(reader.message, refused_as, item, format("%s is %d, not %d", name, value, expected))
  end
  return value
end

-- UTF-8 text of a length that was read before. `checked`: a node refuses anything else.
local function take_text(reader, field, name, size, code, checked)
  local at = take(reader, name, size, code)
  local text = sub(reader.bytes, at + 1, at + size)
  local item = reader.tree and add_text(reader.tree, field, reader.tvb(at, size), text)
  local wrong = checked and utf8_error(text)
  if wrong then
    refuse(reader.message, "bad-utf8", item, format("%s is no UTF-8%s", name, where(reader, at + wrong)))
  end
  return text
end

local ADDRESS_SIZES = { [4] = 4, [6] = 16 }

local function take_ip_version(reader, field, name, refused_as)
  local at = take(reader, name, 1, "field-short")
  local version = byte(reader.bytes, at + 1)
  if not ADDRESS_SIZES[version] then
    reader.at = at
    break_off(reader, refused_as, format("%s is %d, not 4 or 6", name, version))
  end
  if reader.tree then
    add(reader.tree, field, reader.tvb(at, 1))
  end
  return version
end

local function take_address(reader, ipv4, ipv6, name, version)
  return take_bytes(reader, version == 4 and ipv4 or ipv6, name, ADDRESS_SIZES[version])
end

---------------------------------------------------------------------------------------------------------------------------
-- Lists
--
-- A description of a list (generated): name, field, and either `only`, the kind of all its items, or `by_tag`, the kinds by
-- their first byte. A kind: name, field, quick, careful.
---------------------------------------------------------------------------------------------------------------------------

-- Whether any of these fields is going to be looked at: then the tree must have them.
local function wanted(message, fields)
  if message.visible then
    return true
  end
  for index = 1, #fields do
    if referenced(message.parent, fields[index]) then
      return true
    end
  end
  return false
end

-- A branch of the tree from the reader's place to its end; its length is set when that is known.
local function open_branch(reader, field, label)
  local branch = add(reader.tree, field, reader.tvb(reader.at, reader.stop - reader.at))
  set_text(branch, label)
  return branch
end

-- The bytes that could not be read, as a leaf; they count as read from here on.
local function show_rest(reader)
  if reader.at < reader.stop and reader.tree then
    add(reader.tree, F.malformed_load, reader.tvb(reader.at, reader.stop - reader.at))
  end
  reader.at = reader.stop
end

-- Reads one item field by field into a branch of its own. Gives what the careful reader gave; where it breaks off, what
-- was read stays in the item, the rest goes behind it, and BREAK_OFF goes on.
local function read_carefully(reader, kind)
  local tree, start = reader.tree, reader.at
  local branch = tree and open_branch(reader, kind.field, kind.name)
  reader.tree = branch
  local results = { pcall(kind.careful, reader) }
  reader.tree = tree
  if branch then
    set_len(branch, reader.at - start)
    if reader.at == start then
      branch:set_hidden(true)
    end
  end
  if not results[1] then
    if results[2] == BREAK_OFF then
      show_rest(reader)
    end
    error(results[2], 0)
  end
  return results[2], results[3], results[4], results[5]
end

-- The kind of the item that starts here.
local function kind_at(reader, list)
  local tag = byte(reader.bytes, reader.at + 1)
  local kind = list.by_tag[tag]
  if not kind then
    local names = {}
    for value, known in pairs(list.by_tag) do
      names[value] = known.name
    end
    local detail = format("tag %d; a node knows %s%s", tag, known_values(names), where(reader, reader.at))
    refuse(reader.message, list.refused_as, reader.tree, detail)
    show_rest(reader)
    error(BREAK_OFF, 0)
  end
  return kind
end

local function read_items_within(reader, list, count)
  local message, bytes, stop, tvb, tree = reader.message, reader.bytes, reader.stop, reader.tvb, reader.tree
  local only, by_tag, tally = list.only, list.by_tag, message.tallies[list.name]
  local at, read = reader.at, 0
  local budget = message.budget
  while count and read < count or not count and at < stop do
    local kind = only or by_tag[byte(bytes, at + 1)]
    local quick = kind and kind.quick
    local next_at = quick and quick(message, reader.stream, bytes, at, stop, tvb, tree)
    if not next_at then
      reader.at = at
      read_carefully(reader, kind or kind_at(reader, list))
      next_at = reader.at
    end
    at = next_at
    read = read + 1
    tally[kind] = (tally[kind] or 0) + 1
    budget = budget - kind.leaves
    if budget < 0 and tree then
      tree:append_text(" [too many items for a tree, the rest is only checked]")
      tree, reader.tree = nil, nil
    end
  end
  message.budget = budget
  reader.at = at
end

-- Reads `count` items, or items to the end, into a branch of their own.
local function read_items(reader, list, count)
  local message, tree, start = reader.message, reader.tree, reader.at
  message.tallies[list.name] = {}
  local show = reader.show
  if show == nil then
    show = wanted(message, list.fields)
  end
  local branch = show and open_branch(reader, list.field, list.label) or nil
  reader.tree = branch
  local done, trouble = pcall(read_items_within, reader, list, count)
  reader.tree = tree
  if branch then
    set_len(branch, reader.at - start)
  end
  if not done then
    error(trouble, 0)
  end
  if not reader.stream then
    message.ends[list.name] = reader.at
  end
end

-- How many items of a list, or of one kind in it, were read; nil when the list was not read at all.
local function counted(message, list, kind_name)
  local tally = message.tallies[list]
  if not tally then
    return nil
  end
  local sum = 0
  for kind, number in pairs(tally) do
    if not kind_name or kind.name == kind_name then
      sum = sum + number
    end
  end
  return sum
end

---------------------------------------------------------------------------------------------------------------------------
-- A whole message
---------------------------------------------------------------------------------------------------------------------------

-- Reads the datagram in `tvb` with the careful reader of its first layer. Gives the message as far as it could be read.
local function read_message(read, tvb, pinfo, tree)
  local size = tvb:len()
  local captured_short = tvb:reported_len() > size
  local message = {
    bytes = size > 0 and tvb:raw(0, size) or "", pinfo = pinfo,
    cut = captured_short or pinfo.in_error_pkt, -- an ICMP error quotes the start of what it is about
    root = tree:add(PROTOCOL, tvb:range(0, size)), parent = tree, visible = tree.visible,
    values = {}, tallies = {}, ends = {}, remarks = {}, budget = MOST_TREE_ITEMS,
  }
  local reader = {
    message = message, bytes = message.bytes, tvb = tvb, at = 0, stop = size, tree = message.root, values = message.values,
  }
  local whole = attempt(read, reader)
  message.done = whole and not message.trouble
  if not whole then
    show_rest(reader)
  elseif reader.at < size then
    local rest = add(message.root, F.trailing_data, tvb(reader.at, size - reader.at))
    remark(message, "trailing-bytes", rest, "bytes: %d", size - reader.at)
  end
  if captured_short and message.trouble ~= "cut" then
    report(message, "cut", nil, format("%d bytes were captured", size))
  end
  return message
end

---------------------------------------------------------------------------------------------------------------------------
-- Compressed streams (stream.lua, hand-written)
---------------------------------------------------------------------------------------------------------------------------

-- Compressed streams: blocks on the wire, and the items that they hold.
--
-- The blocks stay where they are in the message. What they hold, decompressed and put together, becomes a data source of
-- its own, named after the list; items are read there, so that an item may straddle blocks.

local MAX_BLOCK_OUTPUT = 65535 -- the most bytes that a reader lets one compressed block grow to

-- Wireshark's own zstd is thirty times as fast as Lua's, but it is a streaming decoder: it takes what a node refuses
-- (a frame without its end, an output of megabytes) and refuses what a node takes (windows over 128 MiB). So it is asked
-- only about frames of the one shape that nodes write, about which both agree: a single segment, its size in one or two
-- bytes, no checksum, one compressed block that ends with the data. Gives the size of the content, or nil.
local function plain_frame_size(data)
  local a, b, c, d, descriptor, low, high = byte(data, 1, 7)
  if not high or a ~= 40 or b ~= 181 or c ~= 47 or d ~= 253 then
    return nil
  end
  local size, block_at
  if descriptor == 32 then
    size, block_at = low, 7
  elseif descriptor == 96 then
    size, block_at = low + high * 256 + 256, 8
  else
    return nil
  end
  local header_low, header_middle, header_high = byte(data, block_at, block_at + 2)
  if not header_high or size > MAX_BLOCK_OUTPUT then
    return nil
  end
  local header = header_low + header_middle * 256 + header_high * 65536
  local is_last_compressed = header % 8 == 5
  local ends_with_data = block_at + 2 + (header - header % 8) / 8 == #data
  return is_last_compressed and ends_with_data and size or nil
end

-- Wireshark's decoder where it has one (4.4 and newer, when built with zstd). A build without has the method all the same,
-- which raises an error when called.
local has_native, native = pcall(function()
  return TvbRange.uncompress_zstd
end)
native = has_native and native or nil

-- What a compressed block holds: a string, and the range of a data source where Wireshark made one; or nil and a reason.
local function decompress(data, range, name)
  local size = native and plain_frame_size(data)
  if size then
    local worked, content = pcall(native, range, name)
    if not worked then
      native = nil
    elseif content and content:len() == size then
      return content:raw(), content
    end
  end
  return zstd.decompress(data, MAX_BLOCK_OUTPUT)
end

-- The bytes that a stream's blocks hold, as far as they could be unpacked. `unpack`: what unpacks this one, if anything does.
local function hold(held, reader, at, size, unpack, block_start)
  if held.stopped then
    return
  end
  held.blocks = held.blocks + 1
  local message, list = reader.message, held.list
  local content, source = sub(reader.bytes, at + 1, at + size), nil
  if unpack then
    local name = format("Decompressed %s, block %d", list.name, held.blocks)
    content, source = unpack(content, reader.tvb(at, size), name)
  end
  if not content then
    held.stopped = true
    refuse(message, held.refused_as, held.block, format("%s: %s (block at byte %d)", list.name, source, block_start))
    return
  end
  local limit = PROTOCOL.prefs.stream_limit * 1024
  if held.size + #content > limit then
    held.stopped = true
    content, source = sub(content, 1, limit - held.size), nil
    refuse(message, "stream-limit", held.block, format("%s holds more than %d bytes, the rest is left", list.name, limit))
  end
  held.parts[#held.parts + 1] = content
  held.size = held.size + #content
  held.source = held.blocks == 1 and source or nil
end

-- The data source for what the blocks hold: what Wireshark made of the only block, or the blocks put together.
local function source_of(held, stream)
  if held.source then
    return held.source:tvb()
  end
  return ByteArray.new(stream, true):tvb("Decompressed " .. held.list.name)
end

-- Reads the items that the blocks hold, in a data source of their own.
local function read_held(reader, held)
  local message, list = reader.message, held.list
  if not PROTOCOL.prefs.decompress then
    return
  end
  local stream = concat(held.parts)
  if #stream == 0 then
    message.tallies[list.name] = {}
    return
  end
  local show = wanted(message, list.fields)
  local within = {
    message = message, bytes = stream, at = 0, stop = #stream, stream = list.name, values = reader.values,
    tree = reader.tree, show = show, tvb = show and source_of(held, stream),
  }
  attempt(read_items, within, list, nil)
end

local function read_blocks_within(reader, blocks, held)
  local message = reader.message
  repeat
    local start = reader.at
    local is_last, at, size, unpack = read_carefully(reader, blocks.block)
    if not is_last and PROTOCOL.prefs.decompress then
      held.block = reader.tree
      hold(held, reader, at, size, unpack, start)
    end
  until is_last
end

-- Reads the blocks of a stream, to its closing block. Gives what they hold, for the list that the items are shown in.
-- `blocks` (generated): name, field, block (a kind), holds (a list), refused_as (the code of what cannot be unpacked).
local function read_blocks(reader, blocks)
  local tree, start = reader.tree, reader.at
  local held = { list = blocks.holds, refused_as = blocks.refused_as, parts = {}, size = 0, blocks = 0 }
  local branch = wanted(reader.message, blocks.fields) and open_branch(reader, blocks.field, blocks.label) or nil
  reader.tree = branch
  local done, trouble = pcall(read_blocks_within, reader, blocks, held)
  reader.tree = tree
  if branch then
    set_len(branch, reader.at - start)
  end
  if not done then
    if trouble == BREAK_OFF then
      read_held(reader, held)
    end
    error(trouble, 0)
  end
  reader.message.ends[held.list.name] = reader.at
  return held
end

---------------------------------------------------------------------------------------------------------------------------
-- Checks (checks.lua, hand-written)
---------------------------------------------------------------------------------------------------------------------------

-- What a node, or an engineer, wants of the items of a digest or a delta as a whole. The generated quick readers call these
-- for each item that they read; `item` is its branch of the tree, where it has one.

-- Whether text `a` comes before, at or after `b` byte by byte: -1, 0 or 1. Lua's own `<` goes by the user's language.
local function compare(a, b)
  if a == b then
    return 0
  end
  for index = 1, min(#a, #b), 4 do
    local a1, a2, a3, a4 = byte(a, index, index + 3)
    local b1, b2, b3, b4 = byte(b, index, index + 3)
    if a1 ~= b1 then
      return a1 < b1 and -1 or 1
    elseif a2 ~= b2 then
      return (a2 or -1) < (b2 or -1) and -1 or 1
    elseif a3 ~= b3 then
      return (a3 or -1) < (b3 or -1) and -1 or 1
    elseif a4 ~= b4 then
      return (a4 or -1) < (b4 or -1) and -1 or 1
    end
  end
  return #a < #b and -1 or 1
end

-- What a node sorts entries by behind node_id and generation_id: IPv4 before IPv6, address, port.
local function address_key(bytes, ip_version_at, port_at)
  local low, high = byte(bytes, port_at + 1, port_at + 2)
  return sub(bytes, ip_version_at + 1, port_at) .. char(high, low)
end

local function is_behind(digest, bytes, name, generation_id_at, ip_version_at, port_at)
  local order = compare(digest.name, name)
  if order ~= 0 then
    return order < 0
  end
  local high, low = halves(bytes, generation_id_at)
  local high_before, low_before = halves(bytes, digest.generation_id_at)
  if high ~= high_before then
    return high_before < high
  elseif low ~= low_before then
    return low_before < low
  end
  local address_before = address_key(bytes, digest.ip_version_at, digest.port_at)
  return compare(address_before, address_key(bytes, ip_version_at, port_at)) < 0
end

-- The set of the identities of all entries but the last.
local function identities(digest, bytes)
  local seen = {}
  for index = 1, #digest.starts - 1 do
    seen[sub(bytes, digest.starts[index] + 1, digest.stops[index])] = true
  end
  return seen
end

-- An entry of a digest: a node sorts them and has each once.
local function check_node_digest(message, stream, bytes, at, item, node_id, generation_id_at, ip_version_at, port_at)
  local digest = message.digest
  local stop = port_at + 2
  if not digest then
    message.digest = {
      name = node_id, generation_id_at = generation_id_at, ip_version_at = ip_version_at, port_at = port_at,
      starts = { at }, stops = { stop },
    }
    return
  end
  local count = #digest.starts + 1
  digest.starts[count], digest.stops[count] = at, stop
  local in_order = is_behind(digest, bytes, node_id, generation_id_at, ip_version_at, port_at)
  if not in_order and not digest.seen then
    digest.seen = identities(digest, bytes)
  end
  if digest.seen then
    local identity = sub(bytes, at + 1, stop)
    local counted_in = stream and "decompressed digest" or "message"
    if digest.seen[identity] then
      remark(message, "duplicate-digest", item, "node '%s' (at byte %d of the %s)", printable(node_id), at, counted_in)
    elseif not in_order then
      local detail = "'%s' is out of place (at byte %d of the %s)"
      remark(message, "unsorted-digest", item, detail, printable(node_id), at, counted_in)
    end
    digest.seen[identity] = true
  end
  digest.name, digest.generation_id_at, digest.ip_version_at, digest.port_at =
    node_id, generation_id_at, ip_version_at, port_at
end

local function in_delta(at)
  return format(" (at byte %d of the decompressed delta)", at)
end

-- The operations of a delta as a sequence. A node looks at it when it has read all of them, so the first thing that it
-- refuses is kept until the end of the message, when no other trouble was met.
local function out_of_sequence(message, delta, code, item, at, detail)
  if not delta.trouble then
    delta.trouble = { code = code, item = item, detail = detail .. in_delta(at) }
  end
end

local function delta_of(message)
  local delta = message.delta
  if not delta then
    delta = { known = {} }
    message.delta = delta
  end
  return delta
end

-- Opens the section of a node, which no section was of before.
local function check_node_op(
  message, stream, bytes, at, item, node_id, node_id_len_at, last_gc_version_at, from_version_excluded_at
)
  local delta = delta_of(message)
  local identity = sub(bytes, node_id_len_at + 1, last_gc_version_at)
  if delta.known[identity] then
    local detail = format("a second section of node '%s'", printable(node_id))
    out_of_sequence(message, delta, "duplicate-node", item, at, detail)
  end
  delta.known[identity] = true
  delta.high, delta.low = 0, 0
  local from_high, from_low = halves(bytes, from_version_excluded_at)
  local gc_high, gc_low = halves(bytes, last_gc_version_at)
  if from_high + from_low == 0 and gc_high + gc_low > 0 then
    local collected = decimal(bytes, last_gc_version_at)
    remark(message, "reset", item, "node '%s', collected up to version %s%s", printable(node_id), collected, in_delta(at))
  end
end

-- The versions of a section's key-values rise, from above 0 or above the SetMaxVersion before them.
local function check_key_value_op(message, stream, bytes, at, item, key, version_at)
  local delta = delta_of(message)
  local high, low = halves(bytes, version_at)
  if not delta.high then
    out_of_sequence(message, delta, "no-node", item, at, "there is no Node operation before this one")
  elseif high < delta.high or high == delta.high and low <= delta.low then
    local detail = format("version %s of key '%s' does not rise", decimal(bytes, version_at), printable(key))
    out_of_sequence(message, delta, "version-order", item, at, detail)
  end
  if (byte(key) or 0) >= 128 then
    remark(message, "non-ascii-key", item, "the key is '%s'%s", printable(key), in_delta(at))
  end
  delta.high, delta.low = high, low
end

local function check_set_max_version_op(message, stream, bytes, at, item, max_version_at)
  local delta = delta_of(message)
  local high, low = halves(bytes, max_version_at)
  if not delta.high then
    out_of_sequence(message, delta, "no-node", item, at, "there is no Node operation before this one")
  elseif high < delta.high or high == delta.high and low < delta.low then
    remark(message, "lowered-max-version", item, "%s is set%s", decimal(bytes, max_version_at), in_delta(at))
  end
  delta.high, delta.low = high, low
end

-- What can only be said of a message that was read to its end.
local function check_message(message)
  local out = message.delta and message.delta.trouble
  if out then
    refuse(message, out.code, out.item, out.detail)
    return
  end
  local size = (message.ends.digest or HEADER_SIZE) - HEADER_SIZE
  if size > DIGEST_NEAR_LIMIT then
    local entries = counted(message, "digest") -- nil where streams are not decompressed
    remark(message, "digest-near-limit", nil, "%d bytes%s", size, entries and ", entries: " .. entries or "")
  end
end

---------------------------------------------------------------------------------------------------------------------------
-- Layers, innermost first
---------------------------------------------------------------------------------------------------------------------------

local KINDS, LISTS, PAYLOADS = {}, {}, {}

---------------------------------------------------------------------------------------------------------------------------
-- Block: A block of a compressed stream. The closing block is its type alone.
---------------------------------------------------------------------------------------------------------------------------

local function read_block_carefully(reader)
  local type_value = take_known_byte(reader, F.block_type, "type", NAMES.block_type, "bad-block-type", "field-short", true)
  local len
  if type_value ~= 0 then
    len = take_le(reader, F.block_len, "len", 2)
  end
  local data
  if type_value ~= 0 then
    data = take_bytes(reader, F.block_data, "data", len, "block-short")
  end
  return type_value == 0, data, len, type_value == 1 and decompress
end

KINDS.block = {
  name = "Block", field = F.block, leaves = 4,
  quick = nil, careful = read_block_carefully,
}

---------------------------------------------------------------------------------------------------------------------------
-- NodeDigest: An entry of a digest: how much its sender knows of one node.
---------------------------------------------------------------------------------------------------------------------------

local function read_node_digest_carefully(reader)
  local node_id_len = take_le(reader, F.node_digest_node_id_len, "node_id_len", 2)
  take_text(reader, F.node_digest_node_id, "node_id", node_id_len, "string-short", true)
  take_le(reader, F.node_digest_generation_id, "generation_id", 8)
  local ip_version = take_ip_version(reader, F.node_digest_ip_version, "ip_version", "bad-ip-version")
  take_address(reader, F.node_digest_ip, F.node_digest_ipv6, "ip", ip_version)
  take_le(reader, F.node_digest_port, "port", 2)
  take_le(reader, F.node_digest_heartbeat, "heartbeat", 8)
  take_le(reader, F.node_digest_last_gc_version, "last_gc_version", 8)
  take_le(reader, F.node_digest_max_version, "max_version", 8)
end

local function read_node_digest(message, stream, bytes, at, stop, tvb, tree)
  if at + 2 > stop then
    return nil
  end
  local low_node_id_len, high_node_id_len = byte(bytes, at + 1, at + 2)
  local node_id_len = low_node_id_len + high_node_id_len * 256
  local node_id_end = at + 2 + node_id_len
  if node_id_end + 9 > stop then
    return nil
  end
  local node_id = sub(bytes, at + 3, node_id_end)
  local odd_node_id = find(node_id, UNPRINTABLE)
  if odd_node_id and utf8_error(node_id) then
    return nil
  end
  local ip_version = byte(bytes, node_id_end + 9)
  local ip_size = ADDRESS_SIZES[ip_version]
  if not ip_size then
    return nil
  end
  local ip_end = node_id_end + 9 + ip_size
  if ip_end + 26 > stop then
    return nil
  end
  local item
  if tree then
    item = add(tree, F.node_digest, tvb(at, ip_end + 26 - at))
    if message.visible then
      local node_id_label = (odd_node_id or #node_id > LONGEST_LABEL) and printable(node_id) or node_id
      set_text(item, "NodeDigest: " .. node_id_label .. ", max version " .. decimal(bytes, ip_end + 18))
    end
    add_le(item, F.node_digest_node_id_len, tvb(at, 2))
    if odd_node_id then
      add_text(item, F.node_digest_node_id, tvb(at + 2, node_id_len), node_id)
    else
      add(item, F.node_digest_node_id, tvb(at + 2, node_id_len), node_id)
    end
    add_le(item, F.node_digest_generation_id, tvb(node_id_end, 8))
    add(item, F.node_digest_ip_version, tvb(node_id_end + 8, 1))
    add(item, ip_version == 4 and F.node_digest_ip or F.node_digest_ipv6, tvb(node_id_end + 9, ip_size))
    add_le(item, F.node_digest_port, tvb(ip_end, 2))
    add_le(item, F.node_digest_heartbeat, tvb(ip_end + 2, 8))
    add_le(item, F.node_digest_last_gc_version, tvb(ip_end + 10, 8))
    add_le(item, F.node_digest_max_version, tvb(ip_end + 18, 8))
  end
  check_node_digest(message, stream, bytes, at, item, node_id, node_id_end, node_id_end + 8, ip_end)
  return ip_end + 26
end

KINDS.node_digest = {
  name = "NodeDigest", field = F.node_digest, leaves = 10,
  quick = read_node_digest, careful = read_node_digest_carefully,
}

---------------------------------------------------------------------------------------------------------------------------
-- NodeOp: Opens the section of one node: the operations that follow are about it.
---------------------------------------------------------------------------------------------------------------------------

local function read_node_op_carefully(reader)
  take_known_byte(reader, F.node_op_tag, "tag", NAMES.node_op_tag, "bad-tag", "field-short", false)
  local node_id_len = take_le(reader, F.node_op_node_id_len, "node_id_len", 2)
  take_text(reader, F.node_op_node_id, "node_id", node_id_len, "string-short", true)
  take_le(reader, F.node_op_generation_id, "generation_id", 8)
  local ip_version = take_ip_version(reader, F.node_op_ip_version, "ip_version", "bad-ip-version")
  take_address(reader, F.node_op_ip, F.node_op_ipv6, "ip", ip_version)
  take_le(reader, F.node_op_port, "port", 2)
  take_le(reader, F.node_op_last_gc_version, "last_gc_version", 8)
  take_le(reader, F.node_op_from_version_excluded, "from_version_excluded", 8)
end

local function read_node_op(message, stream, bytes, at, stop, tvb, tree)
  if at + 3 > stop then
    return nil
  end
  local low_node_id_len, high_node_id_len = byte(bytes, at + 2, at + 3)
  local node_id_len = low_node_id_len + high_node_id_len * 256
  local node_id_end = at + 3 + node_id_len
  if node_id_end + 9 > stop then
    return nil
  end
  local node_id = sub(bytes, at + 4, node_id_end)
  local odd_node_id = find(node_id, UNPRINTABLE)
  if odd_node_id and utf8_error(node_id) then
    return nil
  end
  local ip_version = byte(bytes, node_id_end + 9)
  local ip_size = ADDRESS_SIZES[ip_version]
  if not ip_size then
    return nil
  end
  local ip_end = node_id_end + 9 + ip_size
  if ip_end + 18 > stop then
    return nil
  end
  local item
  if tree then
    item = add(tree, F.node_op, tvb(at, ip_end + 18 - at))
    if message.visible then
      local node_id_label = (odd_node_id or #node_id > LONGEST_LABEL) and printable(node_id) or node_id
      set_text(item, "NodeOp: " .. node_id_label)
    end
    add(item, F.node_op_tag, tvb(at, 1))
    add_le(item, F.node_op_node_id_len, tvb(at + 1, 2))
    if odd_node_id then
      add_text(item, F.node_op_node_id, tvb(at + 3, node_id_len), node_id)
    else
      add(item, F.node_op_node_id, tvb(at + 3, node_id_len), node_id)
    end
    add_le(item, F.node_op_generation_id, tvb(node_id_end, 8))
    add(item, F.node_op_ip_version, tvb(node_id_end + 8, 1))
    add(item, ip_version == 4 and F.node_op_ip or F.node_op_ipv6, tvb(node_id_end + 9, ip_size))
    add_le(item, F.node_op_port, tvb(ip_end, 2))
    add_le(item, F.node_op_last_gc_version, tvb(ip_end + 2, 8))
    add_le(item, F.node_op_from_version_excluded, tvb(ip_end + 10, 8))
  end
  check_node_op(message, stream, bytes, at, item, node_id, at + 1, ip_end + 2, ip_end + 10)
  return ip_end + 18
end

KINDS.node_op = {
  name = "NodeOp", field = F.node_op, leaves = 10,
  quick = read_node_op, careful = read_node_op_carefully,
}

---------------------------------------------------------------------------------------------------------------------------
-- KeyValueOp: A change of one key of the node whose section this is.
---------------------------------------------------------------------------------------------------------------------------

local function read_key_value_op_carefully(reader)
  take_known_byte(reader, F.key_value_op_tag, "tag", NAMES.node_op_tag, "bad-tag", "field-short", false)
  local key_len = take_le(reader, F.key_value_op_key_len, "key_len", 2)
  take_text(reader, F.key_value_op_key, "key", key_len, "string-short", true)
  local value_len = take_le(reader, F.key_value_op_value_len, "value_len", 2)
  take_text(reader, F.key_value_op_value, "value", value_len, "string-short", true)
  take_le(reader, F.key_value_op_version, "version", 8)
  take_known_byte(reader, F.key_value_op_status, "status", NAMES.key_value_op_status, "bad-status", "field-short", false)
end

local function read_key_value_op(message, stream, bytes, at, stop, tvb, tree)
  if at + 3 > stop then
    return nil
  end
  local low_key_len, high_key_len = byte(bytes, at + 2, at + 3)
  local key_len = low_key_len + high_key_len * 256
  local key_end = at + 3 + key_len
  if key_end + 2 > stop then
    return nil
  end
  local key = sub(bytes, at + 4, key_end)
  local odd_key = find(key, UNPRINTABLE)
  if odd_key and utf8_error(key) then
    return nil
  end
  local low_value_len, high_value_len = byte(bytes, key_end + 1, key_end + 2)
  local value_len = low_value_len + high_value_len * 256
  local value_end = key_end + 2 + value_len
  if value_end + 9 > stop then
    return nil
  end
  local value = sub(bytes, key_end + 3, value_end)
  local odd_value = find(value, UNPRINTABLE)
  if odd_value and utf8_error(value) then
    return nil
  end
  if not NAMES.key_value_op_status[byte(bytes, value_end + 9)] then
    return nil
  end
  local item
  if tree then
    item = add(tree, F.key_value_op, tvb(at, value_end + 9 - at))
    if message.visible then
      local key_label = (odd_key or #key > LONGEST_LABEL) and printable(key) or key
      local value_label = (odd_value or #value > LONGEST_LABEL) and printable(value) or value
      set_text(item, "KeyValueOp: " .. key_label .. ", " .. value_label)
    end
    add(item, F.key_value_op_tag, tvb(at, 1))
    add_le(item, F.key_value_op_key_len, tvb(at + 1, 2))
    if odd_key then
      add_text(item, F.key_value_op_key, tvb(at + 3, key_len), key)
    else
      add(item, F.key_value_op_key, tvb(at + 3, key_len), key)
    end
    add_le(item, F.key_value_op_value_len, tvb(key_end, 2))
    if odd_value then
      add_text(item, F.key_value_op_value, tvb(key_end + 2, value_len), value)
    else
      add(item, F.key_value_op_value, tvb(key_end + 2, value_len), value)
    end
    add_le(item, F.key_value_op_version, tvb(value_end, 8))
    add(item, F.key_value_op_status, tvb(value_end + 8, 1))
  end
  check_key_value_op(message, stream, bytes, at, item, key, value_end)
  return value_end + 9
end

KINDS.key_value_op = {
  name = "KeyValueOp", field = F.key_value_op, leaves = 8,
  quick = read_key_value_op, careful = read_key_value_op_carefully,
}

---------------------------------------------------------------------------------------------------------------------------
-- SetMaxVersionOp: The version of a node that has no key-values to show for it any more.
---------------------------------------------------------------------------------------------------------------------------

local function read_set_max_version_op_carefully(reader)
  take_known_byte(reader, F.set_max_version_op_tag, "tag", NAMES.node_op_tag, "bad-tag", "field-short", false)
  take_le(reader, F.set_max_version_op_max_version, "max_version", 8)
end

local function read_set_max_version_op(message, stream, bytes, at, stop, tvb, tree)
  if at + 9 > stop then
    return nil
  end
  local item
  if tree then
    item = add(tree, F.set_max_version_op, tvb(at, 9))
    if message.visible then
      set_text(item, "SetMaxVersionOp: max version " .. decimal(bytes, at + 1))
    end
    add(item, F.set_max_version_op_tag, tvb(at, 1))
    add_le(item, F.set_max_version_op_max_version, tvb(at + 1, 8))
  end
  check_set_max_version_op(message, stream, bytes, at, item, at + 1)
  return at + 9
end

KINDS.set_max_version_op = {
  name = "SetMaxVersionOp", field = F.set_max_version_op, leaves = 3,
  quick = read_set_max_version_op, careful = read_set_max_version_op_carefully,
}

---------------------------------------------------------------------------------------------------------------------------
-- ChitchatSyn: Opens a handshake: what I know of whom.
---------------------------------------------------------------------------------------------------------------------------

LISTS.digest = {
  name = "digest", label = "Digest", field = F.digest,
  only = KINDS.node_digest,
  fields = {
    F.digest, F.node_digest, F.node_digest_node_id_len, F.node_digest_node_id, F.node_digest_generation_id,
    F.node_digest_ip_version, F.node_digest_ip, F.node_digest_ipv6, F.node_digest_port, F.node_digest_heartbeat,
    F.node_digest_last_gc_version, F.node_digest_max_version,
  },
}

LISTS.digest_blocks = {
  name = "digest_blocks", label = "Digest blocks", field = F.digest_blocks,
  block = KINDS.block, holds = LISTS.digest, refused_as = "bad-zstd",
  fields = {
    F.digest_blocks, F.block, F.block_type, F.block_len, F.block_data,
  },
}

local function read_chitchat_syn(reader)
  local held_digest
  if reader.values.version == 0 then
    reader.values.digest_count = take_le(reader, F.digest_count, "digest_count", 2)
  end
  if reader.values.version ~= 0 then
    held_digest = read_blocks(reader, LISTS.digest_blocks)
  end
  if held_digest then
    read_held(reader, held_digest)
  else
    read_items(reader, LISTS.digest, reader.values.digest_count)
  end
  reader.values.cluster_id_len = take_le(reader, F.cluster_id_len, "cluster_id_len", 2)
  reader.values.cluster_id = take_text(reader, F.cluster_id, "cluster_id", reader.values.cluster_id_len, "string-short", true)
end
PAYLOADS[0] = read_chitchat_syn

---------------------------------------------------------------------------------------------------------------------------
-- ChitchatSynAck: Answers a Syn: what I know of whom, and what your digest says you lack.
---------------------------------------------------------------------------------------------------------------------------

LISTS.delta = {
  name = "delta", label = "Delta", field = F.delta,
  by_tag = { [0] = KINDS.node_op, [1] = KINDS.key_value_op, [2] = KINDS.set_max_version_op }, refused_as = "bad-tag",
  fields = {
    F.delta, F.node_op, F.node_op_tag, F.node_op_node_id_len, F.node_op_node_id, F.node_op_generation_id,
    F.node_op_ip_version, F.node_op_ip, F.node_op_ipv6, F.node_op_port, F.node_op_last_gc_version,
    F.node_op_from_version_excluded, F.key_value_op, F.key_value_op_tag, F.key_value_op_key_len, F.key_value_op_key,
    F.key_value_op_value_len, F.key_value_op_value, F.key_value_op_version, F.key_value_op_status, F.set_max_version_op,
    F.set_max_version_op_tag, F.set_max_version_op_max_version,
  },
}

LISTS.delta_blocks = {
  name = "delta_blocks", label = "Delta blocks", field = F.delta_blocks,
  block = KINDS.block, holds = LISTS.delta, refused_as = "bad-zstd",
  fields = {
    F.delta_blocks, F.block, F.block_type, F.block_len, F.block_data,
  },
}

local function read_chitchat_syn_ack(reader)
  local held_digest, held_delta
  if reader.values.version == 0 then
    reader.values.digest_count = take_le(reader, F.digest_count, "digest_count", 2)
  end
  if reader.values.version ~= 0 then
    held_digest = read_blocks(reader, LISTS.digest_blocks)
  end
  if held_digest then
    read_held(reader, held_digest)
  else
    read_items(reader, LISTS.digest, reader.values.digest_count)
  end
  held_delta = read_blocks(reader, LISTS.delta_blocks)
  read_held(reader, held_delta)
end
PAYLOADS[1] = read_chitchat_syn_ack

---------------------------------------------------------------------------------------------------------------------------
-- ChitchatAck: Closes a handshake: what your digest says you lack.
---------------------------------------------------------------------------------------------------------------------------

local function read_chitchat_ack(reader)
  local held_delta
  held_delta = read_blocks(reader, LISTS.delta_blocks)
  read_held(reader, held_delta)
end
PAYLOADS[2] = read_chitchat_ack

---------------------------------------------------------------------------------------------------------------------------
-- ChitchatBadCluster: Answers a Syn of another cluster.
---------------------------------------------------------------------------------------------------------------------------

local function read_chitchat_bad_cluster(reader)
end
PAYLOADS[3] = read_chitchat_bad_cluster

---------------------------------------------------------------------------------------------------------------------------
-- Chitchat: The header of every message.
---------------------------------------------------------------------------------------------------------------------------

local function read_chitchat(reader)
  reader.values.magic = take_magic(reader, F.magic, "magic", 2, 45139, 3, "too-short", "bad-magic")
  reader.values.version = take_known_byte(reader, F.version, "version", NAMES.version, "bad-version", "too-short", false)
  reader.values.type = take_known_byte(reader, F.type, "type", NAMES.type, "bad-type", "bad-type", false)
  local read_payload = PAYLOADS[reader.values.type]
  if reader.message.trouble then
    show_rest(reader)
  elseif read_payload then
    read_payload(reader)
  end
end

---------------------------------------------------------------------------------------------------------------------------
-- What a message is known by
---------------------------------------------------------------------------------------------------------------------------

local function has_magic(tvb)
  return tvb:len() >= 2 and tvb:raw(0, 2) == "\083\176"
end

local function looks_like_message(tvb)
  if tvb:len() < 4 then
    return false
  end
  local header = tvb:raw(0, 4)
  return sub(header, 1, 2) == "\083\176" and NAMES.version[byte(header, 3)] and NAMES.type[byte(header, 4)] and true or false
end

---------------------------------------------------------------------------------------------------------------------------
-- Conversation (conversation.lua, hand-written)
---------------------------------------------------------------------------------------------------------------------------

-- What one line says of a message, and which message answers which.

-- "SynAck V1, digest=5, delta=2 nodes/7 keys"
local function summary(message)
  local values = message.values
  local kind, version = NAMES.type[values.type or -1], NAMES.version[values.version or -1]
  if not kind or not version or message.trouble == "bad-magic" then
    return "Chitchat"
  end
  local words = { kind .. " " .. version }
  if values.cluster_id then
    words[#words + 1] = "cluster=" .. printable(values.cluster_id)
  end
  local entries = counted(message, "digest")
  if entries then
    words[#words + 1] = "digest=" .. entries
  end
  local nodes, keys = counted(message, "delta", "NodeOp"), counted(message, "delta", "KeyValueOp")
  if nodes then
    words[#words + 1] = format("delta=%d nodes/%d keys", nodes, keys)
  end
  return concat(words, ", ")
end

-- Whether a node refuses the message, or why nothing can be said of that.
local function verdict(message)
  local code = message.trouble
  if not code then
    return ""
  end
  return EXPERTS[code].is_error and format(" [Malformed: %s]", code) or format(" [%s]", code)
end

-- Gossip has no transaction number. A message is taken for the answer to the oldest unanswered one in the other direction,
-- between the same two addresses and ports, that it can be an answer to.
local waiting = {} -- by who could be answered and type: the frames and times of unanswered messages
local answered, answers = {}, {} -- by frame and direction

local function forget_conversations()
  waiting, answered, answers = {}, {}, {}
end

local ANSWERED_BY = {} -- by type of an answer: the types that it can answer
for _, pair in ipairs(ANSWERS) do
  ANSWERED_BY[pair[2]] = pair[1]
end
local IS_ANSWERED = {}
for _, pair in ipairs(ANSWERS) do
  IS_ANSWERED[pair[1]] = true
end

local function queue_of(direction, kind)
  local key = direction .. " " .. kind
  local queue = waiting[key]
  if not queue then
    queue = { first = 1, last = 0 }
    waiting[key] = queue
  end
  return queue
end

local function track(frame, time, from, to, kind)
  local asked = ANSWERED_BY[kind]
  if asked then
    local queue = queue_of(to .. from, asked)
    local oldest = queue[queue.first]
    if oldest then
      queue[queue.first] = nil
      queue.first = queue.first + 1
      answered[oldest.frame .. to .. from] = frame
      answers[frame .. from .. to] = { frame = oldest.frame, time = time - oldest.time }
    end
  end
  if IS_ANSWERED[kind] then
    local queue = queue_of(from .. to, kind)
    queue.last = queue.last + 1
    queue[queue.last] = { frame = frame, time = time }
  end
end

-- Seconds as Wireshark's exact time. The capture's own clock counts from its first frame, so that a double has room for
-- nanoseconds, which it has not for seconds since 1970.
local function exact(seconds)
  local nanoseconds = math.floor(seconds * 1e9 + 0.5)
  local rest = nanoseconds % 1000000000
  return NSTime.new((nanoseconds - rest) / 1000000000, rest)
end

-- On the first pass notes what answers what; always shows what is known.
local function follow_conversation(message)
  local pinfo = message.pinfo
  local from, to = format("|%s|%d", pinfo.src, pinfo.src_port), format("|%s|%d", pinfo.dst, pinfo.dst_port)
  local frame = pinfo.number
  if not pinfo.visited then
    track(frame, pinfo.rel_ts, from, to, message.values.type)
  end
  local response, request = answered[frame .. from .. to], answers[frame .. from .. to]
  if response then
    message.root:add(F.response_in, response):set_generated(true)
  end
  if request then
    message.root:add(F.response_to, request.frame):set_generated(true)
    message.root:add(F.response_time, exact(request.time)):set_generated(true)
  end
end

local function describe(message)
  local text, judgement = summary(message), verdict(message)
  message.root:append_text(", " .. text .. judgement)
  message.pinfo.cols.protocol = PROTOCOL.name
  message.pinfo.cols.info = text .. judgement
  if not message.trouble and not message.pinfo.in_error_pkt then
    follow_conversation(message)
  end
end
PROTOCOL.init = forget_conversations

---------------------------------------------------------------------------------------------------------------------------
-- A whole message
---------------------------------------------------------------------------------------------------------------------------

local READ = read_chitchat

local function finish(message)
  message.pinfo.cols.protocol = "Chitchat"
  if message.done then
    check_message(message)
  end
  if not message.trouble then
    report_remarks(message)
  end
  describe(message)
end

---------------------------------------------------------------------------------------------------------------------------
-- Registration (dissector.lua, hand-written)
---------------------------------------------------------------------------------------------------------------------------

-- How Wireshark comes to call the dissector: ports, Decode As, the heuristic; and the preferences.

PROTOCOL.prefs.ports = Pref.range("UDP ports", DEFAULT_PORTS, "Ports on which every datagram is taken for this protocol; on the usual ones those that begin as a message", 65535)
PROTOCOL.prefs.skip_bytes = Pref.uint("Bytes before a message", 0, "So many bytes, such as a signature, are passed over in each datagram")
if HAS_STREAMS then
  PROTOCOL.prefs.decompress = Pref.bool("Decompress streams", true, "Show what compressed blocks hold")
  PROTOCOL.prefs.stream_limit = Pref.uint(
    "Decompressed size limit (KiB)", 1024, "How much of one stream is decompressed; what goes beyond is not read"
  )
end

-- A dissector makes two objects for each field of the tree, which are garbage when it returns. Lua's usual pace lets so much
-- of that pile up that memory is no longer near; collecting early and in large steps takes a fifth off the whole.
collectgarbage("setpause", 130)
collectgarbage("setstepmul", 5000)

-- The message in a datagram; nil where nothing is behind what is to be passed over.
local function unwrapped(tvb)
  local skipped = PROTOCOL.prefs.skip_bytes
  if skipped == 0 then
    return tvb
  end
  return tvb:len() > skipped and tvb(skipped):tvb() or nil
end

local HOME = {}
for port in string.gmatch(DEFAULT_PORTS, "%d+") do
  HOME[tonumber(port)] = true
end

-- On the usual ports much else may be at home, too. Who names ports means every datagram there.
local function is_foreign(tvb, pinfo)
  return has_magic
    and PROTOCOL.prefs.ports == DEFAULT_PORTS
    and (HOME[pinfo.src_port] or HOME[pinfo.dst_port])
    and not has_magic(tvb)
end

local function dissect(tvb, pinfo, tree)
  local inside = unwrapped(tvb)
  if not inside or is_foreign(inside, pinfo) then
    return 0
  end
  local message = read_message(READ, inside, pinfo, tree)
  finish(message)
  return tvb:len()
end

PROTOCOL.dissector = dissect

-- A default of a range preference calls nobody, so the first registration is ours.
local udp_ports = DissectorTable.get("udp.port")
local registered_ports = PROTOCOL.prefs.ports
udp_ports:add(registered_ports, PROTOCOL)

function PROTOCOL.prefs_changed()
  if PROTOCOL.prefs.ports ~= registered_ports then
    if registered_ports ~= "" then
      udp_ports:remove(registered_ports, PROTOCOL)
    end
    registered_ports = PROTOCOL.prefs.ports
    if registered_ports ~= "" then
      udp_ports:add(registered_ports, PROTOCOL)
    end
  end
end

-- On any other port a message is known by its header, every value of which must be one that nodes know. The conversation
-- then stays with this dissector.
if looks_like_message then
  PROTOCOL:register_heuristic("udp", function(tvb, pinfo, tree)
    local inside = unwrapped(tvb)
    if not inside or not looks_like_message(inside) then
      return false
    end
    dissect(tvb, pinfo, tree)
    pinfo.conversation = PROTOCOL
    return true
  end)
end
