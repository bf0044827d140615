# SPDX-License-Identifier: GPL-2.0-or-later
"""What our engine shows of captures of real nodes, judged by what the nodes said of themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cluster_mutations import runs
from scapy_chitchat import read_messages
from tests.judging.ours import Judged, captures_with_truth
from tests.judging.score import Judge, Score
from tests.judging.traffic import VARIANTS, Messages
from tests.support import PCAPS
from tests.support.truth import Run, Truth, read_truth, truth_of

pytestmark = pytest.mark.long  # the engine before the judge, on whole captures

CAPTURES = [capture for capture, _ in captures_with_truth(())]
STORY = PCAPS / "story.pcap.gz"


@cache
def material(capture: Path) -> tuple[Messages, Truth]:
    beside = truth_of(capture)
    assert beside
    return list(read_messages(capture)), read_truth(beside)


def judged(capture: Path, variant: str) -> Score:
    messages, truth = material(capture)
    return Judge(Judged(truth), truth, VARIANTS[variant](messages), messages).run()


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.name.partition(".")[0])
def test_a_whole_capture_shows_all_but_what_cannot_be_known(capture: Path) -> None:
    score = judged(capture, "whole")
    assert not score.false, score.examples
    assert not score.contradictions, score.examples
    assert not score.unexplained, score.examples
    assert score.predicted is None or score.predicted > 0.999


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "whole"])
def test_nothing_certain_is_false_where_messages_are_missing(variant: str) -> None:
    score = judged(STORY, variant)
    assert not score.false, score.examples
    assert score.certain > 0


class Careless(Judged):
    """Our engine, whose reservations are left out."""

    def states(self, time: float, observer: Run) -> Iterator[Mapping[str, Any]]:
        for state in super().states(time, observer):
            for seen in state["observers"]:
                for replica in seen["replicas"]:
                    replica.pop("presumed", None)
                    for value in replica["key_values"].values():
                        value["certain"] = True
            yield state


def test_the_reservations_are_needed() -> None:
    messages, truth = material(STORY)
    some = VARIANTS["30 % missing"](messages)
    assert Judge(Careless(truth), truth, some, messages).run().false > 0


def test_mutated_messages_are_borne() -> None:
    outcome = runs([material(STORY)], 1, range(1, 60))
    assert not outcome.wrong
    assert outcome.losses > 1
    assert outcome.certain > 100
