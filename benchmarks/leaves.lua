-- SPDX-License-Identifier: GPL-2.0-or-later
-- What Wireshark's Lua interface costs by itself: as many fields as a real message of that size has, one after the other,
-- from a dissector that reads nothing, checks nothing and writes no labels. No dissector in Lua can be cheaper.

local protocol = Proto("leaves", "Leaves alone")
protocol.fields.number = ProtoField.uint64("leaves.number", "Number")
local number = protocol.fields.number
local add_le = TreeItem.add_le

local BYTES_PER_FIELD = 5 -- as in the messages that benchmarks/wireshark_speed.py makes

function protocol.dissector(tvb, pinfo, tree)
  local root = tree:add(protocol, tvb())
  for at = 0, tvb:len() - 8, BYTES_PER_FIELD do
    add_le(root, number, tvb(at, 8))
  end
end

DissectorTable.get("udp.port"):add(7280, protocol)
