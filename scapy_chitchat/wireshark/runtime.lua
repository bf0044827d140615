-- SPDX-License-Identifier: GPL-2.0-or-later
--
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
