-- SPDX-License-Identifier: GPL-2.0-or-later
--
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
