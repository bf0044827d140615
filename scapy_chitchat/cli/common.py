# SPDX-License-Identifier: GPL-2.0-or-later
"""What commands share: how they fail, how they write, how they show that they are at work."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, TextIO

from scapy_chitchat.net.text import one_line, printable

if TYPE_CHECKING:
    from rich.console import Console

BAD_INPUT = 1
"""The exit code where the input was bad, or the target failed."""

WRONG_USAGE = 2
"""The exit code for options and arguments that make no sense."""

INTERRUPTED = 130
"""The exit code after Ctrl-C, as of a shell: 128 and the number of SIGINT."""

MOST = 10**9
"""Of seconds, messages or tries: nobody means more, and no clock or counter ends before."""


class CommandFailed(Exception):
    """The command cannot do what it was asked to; the message is one line that says what to do."""


def want_extra(what: str, extra: str, *modules: str) -> None:
    """Raises CommandFailed where what a command needs beside the rest, and an extra brings, is not installed."""
    if missing := [each for each in modules if find_spec(each) is None]:
        raise CommandFailed(f"{what} needs {' and '.join(missing)}: pip install 'scapy-chitchat[{extra}]'")


def complain(text: str) -> None:
    """One line on standard error, whatever name of a file or of a node stands in it."""
    print(f"scapy-chitchat: {one_line(text)}", file=sys.stderr)


def ready_streams() -> None:
    """Have all three standard streams, also where we were started without; what a terminal cannot show is escaped."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def stop_writing() -> None:
    """Whoever read our output has seen enough: let what is still in a buffer go nowhere, without a complaint."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def hush_scapy() -> None:
    """Keep Scapy's own warnings off standard error: commands say what matters themselves."""
    import logging

    logging.getLogger("scapy").setLevel(logging.CRITICAL)


def check_output(write: str) -> str:
    """The callback of an option: a file to write. Raises BadParameter where it is standard output."""
    if write == "-":
        import typer

        raise typer.BadParameter("-w wants a file: standard output is for people")
    return write


def cluster_id(value: str | None) -> str | None:
    """The callback of an option: a cluster_id that a message can hold. Raises BadParameter for what is none."""
    if value is not None:
        import typer

        from scapy_chitchat.records.classes import Syn
        from scapy_chitchat.records.codec import encode

        try:
            encode(Syn(cluster_id=value))
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    return value


def is_coloured(stream: TextIO) -> bool:
    """Whether to write colours there: to a terminal that has them (``TERM``), unless ``NO_COLOR`` asks for none."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and can_move_cursor()


def can_move_cursor() -> bool:
    """Whether terminals understand escape sequences, as ``TERM`` says."""
    return os.environ.get("TERM") not in ("dumb", "unknown")


def counted(number: int, word: str, plural: str = "") -> str:
    """A number and what it counts: ``1 member``, ``1,200 keys``. ``plural``: where it is not ``word`` with an s."""
    return f"{number:,} {word if number == 1 else plural or word + 's'}"


def console(*, stderr: bool = False) -> Console:
    """Where tables go: with colours on a terminal, as wide as they need to be elsewhere."""
    from rich.console import Console

    class Ours(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    stream = sys.stderr if stderr else sys.stdout
    colours: Literal["auto"] | None = "auto" if is_coloured(stream) else None
    width = None if stream.isatty() else 200
    return Ours(stderr=stderr, highlight=False, color_system=colours, width=width)


class Progress:
    """How far a long read has come: bytes read so far of all."""

    def reached(self, position: int) -> None:
        """Nothing to show."""


PROGRESS_FROM = 8 * 1024 * 1024
"""Bytes of input below which no progress bar is worth drawing."""


@contextmanager
def progress_bar(title: str, total: int, *, silent: bool) -> Iterator[Progress]:
    """A bar on standard error while a large input is read, if a person looks at it and nothing else is printed there.

    ``silent``: nothing goes to standard output meanwhile.
    """
    watched = sys.stderr.isatty() and can_move_cursor()
    if total < PROGRESS_FROM or not watched or (sys.stdout.isatty() and not silent):
        yield Progress()
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress as Bars

    with Bars(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(escape(printable(title)), total=total)

        class Shown(Progress):
            def reached(self, position: int) -> None:
                bars.update(task, completed=position)

        yield Shown()
