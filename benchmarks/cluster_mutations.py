# SPDX-License-Identifier: GPL-2.0-or-later
"""Streams of messages that no cluster would say, fed to the cluster engine: it must bear them, and quickly.

    python -m benchmarks.cluster_mutations [FOLDER…] [--runs 10000] [--seed 1]

Each run takes a piece of a capture (tests/judging/mutate.py says what becomes of it), feeds it, and asks for the
state. One run in twenty takes a whole capture with a truth beside it, of which messages were lost and nothing else:
what the engine then calls certain must be true. Ends with 1 where a run raised, took too long, or said what is false;
``--seed`` and the number of the run make it again.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from scapy_chitchat import read_messages
from scapy_chitchat.cluster import Cluster, Settings
from tests.judging.mutate import lossy, mutated
from tests.judging.ours import Judged, captures_with_truth
from tests.judging.score import Judge
from tests.judging.traffic import Messages
from tests.support.truth import Truth, read_truth

LONGEST = 400
"""Messages of a mutated piece."""
PATIENCE = 10.0
"""Seconds that a piece may take at most: a thousand times what it takes as it was."""
LOSSES = 20
"""One run in so many is a loss of a whole capture, judged by its truth."""


@dataclass
class Outcome:
    """What came of the runs."""

    runs: int = 0
    messages: int = 0
    losses: int = 0
    certain: int = 0
    slowest: float = 0.0
    wrong: list[str] = field(default_factory=list)


def bear(messages: Messages) -> None:
    """Feed a stream to an engine and ask all that can be asked."""
    cluster = Cluster(Settings())
    for place, message in enumerate(messages):
        for event in cluster.feed(message):
            event.as_json()
        if place % 100 == 99:
            for state in cluster.at():
                state.as_json()
    for event in cluster.finish():
        event.as_json()
    for state in cluster.at():
        state.as_json()
    cluster.estimates()


def piece(messages: Messages, choice: random.Random) -> Messages:
    """Some messages of a capture that follow one another."""
    length = choice.randint(1, LONGEST)
    first = choice.randrange(max(1, len(messages) - length))
    return messages[first : first + length]


def run(captures: Sequence[tuple[Messages, Truth]], choice: random.Random, number: int, outcome: Outcome) -> None:
    """One run; what goes wrong is noted."""
    messages, truth = choice.choice(captures)
    outcome.runs += 1
    if number % LOSSES == 0:
        kept = lossy(messages, choice)
        # the end alone: liveness is another matter, and slow to ask
        score = Judge(Judged(truth), replace(truth, samples=[]), kept, messages).run()
        outcome.losses += 1
        outcome.certain += score.certain
        if score.false:
            outcome.wrong.append(f"run {number}: {score.false} false of {score.certain} certain: {score.examples}")
        return
    changed = mutated(piece(messages, choice), choice)
    outcome.messages += len(changed)
    began = time.perf_counter()
    try:
        bear(changed)
    except Exception:  # whatever it is, it is to be told and the other runs are to go on
        outcome.wrong.append(f"run {number}: {traceback.format_exc()}")
    seconds = time.perf_counter() - began
    outcome.slowest = max(outcome.slowest, seconds)
    if seconds > PATIENCE:
        outcome.wrong.append(f"run {number}: {len(changed)} messages took {seconds:.1f} s")


def runs(captures: Sequence[tuple[Messages, Truth]], seed: int, numbers: Sequence[int]) -> Outcome:
    """Runs by their numbers."""
    outcome = Outcome()
    for number in numbers:
        run(captures, random.Random(f"{seed} {number}"), number, outcome)
    return outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help="where more captures with truth are")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--run", type=int, help="this one only, by its number")
    options = parser.parse_args()
    found = captures_with_truth(options.folders)
    captures = [(list(read_messages(capture)), read_truth(beside)) for capture, beside in found]
    if not captures:
        sys.exit("there is no capture with a truth beside it")
    numbers = range(options.runs) if options.run is None else [options.run]
    outcome = runs(captures, options.seed, numbers)
    print(
        f"{outcome.runs:,} runs: {outcome.messages:,} mutated messages, the slowest run {outcome.slowest:.2f} s; "
        f"{outcome.losses:,} losses, {outcome.certain:,} key-values called certain; wrong: {len(outcome.wrong):,}"
    )
    print(*outcome.wrong[:20], sep="\n")
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
