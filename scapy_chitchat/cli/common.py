# SPDX-License-Identifier: GPL-2.0-or-later
"""What commands share: how they fail, how they write, how they show that they are at work."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scapy_chitchat.net.text import printable

if TYPE_CHECKING:
    from rich.console import Console

BAD_INPUT = 1
WRONG_USAGE = 2
INTERRUPTED = 130

MOST = 10**9
"""Of seconds, messages or tries: nobody means more, and no clock or counter ends before."""


class Failure(Exception):
    """The command cannot do what it was asked to; the message is one line that says what to do."""


def complain(text: str) -> None:
    """One line on standard error."""
    print(f"scapy-chitchat: {text}", file=sys.stderr)


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
    logging.getLogger("scapy").setLevel(logging.CRITICAL)


def check_output(write: str) -> None:
    """Raises BadParameter where a capture is to be written to standard output."""
    if write == "-":
        import typer

        raise typer.BadParameter("-w wants a file: standard output is for people")


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


def console(*, stderr: bool = False) -> Console:
    """Where tables go: with colours on a terminal, as wide as they need to be elsewhere."""
    from rich.console import Console

    class Ours(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    made = Ours(stderr=stderr, highlight=False)
    return made if made.is_terminal else Ours(stderr=stderr, highlight=False, width=200)


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
    if total < PROGRESS_FROM or not sys.stderr.isatty() or (sys.stdout.isatty() and not silent):
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
