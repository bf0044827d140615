# SPDX-License-Identifier: GPL-2.0-or-later
"""Our decoder and real nodes, side by side on hostile messages: a command, and what its test calls.

    python -m tests.differential --count 1000000 --seed 1

Each input goes to our decoder, to a node of 0.13, and, if it is not of version 1, to one of 0.11. Compared are the
verdict, what the code of a refusal means, and every value that the node prints; and, where the crate can encode again
what it read, the bytes. Two kinds of input are counted and not compared: those too large for a datagram, and those
whose streams grow over our own limit.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from msgspec import structs

from scapy_chitchat import DecodeError, Message, encode
from scapy_chitchat.records.addresses import sort_key
from scapy_chitchat.records.classes import DeltaItem, KeyValueOp, SetMaxVersionOp
from scapy_chitchat.records.codec import decode_whole
from scapy_chitchat.records.identity import id_of
from scapy_chitchat.records.makers import Decoded
from scapy_chitchat.records.sections import Section, sections
from scapy_chitchat.wire.protocol import MAX_DATAGRAM
from tests.mutations import Mutator
from tests.records.test_verdicts import REASONS
from tests.support import debug_text
from tests.support.peers import NoPeer, Oracle, peer_program

BATCH = 2000


def means(code: str, reason: str) -> bool:
    """Whether our code says what the node's reason says."""
    return any(re.match(words, reason) and code in codes for words, codes in REASONS.items())


def as_a_node_sends_it(message: Message) -> Message:
    """The message of what a node holds after it has read this one.

    Of entries of one identity in a digest the last, in ascending order; of a section of a delta the key-values, or the
    max_version where there are none.
    """
    changes: dict[str, object] = {}
    if hasattr(message, "digest"):
        last = {id_of(each): each for each in message.digest}
        changes["digest"] = tuple(sorted(last.values(), key=sort_key))
    if hasattr(message, "delta"):
        changes["delta"] = tuple(op for section in sections(message.delta) for op in _kept(section))
    return structs.replace(message, **changes)


def _kept(section: Section) -> Iterator[DeltaItem]:
    yield section.node
    key_values = [op for op in section.changes if isinstance(op, KeyValueOp)]
    yield from key_values
    if section.reached and not key_values:
        yield SetMaxVersionOp(section.reached)


def decoded_or_refused(data: bytes) -> Decoded | DecodeError:
    """What our decoder says."""
    try:
        return decode_whole(data)
    except DecodeError as error:
        return error


