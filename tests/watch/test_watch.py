# SPDX-License-Identifier: GPL-2.0-or-later
"""The view, driven by Textual's pilot, on the story's capture and on a hostile one."""

from __future__ import annotations

import asyncio
import itertools
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from scapy_chitchat import read_messages
from scapy_chitchat.capture import CapturedMessage, CaptureFile, Counters, Frame
from scapy_chitchat.capture.writing import CaptureWriter
from scapy_chitchat.cli.watch import reader_of, settings_of, words_of
from scapy_chitchat.cluster import Cluster, Event
from scapy_chitchat.net.packets import Endpoints
from scapy_chitchat.records.classes import Ack, KeyValueOp, Message, NodeDigest, NodeOp, Syn, SynAck
from scapy_chitchat.records.codec import encode
from scapy_chitchat.watch.app import Watch
from scapy_chitchat.watch.screens import Help, Ladder, OneNode, Overview, Peers
from scapy_chitchat.watch.watcher import Watcher
from tests.watch.pictures import (
    PICTURES,
    SECOND,
    STORY,
    WISH,
    app_of,
    screens,
    stand_at,
    table,
    text_in,
    until,
    watcher_of,
    watching,
)


def column(pilot: Pilot[None], name: str, place: int) -> list[str]:
    rows = table(pilot, name)
    return [each.plain[place] for each in rows.shown]


def screen_text(pilot: Pilot[None]) -> str:
    """What stands on the screen."""
    svg = pilot.app.export_screenshot()
    return "\n".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg)).replace("&#160;", " ")


def driven(
    script: Callable[[Pilot[None]], Awaitable[None]], path: Path = STORY, size: tuple[int, int] = (110, 36)
) -> None:
    """Run a script of keys against the view."""

    async def run() -> None:
        async with watching(path, size) as pilot:
            await script(pilot)

    asyncio.run(run())


def test_members_and_events_are_those_of_the_engine() -> None:
    async def script(pilot: Pilot[None]) -> None:
        await stand_at(pilot, 50)
        app = app_of(pilot)
        cluster = Cluster()
        for message in read_messages(STORY):
            if message.datagram.nanoseconds > app.snapshot.now:
                break
            cluster.feed(message)
        state = next(each for each in cluster.at() if each.cluster_id == "prod")
        assert column(pilot, "members", 0) == [each.node_id for each in state.nodes]
        assert column(pilot, "members", 4) == [str(each.max_version) for each in state.nodes]
        assert "stuck" in column(pilot, "members", 7)
        assert "restarted" in {each.event for each in app.snapshot.events}

    driven(script)


@pytest.mark.long
def test_sorting_filtering_and_searching() -> None:
    async def script(pilot: Pilot[None]) -> None:
        await stand_at(pilot, 50)
        as_they_come = column(pilot, "members", 0)
        await pilot.press("s", "S")
        assert column(pilot, "members", 0) == sorted(as_they_come, reverse=True) != as_they_come
        await pilot.press("f", *"searcher", "enter")
        assert set(column(pilot, "members", 0)) == {"searcher-0", "searcher-1", "searcher-2"}
        await pilot.press("escape")
        assert len(column(pilot, "members", 0)) == len(as_they_come)
        await pilot.press("S", "g", "slash", *"indexer", "enter")
        found = []
        for _ in range(3):
            found.append(table(pilot, "members").current)
            await pilot.press("n")
        assert [each.key[1] for each in found if each] == ["indexer-0", "indexer-1", "indexer-2"]
        await pilot.press("N", "N")
        now = table(pilot, "members").current
        assert now is not None
        assert now.key[1] == "indexer-1"
        await pilot.press("slash", *"nowhere", "enter")
        assert "nothing has nowhere" in screen_text(pilot)

    driven(script)


@pytest.mark.long
def test_a_nodes_keys_and_the_way_of_one() -> None:
    async def script(pilot: Pilot[None]) -> None:
        await stand_at(pilot, 50)
        await pilot.press("enter")
        assert isinstance(pilot.app.screen, OneNode)
        await until(pilot, lambda: len(table(pilot, "keys").shown) > 0)
        assert "readiness" in column(pilot, "keys", 3)
        await pilot.press("G")
        await until(pilot, lambda: "READY" in column(pilot, "way", 1))
        assert len(set(column(pilot, "way", 2))) > 8, "its owner, and the others"
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, Overview)

    driven(script)


@pytest.mark.long
def test_the_ladder_of_two_nodes() -> None:
    async def script(pilot: Pilot[None]) -> None:
        await stand_at(pilot, 10)
        await pilot.press("l")
        assert isinstance(pilot.app.screen, Peers)
        await until(pilot, lambda: len(table(pilot, "pairs").shown) > 8)
        await pilot.press("G", "enter")
        assert isinstance(pilot.app.screen, Ladder)
        await until(pilot, lambda: len(table(pilot, "ladder").shown) > 2)
        arrows = column(pilot, "ladder", 2)
        left, right = pilot.app.screen.left, pilot.app.screen.right
        ends = {left, right}
        told = [
            each
            for each in read_messages(STORY)
            if {each.source, each.destination} == ends and each.datagram.nanoseconds <= app_of(pilot).snapshot.now
        ]
        assert [arrow.endswith("▶") for arrow in arrows] == [each.source == left for each in told]
        assert all(each.message and each.message.type in arrow for each, arrow in zip(told, arrows, strict=True))

    driven(script)


