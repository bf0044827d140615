# SPDX-License-Identifier: GPL-2.0-or-later
"""``sniff --metrics``: its options, and the exporter between the messages and the HTTP server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from scapy_chitchat.capture import CapturedMessage, Counters
from scapy_chitchat.capture.live import Interface
from scapy_chitchat.cli.common import CommandFailed, complain, want_extra
from scapy_chitchat.net.addresses import split_address

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Family

    from scapy_chitchat.metrics.server import Server

LOOPBACK = "127.0.0.1"
"""Where the metrics are served unless told otherwise."""


def metrics_address(value: str) -> str:
    """The callback of the option: ``HOST:PORT``, or a port on loopback. Raises BadParameter for anything else."""
    if value:
        try:
            host, port = split_address(f"{LOOPBACK}:{value}" if value.isdecimal() else value)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        if not host or port is None:
            raise typer.BadParameter(f"{value!r} is not HOST:PORT; a port alone is on {LOOPBACK}")
    return value


@dataclass(frozen=True)
class Metrics:
    """Whether, where and how finely there are metrics."""

    PANEL: ClassVar[str] = "Metrics"
    metrics: Annotated[
        str,
        typer.Option(
            "--metrics",
            metavar="HOST:PORT",
            callback=metrics_address,
            help=f"Serve metrics to Prometheus there; a port alone is on {LOOPBACK}. No lines, unless -v, --json or "
            "--fields asks for them.",
        ),
    ] = ""
    per_node: Annotated[
        bool,
        typer.Option("--per-node", help="With --metrics: also of each node_id, for the first 1,000."),
    ] = False

    def __post_init__(self) -> None:
        """Raises BadParameter for nodes' metrics without metrics."""
        if self.per_node and not self.metrics:
            raise typer.BadParameter("--per-node wants --metrics")


class Exporter:
    """Counts what it is given, and answers who asks for the metrics."""

    def __init__(self, wish: Metrics, counters: Counters) -> None:
        """Bind the address. Raises CommandFailed where that cannot be, or what is needed is not installed."""
        want_extra("--metrics", "metrics", "prometheus_client")
        from scapy_chitchat.metrics.families import families
        from scapy_chitchat.metrics.tally import Tally

        self._families, self._per_node, self._counters = families, wish.per_node, counters
        self._tally = Tally()
        self._server = _bound(wish.metrics)
        self._overflow_said = False

    @property
    def take(self) -> Callable[[CapturedMessage], None]:
        """Counts a message."""
        return self._tally.take

    @property
    def url(self) -> str:
        """Where the metrics are."""
        return self._server.url

    def start(self) -> None:
        """Serve. After root is given up: a thread keeps the capabilities that it began with."""
        self._server.start()
        if not self._server.is_loopback:
            complain(f"other machines can read the metrics, too: {self.url}")

    def answer(self, interface: Interface, now: int) -> None:
        """Answer who asks, if anybody does: as it is now, which is the time of the frame that is read."""
        self._server.questions.answer(lambda: self._made(interface, now))

    def _made(self, interface: Interface, now: int) -> list[Family]:
        _, dropped = interface.statistics()
        made = self._families(self._tally, self._counters, dropped, now, per_node=self._per_node)
        if self._tally.labels.overflowed and not self._overflow_said:
            self._overflow_said = True
            own = len(self._tally.labels.known)
            complain(f"{own} clusters have metrics of their own; those of all others are summed up")
        return made


def _bound(address: str) -> Server:
    from scapy_chitchat.metrics.server import Server

    host, port = split_address(f"{LOOPBACK}:{address}" if address.isdecimal() else address)
    try:
        return Server(host, port or 0)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "no such name"
        raise CommandFailed(f"--metrics {address}: {why}; choose another address") from None