@dataclass
class Tally:
    """What came of the inputs."""

    inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    compared: Counter[str] = field(default_factory=Counter)
    reencoded: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Count what came of others too."""
        self.inputs += other.inputs
        self.differences += other.differences
        for name in ("outcomes", "compared", "reencoded"):
            getattr(self, name).update(getattr(other, name))

    def differ(self, what: str, data: bytes, ours: object, theirs: object) -> None:
        """Keep a difference."""
        self.differences.append(f"{what}: {data.hex()}\n  ours:   {ours}\n  node's: {theirs}"[:5000])


class Judge:
    """Real nodes, and the comparison of what they say with what we say."""

    def __init__(self) -> None:
        self.oracles = {version: Oracle(version, reencode=True) for version in ("0.13", "0.11")}

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *exc: object) -> None:
        for oracle in self.oracles.values():
            oracle.__exit__(*exc)

    def judge(self, messages: list[bytes], tally: Tally) -> None:
        """Compare for each message."""
        judged = []
        for data in messages:
            tally.inputs += 1
            if len(data) > MAX_DATAGRAM:
                tally.outcomes["too large for a datagram"] += 1
                continue
            ours = decoded_or_refused(data)
            tally.outcomes["taken" if isinstance(ours, Decoded) else ours.code] += 1
            if not (isinstance(ours, DecodeError) and ours.code == "stream-limit"):
                judged.append((data, ours))
        self._compare("0.13", judged, tally)
        self._compare("0.11", [each for each in judged if each[0][2:3] != b"\x01"], tally)

    def _compare(self, version: str, judged: list[tuple[bytes, Decoded | DecodeError]], tally: Tally) -> None:
        answers = self.oracles[version].ask([data for data, _ in judged])
        for (data, ours), answer in zip(judged, answers, strict=True):
            assert answer.get("asked", True), answer
            tally.compared[version] += 1
            if isinstance(ours, DecodeError):
                self._compare_refusal(version, data, ours, answer, tally)
            else:
                self._compare_values(version, data, ours, answer, tally)

    def _compare_refusal(
        self, version: str, data: bytes, ours: DecodeError, answer: dict[str, Any], tally: Tally
    ) -> None:
        if answer["ok"]:
            tally.differ(f"verdict of {version}", data, ours, answer["debug"])
        elif not means(ours.code, answer.get("error") or answer.get("panic") or ""):
            tally.differ(f"reason of {version}", data, ours, answer)

    def _compare_values(self, version: str, data: bytes, ours: Decoded, answer: dict[str, Any], tally: Tally) -> None:
        if not answer["ok"]:
            tally.differ(f"verdict of {version}", data, ours.message, answer)
            return
        text = answer["debug"]
        theirs = debug_text.parse(text if version == "0.13" else f"ChitchatEnvelope {{ version: V0, message: {text} }}")
        kept = debug_text.as_a_node_keeps_it(ours.message.as_dict())
        if kept != theirs:
            tally.differ(f"values of {version}", data, kept, theirs)
        elif answer["hex"] is not None:
            tally.reencoded[version] += 1
            again = encode(as_a_node_sends_it(ours.message)).hex()
            if again != answer["hex"]:
                tally.differ(f"encoding of {version}", data, again, answer["hex"])


def batches(messages: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The messages, some thousands at a time."""
    waiting = iter(messages)
    while batch := list(islice(waiting, BATCH)):
        yield batch


def compare(messages: Iterable[bytes]) -> Tally:
    """Our decoder against real nodes on each message."""
    tally = Tally()
    with Judge() as judge:
        for batch in batches(messages):
            judge.judge(batch, tally)
    return tally


def mutated(seed: int, count: int) -> Iterator[bytes]:
    """Hostile messages."""
    return (data for _, data in islice(Mutator(seed), count))


def compare_mutated(seed: int, count: int) -> Tally:
    """Our decoder against real nodes on ``count`` hostile messages."""
    return compare(mutated(seed, count))


def compare_seeds(seeds: Sequence[int], count: int) -> Tally:
    """The same for each of these seeds, at the same time."""
    whole = Tally()
    with ProcessPoolExecutor(len(seeds)) as pool:
        for tally in pool.map(compare_mutated, seeds, [count] * len(seeds)):
            whole.add(tally)
    return whole


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="split the count on so many seeds, from --seed on")
    options = parser.parse_args()
    try:
        peer_program()
    except NoPeer as error:
        sys.exit(str(error))
    seeds = range(options.seed, options.seed + options.jobs)
    started = time.perf_counter()
    tally = compare_seeds(seeds, options.count // options.jobs)
    seconds = time.perf_counter() - started
    for difference in tally.differences[:20]:
        print(difference)
    print(
        f"seed {', '.join(map(str, seeds))}: {tally.inputs:,} inputs in {seconds:.0f} s, "
        f"{tally.inputs / seconds:,.0f} a second: {len(tally.differences)} differences"
    )
    for version in tally.compared:
        print(
            f"  chitchat {version}: {tally.compared[version]:,} compared; "
            f"{tally.reencoded[version]:,} encoded again by it, and by us to the same bytes"
        )
    for outcome, count in tally.outcomes.most_common():
        print(f"  {outcome:<26} {count:>9,}")
    return 1 if tally.differences else 0


if __name__ == "__main__":
    sys.exit(main())
