# SPDX-License-Identifier: GPL-2.0-or-later
"""What the cluster engine shows of captures of real nodes, judged by what the nodes said of themselves.

    python -m benchmarks.cluster_truth [FOLDER…] [--capture NAME] [--variant NAME] [--examples]

Takes every capture with a truth beside it: those in pcaps/, those of the folder ``shared`` beside the repository where
there is one, and those of the folders given, which ``sudo python -m tests.record judged FOLDER`` fills. Each is read
whole and in variants: messages left out (always the same ones), begun late, one node's traffic only. A row for each,
and below the table how often what differed for which reason. Liveness: samples of live and dead lists that are equal.
Ends with 1 where a key-value shown as certain is false, or the engine sees a contradiction.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from scapy_chitchat import read_messages
from tests.judging.ours import Judged, captures_with_truth
from tests.judging.score import Judge, Score, total
from tests.judging.traffic import VARIANTS
from tests.support.truth import read_truth


def percent(part: int, whole: int) -> str:
    """A share as text."""
    return "-" if not whole else f"{100 * part / whole:.2f} %" if part != whole else "100 %"


def row(score: Score) -> Iterator[str]:
    """The figures of a score."""
    yield f"{score.pairs:,}"
    yield percent(score.pairs_equal, score.pairs)
    yield percent(score.key_values_equal, score.key_values)
    yield f"{score.certain:,}"
    yield f"{score.later:,}"
    yield f"{score.false:,}"
    known = score.samples - score.samples_open
    yield f"{score.samples_equal:,} of {known:,}" + (f" ({score.samples_open:,} open)" if score.samples_open else "")
    yield f"{score.contradictions:,}"
    yield f"{score.unexplained:,}"
    yield "-" if score.predicted is None else f"{100 * score.predicted:.2f} %"


HEADINGS = ("capture", "variant", "pairs", "max_version", "key-values", "certain", "later", "false", "liveness")
LAST_HEADINGS = ("contradictions", "unexplained", "predicted", "s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help="where more captures with truth are")
    parser.add_argument("--capture", help="only this one, by its name without .pcap")
    parser.add_argument("--variant", choices=VARIANTS, help="only this one")
    parser.add_argument("--examples", action="store_true", help="show some of what is not explained")
    options = parser.parse_args()
    table = Table(*HEADINGS, *LAST_HEADINGS, box=box.SIMPLE_HEAD, pad_edge=False)
    scores: dict[str, list[Score]] = {}
    for capture, beside in captures_with_truth(options.folders):
        name = capture.name.partition(".pcap")[0]
        if options.capture not in (None, name):
            continue
        truth, messages = read_truth(beside), list(read_messages(capture))
        for variant, some in VARIANTS.items():
            if options.variant not in (None, variant):
                continue
            began = time.perf_counter()
            score = Judge(Judged(truth), truth, some(messages), messages).run()
            scores.setdefault(variant, []).append(score)
            table.add_row(name, variant, *row(score), f"{time.perf_counter() - began:.1f}")
            print(f"{name}, {variant}", file=sys.stderr, flush=True)
            if options.examples:
                print(*(f"    {example}" for example in score.examples), sep="\n", file=sys.stderr)
    return show(table, scores)


def show(table: Table, scores: dict[str, list[Score]]) -> int:
    """Print the table, its totals and the reasons; 1 where the engine said what is false."""
    if not scores:
        sys.exit("there is no such capture with a truth beside it")
    table.add_section()
    for variant, each in scores.items():
        table.add_row("all", variant, *row(total(each)), "")
    console = Console(width=200)
    console.print(table)
    reasons = Table("variant", "what differs", "why", "times", box=box.SIMPLE_HEAD, pad_edge=False)
    for variant, each in scores.items():
        for (what, why), times in sorted(total(each).reasons.items()):
            reasons.add_row(variant, what, why, f"{times:,}")
    console.print(reasons)
    return 1 if any(score.false or score.contradictions for each in scores.values() for score in each) else 0


if __name__ == "__main__":
    sys.exit(main())
