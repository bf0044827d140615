-- SPDX-License-Identifier: GPL-2.0-or-later
--
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
