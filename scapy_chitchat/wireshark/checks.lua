-- SPDX-License-Identifier: GPL-2.0-or-later
--
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
