# SPDX-License-Identifier: GPL-2.0-or-later
"""How deep the fuzzer's strategies reach: where a real node stops reading their messages.

    python -m benchmarks.fuzz_depth [--cases 1000] [--seed 1]

Needs tests/peer to be built. The verdict on each message is that of the oracle, chitchat 0.13; where in the message the
trouble is, if there is any, is told by our decoder, which refuses what the node refuses: both are compared. A Syn of
another cluster is read to its end, and answered with BadCluster.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from scapy_chitchat import DecodeError, decode
from scapy_chitchat.fuzz import STRATEGIES, Context, case
from scapy_chitchat.wire.protocol import MAX_DATAGRAM
from tests.support.peers import peer_program

ROOT = Path(__file__).parent.parent
CONTEXT = Context("fuzz")
STAGES = ("header", "digest", "cluster_id", "blocks", "operations", "sequence", "foreign", "taken")
"""Where a message ends, in the order in which a node looks: the last two are read whole."""

BEHIND_DIGEST = STAGES[2:]


def stage_of(data: bytes) -> str | None:
    """Where a node stops reading a message; None where our decoder stops by its own limits."""
    try:
        message: Any = decode(data, limit=1 << 40)
    except DecodeError as error:
        return None if error.code == "stream-limit" else _place(error)
    return "foreign" if getattr(message, "cluster_id", CONTEXT.cluster_id) != CONTEXT.cluster_id else "taken"


def _place(error: DecodeError) -> str:
    partial = error.partial
    if "type" not in partial:
        return "header"
    if partial["type"] in ("Syn", "SynAck") and ("digest" not in partial or error.stream == "digest"):
        return "digest"
    if error.code in ("no-node", "duplicate-node", "version-order"):
        return "sequence"
    if error.stream == "delta":
        return "operations"
    return "cluster_id" if partial["type"] == "Syn" else "blocks"


class Oracle:
    """The real decoder."""

    def __init__(self, version: str = "0.13") -> None:
        command = [str(peer_program()), "oracle", "--version", version]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def verdicts(self, messages: Iterable[bytes]) -> Iterator[dict[str, Any]]:
        """What the node says of each message."""
        writing = threading.Thread(target=self._write, args=(list(messages),))
        writing.start()
        assert self.process.stdout
        yield from map(json.loads, self.process.stdout)
        writing.join()

    def _write(self, messages: list[bytes]) -> None:
        assert self.process.stdin
        for message in messages:
            self.process.stdin.write(message.hex() + "\n")
        self.process.stdin.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000, help="of each strategy")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"{options.cases:,} cases of each strategy, seed {options.seed}, read by chitchat 0.13; % of the messages")
    heads = "".join(f"{stage:>11}" for stage in STAGES)
    print(f"{'strategy':<12}{'messages':>9}{heads}{'past digest':>13}{'panics':>8}")
    structured: Counter[str] = Counter()
    for strategy in STRATEGIES.values():
        made = [case(strategy.name, options.seed, number, CONTEXT) for number in range(options.cases)]
        messages = [message for each in made for message in each.messages if len(message) <= MAX_DATAGRAM]
        stages: Counter[str] = Counter()
        panics = differ = 0
        for message, verdict in zip(messages, Oracle().verdicts(messages), strict=True):
            stage = stage_of(message) or ("taken" if verdict["ok"] else "operations")
            panics += "panic" in verdict
            differ += verdict["ok"] != (stage in ("foreign", "taken"))
            stages[stage] += 1
        row(strategy.name, stages, panics, differ)
        if strategy.structured:
            structured += stages
    row("structured", structured, 0, 0)


def row(name: str, stages: Counter[str], panics: int, differ: int) -> None:
    total = max(stages.total(), 1)
    shares = "".join(f"{stages[stage] / total:>11.1%}" for stage in STAGES)
    past = sum(stages[stage] for stage in BEHIND_DIGEST) / total
    note = f"  our decoder differs {differ} times" if differ else ""
    print(f"{name:<12}{total:>9,}{shares}{past:>13.1%}{panics:>8}{note}")


if __name__ == "__main__":
    main()
