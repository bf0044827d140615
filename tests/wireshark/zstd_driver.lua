-- SPDX-License-Identifier: GPL-2.0-or-later
--
-- Decompresses what the tests send: lua zstd_driver.lua ZSTD_LUA LIMIT < inputs > outcomes
-- An input is its length (four bytes, little-endian) and its bytes; an outcome is a byte, 1 or 0 for accepted or refused,
-- and in the same form the content or the reason.

local path, limit = arg[1], tonumber(arg[2])
local zstd = dofile(path)

local function length_field(length)
  local field = ""
  for _ = 1, 4 do
    field = field .. string.char(length % 256)
    length = (length - length % 256) / 256
  end
  return field
end

while true do
  local field = io.read(4)
  if not field then
    break
  end
  local a, b, c, d = field:byte(1, 4)
  local length = a + b * 256 + c * 65536 + d * 16777216
  local content, reason = zstd.decompress(length > 0 and io.read(length) or "", limit)
  io.write(content and "\1" or "\0", length_field(#(content or reason)), content or reason)
end
