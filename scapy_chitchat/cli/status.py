# SPDX-License-Identifier: GPL-2.0-or-later
"""What commands that run for long share: a status line, a target, and a clean stop."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable

import typer

from scapy_chitchat.cli.common import CommandFailed, can_move_cursor
from scapy_chitchat.net.udp import Address
from scapy_chitchat.wire.protocol import UDP_PORTS

EVERY_SECONDS = 0.2
"""How often a status line is written anew, at the most."""


class StatusLine:
    """One line on standard error that is written over, while a person looks at it."""

    def __init__(self, text: Callable[[], str]) -> None:
        """``text`` gives the line when it is to be shown."""
        self._text = text
        self._shown = sys.stderr.isatty() and can_move_cursor()
        self._next = time.monotonic() + EVERY_SECONDS

    def update(self) -> None:
        """Show the line, if the last time is long enough ago."""
        if self._shown and time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY_SECONDS
            print(f"\r\x1b[K{self._text()}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Wipe the line, so that something else can be written."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def stop_cleanly() -> None:
    """Let SIGTERM, and the SIGHUP of a terminal that goes away, end a command as cleanly as Ctrl-C does.

    A SIGHUP that is ignored, as below nohup, stays so.
    """

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, stop)


def target_address(target: str, allow_remote: bool) -> Address:
    """HOST:PORT as a socket address.

    Raises BadParameter where it is none or off this machine without leave, and CommandFailed where the name has no
    address.
    """
    from scapy_chitchat.net.targets import NoSuchHostError, TargetError, addresses_of

    try:
        found = addresses_of(target, UDP_PORTS[0], allow_remote=allow_remote)
    except TargetError as error:
        raise typer.BadParameter(str(error)) from None
    except NoSuchHostError as error:
        raise CommandFailed(str(error)) from None
    return min(found, key=len)  # of a name with both, the IPv4 one