def about(event: Event) -> tuple[object, ...]:
    """What happened; not when, which for verdicts depends on when the engine is asked."""
    return event.event, event.node_id, event.observer, event.key, event.version, event.to


@pytest.mark.long
def test_going_back_gives_the_same_as_going_there_first() -> None:
    async def script(pilot: Pilot[None]) -> None:
        await stand_at(pilot, 16)
        before = app_of(pilot).snapshot
        await stand_at(pilot, 40)
        assert app_of(pilot).snapshot.messages > before.messages
        await stand_at(pilot, 16)
        after = app_of(pilot).snapshot
        assert (after.states, after.messages) == (before.states, before.messages)
        assert Counter(map(about, after.events)) == Counter(map(about, before.events))

    driven(script)


@pytest.mark.long
def test_keys_go_back_forth_and_to_the_end() -> None:
    async def script(pilot: Pilot[None]) -> None:
        await stand_at(pilot, 6)
        app = app_of(pilot)
        for key, seconds in (("left", 1), ("right", 6), ("shift+right", 36)):
            await pilot.press(key)
            await until(pilot, lambda at=seconds: app.snapshot.now == app.snapshot.first + at * SECOND)  # type: ignore[misc]
        await pilot.press("t", *"12.5", "enter")
        await until(pilot, lambda: app.snapshot.now == app.snapshot.first + 12_500_000_000)
        await pilot.press("e")
        await until(pilot, lambda: app.snapshot.ended)
        assert app.snapshot.messages == 6471

    driven(script)


@pytest.mark.long
def test_space_holds_the_playing() -> None:
    async def script(pilot: Pilot[None]) -> None:
        app = app_of(pilot)
        await until(pilot, lambda: app.snapshot.messages > 0)
        await pilot.press("space")
        await until(pilot, lambda: not app.snapshot.playing)
        held = app.snapshot.now
        await pilot.pause(0.6)
        assert app.snapshot.now == held
        await pilot.press("space")
        await until(pilot, lambda: app.snapshot.now > held)

    driven(script)


