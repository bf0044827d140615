# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat report``: one HTML page about the clusters of captures."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Annotated, ClassVar

import typer

from scapy_chitchat.capture import notes
from scapy_chitchat.cli.clusters import Detector, Feeding, Times, confidence, doubts, guesses, run_text
from scapy_chitchat.cli.common import BAD_INPUT, complain, hush_scapy, want_extra
from scapy_chitchat.cli.declaring import Command
from scapy_chitchat.cli.moments import SECOND, date_text
from scapy_chitchat.cli.options import FILTERS, OUTPUT, FileOptions, Files
from scapy_chitchat.report.collect import Collector
from scapy_chitchat.report.names import Place, Speech

MOST_FOLLOWED = 500
"""So many of the last versions are remembered with their whole way, to pick from."""


@dataclass(frozen=True, kw_only=True)
class ReportOptions(FileOptions, Times, Detector):
    """What ``report`` takes beside the files."""

    PANEL: ClassVar[str] = OUTPUT
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="The page to write; - for standard output.")
    ]
    cluster: Annotated[
        str, typer.Option("--cluster", metavar="ID", rich_help_panel=FILTERS, help="Only of this cluster_id.")
    ] = ""


def report(files: Files, wish: ReportOptions) -> int:
    """Read the files and write the page. Gives the exit code."""
    want_extra("a report", "report", "jinja2", "plotly")
    hush_scapy()
    feeding = Feeding(files, wish, wish.settings(follow=("*", "*"), follow_limit=MOST_FOLLOWED), silent=True)
    output = _writable(feeding.sources.not_among(wish.output))
    collector = Collector(feeding.cluster)
    feeding.each = collector.message
    try:
        for event in feeding.events():
            collector.event(event)
    except KeyboardInterrupt:
        feeding.interrupted = True
        complain("interrupted: the page shows what was read so far")
    text = _page(feeding, collector, wish)
    if text:
        _write(output, text)
    return feeding.end("" if text else f"nothing of cluster {wish.cluster!r}") or (0 if text else BAD_INPUT)


def _writable(path: str) -> str:
    """The path of the page, where a file can be written; known before a long read, not after it."""
    folder = os.path.dirname(path) or "."
    if path != "-" and (os.path.isdir(path) or not os.path.isdir(folder) or not os.access(folder, os.W_OK)):
        raise typer.BadParameter(f"no file can be written at {path}")
    return path


def _page(feeding: Feeding, collector: Collector, wish: ReportOptions) -> str:
    """The page; nothing where there is no cluster to show."""
    from scapy_chitchat.report.page import Part, Reading, page  # what it needs is there only with the extra

    clock = feeding.clock(wish.zone)
    if feeding.messages:
        collector.look(feeding.last)
    estimates = {each.cluster_id: each for each in feeding.cluster.estimates()}
    steps = feeding.cluster.followed()
    parts = [
        Part(
            state=each,
            steps=[step for step in steps if step.cluster_id == each.cluster_id],
            confidence=confidence(each, estimates.get(each.cluster_id)),
            guesses=list(guesses(estimates[each.cluster_id])),
            doubts=list(doubts(each, estimates.get(each.cluster_id))),
        )
        for each in feeding.at(None, wish.cluster)
        if each.cluster_id in collector.clusters
    ]
    if not parts:
        return ""
    parts.sort(key=lambda each: -each.state.messages)

    def place(time: int) -> Place:
        if wish.zone == "start":
            return round((time - feeding.first) / SECOND, 3)
        return date_text(time, wish.zone).removesuffix("Z")

    reading = Reading(
        files=list(feeding.sources.named),
        messages=feeding.messages,
        first=feeding.first,
        last=feeding.last,
        began=date_text(feeding.first),
        notes=list(notes(feeding.counters)),
        interrupted=feeding.interrupted,
    )
    return page(parts, collector, reading, Speech(clock.text, place, run_text))


def _write(output: str, text: str) -> None:
    """The whole page at once, so that no half of one is left where the disk is full or Ctrl-C comes again."""
    if output == "-":
        sys.stdout.buffer.write(text.encode())
        sys.stdout.flush()
        return
    unfinished = f"{output}.{os.getpid()}.part"
    try:
        with open(unfinished, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(unfinished, output)
    finally:
        if os.path.exists(unfinished):
            os.unlink(unfinished)


COMMAND = Command(
    report,
    more="""
What was wrong, the worst first; then pictures: runs over time, phi, versions behind, propagation, traffic, the size of
digests, findings, and what the capture cannot tell. The page is one file that opens offline and asks nothing of the
network. It wants pip install 'scapy-chitchat\\[report]'.

Ctrl-C ends the reading, not the page: it shows what was read so far.
""",
    examples=(
        "scapy-chitchat report capture.pcap -o report.html",
        "scapy-chitchat report --cluster prod --utc ring*.pcap -o report.html",
        "scapy-chitchat report capture.pcap -o - | ssh desk 'cat > report.html'",
    ),
)
