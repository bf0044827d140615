-- SPDX-License-Identifier: GPL-2.0-or-later
--
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
