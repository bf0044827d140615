-- SPDX-License-Identifier: GPL-2.0-or-later
--
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
