-- SPDX-License-Identifier: GPL-2.0-or-later
--
-- How Wireshark comes to call the dissector: ports, Decode As, the heuristic; and the preferences.

PROTOCOL.prefs.ports = Pref.range("UDP ports", DEFAULT_PORTS, "Ports on which every datagram is taken for this protocol", 65535)
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

local function dissect(tvb, pinfo, tree)
  local message = read_message(READ, tvb, pinfo, tree)
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
    if not looks_like_message(tvb) then
      return false
    end
    dissect(tvb, pinfo, tree)
    pinfo.conversation = PROTOCOL
    return true
  end)
end
