# SPDX-License-Identifier: GPL-2.0-or-later
"""The pictures of ``watch`` in docs/pictures: made of the story's capture at one moment, by Textual as SVG.

    python -m tests.watch.pictures

A test makes the same screens again, and compares what stands on them with the text in the pictures.
"""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from textual.pilot import Pilot

from scapy_chitchat.cli.watch import WatchOptions, frames_of, reader_of, settings_of, words_of
from scapy_chitchat.watch.app import Watch
from scapy_chitchat.watch.screens import Tables
from scapy_chitchat.watch.table import Rows
from scapy_chitchat.watch.watcher import Watcher
from tests.support import ROOT

STORY = ROOT / "pcaps" / "story.pcap.gz"
PICTURES = ROOT / "docs" / "pictures"
SIZE = (110, 32)
SECOND = 10**9
WISH = WatchOptions()


def watcher_of(path: Path, speed: float = 1.0) -> Watcher:
    """What watches a file, as the command does."""
    return Watcher(frames_of([str(path)], WISH), reader_of(WISH), settings_of(WISH), speed=speed)


@asynccontextmanager
async def watching(path: Path, size: tuple[int, int]) -> AsyncIterator[Pilot[None]]:
    """The view of a file, without a terminal."""
    app = Watch(watcher_of(path), words_of(WISH), path.name, live=False)
    async with app.run_test(size=size) as pilot:
        yield pilot
    app.watcher.join()


async def until(pilot: Pilot[None], holds: Callable[[], bool]) -> None:
    """Wait for something, a while at the most."""
    for _ in range(1000):
        await pilot.pause(0.05)
        if holds():
            return
    raise AssertionError("it did not come about")


async def stand_at(pilot: Pilot[None], seconds: float) -> None:
    """Hold the playing at this moment."""
    app = app_of(pilot)
    await until(pilot, lambda: app.snapshot.first > 0)
    if not app.held:
        await pilot.press("space")
    moment = app.snapshot.first + int(seconds * SECOND)
    app.watcher.seek(moment)
    await until(pilot, lambda: app.snapshot.now == moment and not app.snapshot.seeking)


def app_of(pilot: Pilot[None]) -> Watch:
    """The application."""
    assert isinstance(pilot.app, Watch)
    return pilot.app


def table(pilot: Pilot[None], name: str) -> Rows:
    """A table of the screen on top."""
    screen = pilot.app.screen
    assert isinstance(screen, Tables)
    return screen.table(name)


def text_in(svg: str) -> str:
    """What stands on a screen of which this is the picture, without the spaces."""
    return "\n".join(html.unescape(each).replace("\xa0", "") for each in re.findall(r"<text[^>]*>([^<]*)</text>", svg))


async def _screens() -> dict[str, str]:
    made = {}
    async with watching(STORY, SIZE) as pilot:
        await stand_at(pilot, 50)
        made["watch-members"] = pilot.app.export_screenshot(title="scapy-chitchat watch")
        await pilot.press("enter")
        await until(pilot, lambda: len(table(pilot, "keys").shown) > 0)
        table(pilot, "keys").move(7)
        await until(pilot, lambda: len(table(pilot, "way").shown) > 9)
        made["watch-keys"] = pilot.app.export_screenshot(title="scapy-chitchat watch")
        await pilot.press("escape", "l")
        await until(pilot, lambda: len(table(pilot, "pairs").shown) > 9)
        table(pilot, "pairs").move(3)
        await pilot.press("enter")
        await until(pilot, lambda: len(table(pilot, "ladder").shown) > 9)
        made["watch-ladder"] = pilot.app.export_screenshot(title="scapy-chitchat watch")
    return made


def screens() -> dict[str, str]:
    """Name and SVG of each picture, made anew."""
    return asyncio.run(_screens())


def main() -> None:
    """Write the pictures."""
    PICTURES.mkdir(exist_ok=True)
    for name, svg in screens().items():
        (PICTURES / f"{name}.svg").write_text(svg)
        print(PICTURES / f"{name}.svg")


if __name__ == "__main__":
    main()
