# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat watch``: a cluster in the terminal, live or out of captures."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from scapy_chitchat.capture import (
    CapturedMessage,
    CaptureError,
    CaptureFile,
    Counters,
    Frame,
    Source,
    expand,
    in_time,
    notes,
)
from scapy_chitchat.cli.capturing import open_interface
from scapy_chitchat.cli.clusters import Detector, Times, run_text
from scapy_chitchat.cli.common import BAD_INPUT, CommandFailed, complain, hush_scapy, want_extra
from scapy_chitchat.cli.declaring import Command
from scapy_chitchat.cli.moments import Clock
from scapy_chitchat.cli.options import INTERFACE, FileOptions, Reading, Speed, User
from scapy_chitchat.cli.rights import give_up
from scapy_chitchat.cli.sentences import STYLES, sentence
from scapy_chitchat.cli.showing import all_messages_in
from scapy_chitchat.cli.states import Views
from scapy_chitchat.cluster import Settings
from scapy_chitchat.watch.snapshot import Words
from scapy_chitchat.watch.watcher import STEPS, Read, Watcher

if TYPE_CHECKING:
    from scapy_chitchat.watch.app import Watch


@dataclass(frozen=True)
class WatchOptions(FileOptions, Times, Detector):
    """What ``watch`` takes beside the files."""

    PANEL: ClassVar[str] = "What to watch"
    interface: Annotated[str, INTERFACE] = ""
    speed: Speed = 1.0
    user: User = ""


Watched = Annotated[list[str], typer.Argument(metavar="[FILE]...", help="Captures.")]


def watch(wish: WatchOptions, files: Watched = []) -> int:  # noqa: B006
    """Show the cluster until told to stop. Gives the exit code."""
    if bool(files) == bool(wish.interface):
        raise typer.BadParameter("name files, or an interface with -i")
    if "-" in files:
        raise typer.BadParameter("standard input is the keyboard here: name a file")
    view = _view()
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CommandFailed("watch wants a terminal; state and timeline write to pipes and files")
    hush_scapy()
    with ExitStack() as opened:
        if files:
            watcher = Watcher(frames_of(files, wish), reader_of(wish), settings_of(wish), speed=wish.speed)
        else:
            interface = opened.enter_context(open_interface(wish.interface, wish.ports, command="watch"))
            give_up(wish.user)
            watcher = Watcher(
                lambda: interface, reader_of(wish), settings_of(wish), dropped=lambda: interface.statistics()[1]
            )
        app = view(watcher, words_of(wish), ", ".join(files) or wish.interface, live=not files)
        app.run()
        watcher.stop()
        watcher.join()
    if (failure := watcher.failure) is not None:
        complain(failure)
    for line in notes(watcher.counters):
        complain(line)
    return BAD_INPUT if watcher.failure else app.return_code or 0


def _view() -> type[Watch]:
    """The application, and all that it imports later. Raises CommandFailed where the extra is not installed."""
    want_extra("watch", "watch", "textual")
    for name in _LATER:
        import_module(name)
    from scapy_chitchat.watch.app import Watch

    return Watch


_LATER = ("textual.drivers.linux_driver", "textual.widgets._input", "textual.widgets._static")
"""What Textual imports only when it is needed: whom root becomes may not be allowed to read it."""


def frames_of(files: list[str], wish: WatchOptions) -> Callable[[], Iterator[Frame]]:
    """What reads the files, each time from the start. Raises CommandFailed where one of them cannot be opened."""
    try:
        found = expand(files)
        for each in found:
            CaptureFile(each).close()
    except CaptureError as error:
        raise CommandFailed(str(error)) from None
    return lambda: in_time(found, _frames, as_given=wish.as_given)


def _frames(file: Source) -> Iterator[Frame]:
    with CaptureFile(file) as read:
        yield from read


def reader_of(wish: Reading) -> Read:
    """The messages in frames, read as it is wished, each with its frames."""

    def read(frames: Iterable[Frame], counters: Counters) -> Iterator[CapturedMessage]:
        return all_messages_in(frames, wish, counters, keep_frames=True)

    return read


def settings_of(wish: Detector) -> Settings:
    """The engine's settings: as the options say, and the way of every key is remembered."""
    return wish.settings(("*", "*"), STEPS)


def words_of(wish: Times) -> Words:
    """The words of the other commands."""
    return Words(sentence, STYLES, run_text, lambda time, first: Clock(wish.zone, first).text(time), Views)


COMMAND = Command(
    watch,
    more="""
Members, events, the keys of a node and their way to the others, ladders of handshakes. Keys are those of less and k9s;
? shows them. Files are played as they were captured, or --speed times as fast, and can be gone back in.

Once it may capture, root becomes the user who called sudo, or nobody; that user writes what w saves.
""",
    examples=(
        "sudo scapy-chitchat watch -i eth0",
        "scapy-chitchat watch --speed 10 capture.pcap",
    ),
)
