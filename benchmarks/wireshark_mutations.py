# SPDX-License-Identifier: GPL-2.0-or-later
"""Hostile messages through tshark: no Lua error, no crash, nothing slow, memory bounded.

    python -m benchmarks.wireshark_mutations [--count 1000000] [--seed 1] [--batch 5000] [--tshark FOLDER]

The messages are those of tests/mutations.py, and once in each batch one that is made to be as expensive as a datagram
can be. Every field is made and labelled, as in the window. Prints the slowest message and the largest tshark; exits
with 1 when anything went wrong, and keeps the batch.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard

from scapy_chitchat import Block, Chitchat, ChitchatAck, ChitchatSynAck, KeyValueOp, NodeDigest, NodeOp, SetMaxVersionOp
from tests.mutations import Mutator
from tests.support.tsharks import DISSECTOR, Tshark, write_capture

TIMER = """
local slowest = 0
function PROTOCOL.dissector(tvb, pinfo, tree)
  local before = os.clock()
  local read = dissect(tvb, pinfo, tree)
  local seconds = os.clock() - before
  if seconds > slowest then
    slowest = seconds
    io.stderr:write(string.format("slowest %.4f frame %d\\n", seconds, pinfo.number))
  end
  return read
end
"""
"""Put behind the dissector: it tells on standard error of each message that is slower than all before it."""

SLOW = 1.0
BIG = 1024 * 1024


def bombs() -> list[bytes]:
    """Messages that ask for as much work as fits in a datagram."""
    compress = zstandard.ZstdCompressor(level=19).compress
    of_size = 65535
    zeros = [Block(type=1, data=compress(bytes(of_size)))]
    operations = bytes(SetMaxVersionOp(max_version=1)) * (of_size // 9)
    lowering = b"".join(bytes(SetMaxVersionOp(max_version=9 - index % 9)) for index in range(of_size // 9))
    keys = bytes(KeyValueOp(key="é", version=1)) * (of_size // 16)
    node = Block(type=2, data=bytes(NodeOp(node_id="n")))
    entries = bytes(NodeDigest(node_id="")) * (of_size // 41)
    last = Block(type=0)

    def stream(content: bytes, size: int = 60000) -> list[Block]:
        block = Block(type=1, data=compress(content))
        return [block] * min(2800, size // len(bytes(block)))

    return [
        bytes(Chitchat() / ChitchatAck(delta_blocks=[*stream(bytes(of_size)), last])),
        bytes(Chitchat() / ChitchatAck(delta_blocks=[node, *stream(operations), last])),
        bytes(Chitchat() / ChitchatAck(delta_blocks=[node, *stream(lowering), last])),
        bytes(Chitchat() / ChitchatAck(delta_blocks=[node, *stream(keys), last])),
        bytes(
            Chitchat(version=1)
            / ChitchatSynAck(
                digest_blocks=[*stream(entries, 30000), last], delta_blocks=[node, *stream(lowering, 30000), last]
            )
        ),
        bytes(Chitchat() / ChitchatAck(delta_blocks=[*([Block(type=2, data=b"")] * 20000), last])),
        bytes(Chitchat() / ChitchatAck(delta_blocks=[*([Block(type=1, data=b"")] * 20000), last])),
        bytes(Chitchat() / ChitchatAck(delta_blocks=[*zeros, last])) + bytes(60000),
    ]


@dataclass
class Outcome:
    """What became of one batch."""

    complaints: list[str]
    slowest: float
    slowest_frame: int
    kilobytes: int


def run_batch(tshark: Tshark, script: Path, capture: Path) -> Outcome:
    """One tshark; a Lua error would be printed as a packet."""
    command = [*tshark.command(), "-n", "-X", f"lua_script:{tshark.path_of(script)}", "-r", tshark.path_of(capture)]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen([*command, "-V", "-Y", "_ws.lua.error"], stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        printed, said = out.read().decode("utf-8", "replace"), err.read().decode("utf-8", "replace")
    complaints = [line for line in printed.splitlines() if "Error" in line][:3]
    if process.returncode:
        complaints.append(f"exit status {process.returncode}")
    times = [(float(seconds), int(frame)) for seconds, frame in re.findall(r"slowest ([\d.]+) frame (\d+)", said)]
    complaints += [line for line in said.splitlines() if not re.match(r"slowest|Running as user|\s*$", line)]
    slowest, frame = max(times, default=(0.0, 0))
    if not times:
        complaints.append("the dissector was not called")
    return Outcome(complaints, slowest, frame, usage.ru_maxrss)


def batches(seed: int, size: int) -> Iterator[list[bytes]]:
    """Batches of hostile messages, each with an expensive one in the middle."""
    messages = (data[:65507] for _, data in Mutator(seed))
    for bomb in itertools.cycle(bombs()):
        batch = list(itertools.islice(messages, size - 1))
        yield [*batch[: size // 2], bomb, *batch[size // 2 :]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=5000)
    parser.add_argument("--tshark", type=Path, help="a folder with a tshark of its own (tests/wireshark/get_tshark.sh)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(run(Tshark(given.tshark), given.count, given.seed, given.batch, Path(folder)))


def run(tshark: Tshark, count: int, seed: int, size: int, folder: Path) -> int:
    """Everything; gives the exit status."""
    script, capture = folder / "timed.lua", folder / "batch.pcap"
    script.write_text(DISSECTOR.read_text() + TIMER)
    done, slowest, largest, failed = 0, 0.0, 0, 0
    start = time.monotonic()
    for number, batch in enumerate(batches(seed, size)):
        outcome = run_batch(tshark, script, write_capture(capture, batch))
        done += len(batch)
        if outcome.slowest > slowest:
            slowest = outcome.slowest
            print(f"batch {number} frame {outcome.slowest_frame}: {slowest:.3f} s", flush=True)
        largest = max(largest, outcome.kilobytes)
        if number % 20 == 19:
            print(f"{done:,} messages", flush=True)
        if outcome.complaints or outcome.slowest > SLOW or outcome.kilobytes > BIG:
            failed += 1
            kept = Path(f"failed-{seed}-{number}.pcap")
            kept.write_bytes(capture.read_bytes())
            print(f"{kept}:", *outcome.complaints[:5], sep="\n  ", flush=True)
        if done >= count:
            break
    seconds = time.monotonic() - start
    print(f"{tshark}: {done:,} messages in {seconds:,.0f} s, {failed} batches with trouble;", end=" ")
    print(f"slowest message {slowest:.3f} s, largest tshark {largest / 1024:,.0f} MB")
    return 1 if failed else 0


if __name__ == "__main__":
    main()
