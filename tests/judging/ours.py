# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine of this project, as the judge asks it, and the captures by which it is judged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from scapy_chitchat.capture import CapturedMessage
from scapy_chitchat.cluster import Cluster, Settings
from scapy_chitchat.records.identity import id_of
from tests.support import PCAPS, ROOT
from tests.support.truth import FAILURE_DETECTOR, Run, Truth, truth_of

NOT_TOLD = {"initial_interval": 0.1}
"""For captures that were made elsewhere: their settings are not told, and the crate's 5 s do not fit. Values from 0.1
to 0.25 s give every verdict that their nodes said of themselves."""


class Judged:
    """The engine of this project, as the judge asks it: all by its JSON.

    It is told the settings of the failure detector, which no message shows; everything else is its own finding.
    """

    def __init__(self, truth: Truth) -> None:
        settings = {**FAILURE_DETECTOR, **(truth.settings or NOT_TOLD)}
        self._now = 0
        self._cluster = Cluster(
            Settings(
                initial_interval=settings["initial_interval"],
                threshold=settings["phi_threshold"],
                window=int(settings["sampling_window"]),
                max_interval=settings["max_interval"],
            )
        )

    def feed(self, message: CapturedMessage) -> Iterator[Mapping[str, Any]]:
        """The events that a message brings."""
        self._now = message.datagram.time * 10 ** (9 - message.datagram.decimals)
        for event in self._cluster.feed(message):
            yield event.as_dict()

    def finish(self) -> Iterator[Mapping[str, Any]]:
        """The events of the end."""
        for event in self._cluster.finish():
            yield event.as_dict()

    def states(self, time: float, observer: Run) -> Iterator[Mapping[str, Any]]:
        """All clusters at a time, the view of one observer alone: the JSON of all would take long."""
        for state in self._cluster.at(max(self._now, round(time * 10**9))):
            wanted = [each for each in state.observers if id_of(each) == observer]
            yield msgspec.structs.replace(state, nodes=[], observers=wanted).as_dict()


def captures_with_truth(folders: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    """Captures of messages with a magic number, and the truth beside each."""
    seen: set[str] = set()
    for folder in (PCAPS, ROOT.parent / "shared" / "captures", *folders):
        for capture in sorted(folder.glob("*.pcap*")):
            name, truth = capture.name.partition(".pcap")[0], truth_of(capture)
            if truth and name not in seen and not name.startswith("old-"):
                seen.add(name)
                yield capture, truth
