# SPDX-License-Identifier: GPL-2.0-or-later
"""How soon what happens in a real cluster is on the screen of ``watch``: 16 real nodes, the story, a terminal of tmux.

    sudo python -m benchmarks.watch_live [--seconds 55] [--screens FOLDER]

The nodes are those of ``tests.record large-story``, in a namespace of their own, with their truth; ``watch`` looks on
inside of the namespace. The screen is read several times a second. Printed is, for each kind of thing in the truth, how
many were to be seen, how many were seen, and after how many seconds; a key-value that was overwritten before it was
sent, or that fits no datagram, cannot be seen. What fits no datagram is no fault: the nodes do not tell it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from tests.support import ROOT
from tests.support.peers import eventually

WIDTH, HEIGHT = 200, 300
SESSION = f"chitchat-watch-{os.getpid()}"
LIMIT = 2.0
"""Seconds within which all is to be on the screen."""


def tmux(*words: str) -> str:
    """What a command of tmux says."""
    return subprocess.run(["tmux", "-L", SESSION, *words], capture_output=True, text=True, check=True).stdout


def namespace_of(recorder: subprocess.Popen[bytes]) -> str:
    """The namespace of the nodes, once it is there."""
    name = f"chitchat-{recorder.pid}-recorded"
    if not eventually(lambda: name in subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout):
        sys.exit("the nodes do not come up")
    return name


class Screen:
    """All lines that were on the screen, each with the moment when it was first there."""

    def __init__(self) -> None:
        self.first: dict[str, float] = {}
        self.last = ""

    def read(self) -> None:
        """Look."""
        self.last = tmux("capture-pane", "-p")
        now = time.time()
        for line in self.last.splitlines():
            self.first.setdefault(line, now)

    def when(self, pattern: str, since: float) -> float | None:
        """When a line with this was first there, from then on."""
        wanted = re.compile(pattern)
        times = [time for line, time in self.first.items() if time >= since and wanted.search(line)]
        return min(times, default=None)


def expected(truth: list[dict[str, object]]) -> list[tuple[str, float, str]]:
    """What is to be seen of the truth: kind, time, and the line by which it shows."""
    started = [row for row in truth if row["ev"] == "start"]
    shown = started[0]["cluster_id"]  # the stranger's cluster is on a screen of its own
    names = {row["node"]: str(row["node_id"]) for row in started if row["cluster_id"] == shown}
    found = []
    heard: dict[str, set[str]] = {}
    for row in truth:
        if row.get("node") not in names:
            continue
        at, name = float(str(row["t"])), re.escape(names[row["node"]])
        if row["ev"] == "restart":
            found.append(("restart", at, f"{name} is a new run"))
        elif row["ev"] == "op" and row.get("value") is not None:
            key = re.escape(str(row["key"]))
            found.append(("change", at, f'{name} {key} = ".*" at version {row["version"]}\\b'))
        elif row["ev"] == "liveness":
            view = row["view"]
            assert isinstance(view, dict)
            dead = {each.split(":")[0] for each in view["dead"]}
            before = heard.setdefault(str(view["observer"]), set())
            observer = re.escape(str(view["observer"]))
            found += [("dead", at, rf"{re.escape(each)} is dead .*\[for {observer}\]") for each in dead - before]
            heard[str(view["observer"])] = dead
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=55)
    parser.add_argument("--screens", type=Path, help="a folder for what was on the screen, every five seconds")
    chosen = parser.parse_args()
    screen = Screen()
    with tempfile.TemporaryDirectory() as folder:
        capture = Path(folder) / "story.pcap"
        record = [sys.executable, "-m", "tests.record", "large-story", str(capture), "--seconds", str(chosen.seconds)]
        recorder = subprocess.Popen(record, cwd=ROOT, stdout=subprocess.DEVNULL)
        inside = ["ip", "netns", "exec", namespace_of(recorder)]
        watch = [*inside, sys.executable, "-m", "scapy_chitchat", "watch", "-i", "lo", "--utc"]
        tmux("new-session", "-d", "-x", str(WIDTH), "-y", str(HEIGHT), *watch)
        try:
            shown = time.time()
            while recorder.poll() is None:
                screen.read()
                if chosen.screens and time.time() > shown + 5:
                    shown = time.time()
                    (chosen.screens / f"{int(shown)}.txt").write_text(screen.last)
                time.sleep(0.2)
        finally:
            subprocess.run(["tmux", "-L", SESSION, "kill-server"], capture_output=True)
            recorder.wait()
        truth = [json.loads(line) for line in (Path(folder) / "story.jsonl").read_text().splitlines()]
    delays: dict[str, list[float | None]] = defaultdict(list)
    for kind, at, pattern in expected(truth):
        seen = screen.when(pattern, at - 1.5)
        delays[kind].append(None if seen is None else seen - at)
        if seen is None or seen - at > LIMIT:
            print(f"{'never' if seen is None else f'{seen - at:.1f} s'}: {kind} {pattern}")
    for kind, after in delays.items():
        known = sorted(each for each in after if each is not None)
        if known:
            half, soon = known[len(known) // 2], sum(each <= LIMIT for each in known)
            print(
                f"{kind}: {len(after)} happened, {len(known)} seen, {soon} within {LIMIT:g} s; "
                f"half of them within {half:.2f} s, the last after {known[-1]:.2f} s"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