@pytest.mark.long
def test_what_is_saved_is_what_was_seen(tmp_path: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await stand_at(pilot, 5)
        path = tmp_path / "s"
        await pilot.press("w", *str(path), "enter")
        await until(pilot, lambda: "frames written" in screen_text(pilot))
        seen = [each.data for each in read_messages(STORY) if each.datagram.nanoseconds <= app_of(pilot).snapshot.now]
        assert [each.data for each in read_messages(path)] == seen
        await pilot.press("w", *str(path), "enter")
        await until(pilot, lambda: "is there already" in screen_text(pilot))

    driven(script, size=(200, 36))


@pytest.mark.long
@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_fits_small_and_wide_terminals(size: tuple[int, int]) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await stand_at(pilot, 50)
        text = screen_text(pilot)
        for said in ("alive for", "behind", "control-plane-0", "what happened", "? for help", "cluster prod"):
            assert said in text
        assert ("127.0.0.1:7280" in text) == (size[0] > 100)
        await pilot.press("question_mark")
        assert isinstance(pilot.app.screen, Help)
        assert "this page" in screen_text(pilot)
        assert "fits no datagram" in screen_text(pilot)
        await pilot.press("q")
        assert isinstance(pilot.app.screen, Overview)

    driven(script, size=size)


@pytest.mark.long
def test_the_other_cluster_of_a_capture() -> None:
    async def script(pilot: Pilot[None]) -> None:
        await stand_at(pilot, 30)
        await pilot.press("c")
        assert column(pilot, "members", 0) == ["staging-searcher-0"]
        await pilot.press("c")
        assert "indexer-0" in column(pilot, "members", 0)

    driven(script)


HOSTILE = (
    "<script>alert(1)</script>",
    "[red]x[/red]",
    "]]>",
    "\x1b[31mred\x1b[0m",
    "\u202egnp",
    "[@click=app.quit]q[/]",
)


def hostile_capture(path: Path) -> None:
    ends = [Endpoints("127.0.0.1", 7280, "127.0.0.2", 7280), Endpoints("127.0.0.2", 7280, "127.0.0.1", 7280)]
    texts = "|".join(HOSTILE)
    entries = [NodeDigest(f"{texts}{n}", n, f"127.0.0.{n}:7280", 3, 0, 1) for n in (1, 2)]
    ops = tuple(
        op
        for entry in entries
        for op in (
            NodeOp(entry.node_id, entry.generation_id, entry.gossip_advertise_addr, 0, 0),
            KeyValueOp(texts, texts, 1, "Set"),
        )
    )
    with CaptureWriter(path) as writer:
        said = (Syn(1, "Syn", texts, tuple(entries)), SynAck(1, "SynAck", tuple(entries), ops), Ack(1, "Ack", ops))
        messages: list[Message] = list(said)
        for n, message in enumerate(messages):
            writer.datagram(ends[n % 2], encode(message), 1_795_600_000 * SECOND + n * 1000)


@pytest.mark.long
def test_markup_escapes_and_bidi_marks_are_text(tmp_path: Path) -> None:
    hostile_capture(tmp_path / "hostile.pcapng")

    async def script(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app_of(pilot).snapshot.ended)
        await until(pilot, lambda: len(table(pilot, "members").shown) == 2)
        shown = [*column(pilot, "members", 0), *column(pilot, "events", 3)]
        await pilot.press("enter")
        await until(pilot, lambda: len(table(pilot, "keys").shown) == 1 and len(table(pilot, "way").shown) > 0)
        shown += [*column(pilot, "keys", 3), *column(pilot, "keys", 4), *column(pilot, "way", 1)]
        await pilot.press("l")
        await until(pilot, lambda: len(table(pilot, "pairs").shown) == 1)
        await pilot.press("enter")
        await until(pilot, lambda: len(table(pilot, "ladder").shown) == 3)
        svg = screen_text(pilot)
        for text in (*shown, svg):
            assert all(char.isprintable() or char == "\n" for char in text)
        for said in ("<script>alert(1)</script>", "[red]x[/red]", "]]>", r"\x1b[31mred", r"\u202egnp", "[@click"):
            assert said in shown[0]
            assert said in shown[-1] or said in "".join(column(pilot, "ladder", 3)) or said in "".join(shown)

    driven(script, path=tmp_path / "hostile.pcapng", size=(300, 40))


@pytest.mark.long
def test_the_engine_never_waits_for_the_view() -> None:
    """The view hangs, and the engine comes to the end of the capture all the same."""
    watcher = watcher_of(STORY, speed=1e9)
    done = threading.Event()
    read = watcher._read

    def counted(frames: Iterator[Frame], counters: Counters) -> Iterator[CapturedMessage]:
        yield from read(frames, counters)
        done.set()

    watcher._read = counted  # type: ignore[assignment]
    first = watcher.ask()
    watcher.start()
    assert done.wait(60), "nobody takes a snapshot, and the engine goes on"
    watcher.stop()
    watcher.join()
    assert first.messages == 0
    assert watcher._messages == 6471


def test_live_space_holds_the_screen_and_not_the_engine() -> None:
    """An interface as live.py gives it: frames, and None in quiet moments."""
    with CaptureFile(STORY) as opened:
        frames = list(itertools.islice(opened, 400))
    released = threading.Event()

    def interface() -> Iterator[Frame | None]:
        yield from frames[:200]
        while not released.is_set():
            time.sleep(0.01)
            yield None
        yield from frames[200:]
        while True:
            time.sleep(0.01)
            yield None

    async def run() -> None:
        watcher = Watcher(interface, reader_of(WISH), settings_of(WISH), dropped=lambda: 17)
        app = Watch(watcher, words_of(WISH), "eth0", live=True)
        async with app.run_test(size=(200, 40)) as pilot:
            await until(pilot, lambda: app.snapshot.messages == 200)
            assert "the kernel dropped 17 frames" in screen_text(pilot)
            await pilot.press("left")
            assert "cannot be gone back in" in screen_text(pilot)
            await pilot.press("space")
            released.set()
            await until(pilot, lambda: watcher.ask().messages == 400)
            assert app.snapshot.messages == 200
            await pilot.press("space")
            await until(pilot, lambda: app.snapshot.messages == 400)
        watcher.join()

    asyncio.run(run())


@pytest.mark.long
def test_only_lines_that_changed_are_drawn() -> None:
    async def script(pilot: Pilot[None]) -> None:
        await stand_at(pilot, 50)
        members = table(pilot, "members")
        before = members.drawn
        for _ in range(3):
            app_of(pilot).show()
        assert members.drawn == before

    driven(script)


def test_without_the_extra_one_line_says_how_to_get_it() -> None:
    script = (
        "import sys; sys.modules['textual'] = None; sys.argv = ['scapy-chitchat', 'watch', 'x.pcap'];"
        "from scapy_chitchat.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "scapy-chitchat: watch needs textual: pip install 'scapy-chitchat[watch]'\n"


def test_other_commands_do_not_import_it() -> None:
    script = "import sys, scapy_chitchat.cli.timeline, scapy_chitchat.cli.sniff; print('textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.long
def test_the_pictures_in_the_documentation_are_current() -> None:
    made = screens()
    assert {each.stem for each in PICTURES.glob("watch-*.svg")} == set(made)
    for name, svg in made.items():
        there = (PICTURES / f"{name}.svg").read_text()
        assert text_in(there) == text_in(svg), f"{name}: python -m tests.watch.pictures"
