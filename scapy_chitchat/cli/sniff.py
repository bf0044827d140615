# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat sniff -i IFACE``: the messages that pass an interface."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Annotated, ClassVar

import typer

from scapy_chitchat.capture import CapturedMessage, CaptureError, Frame
from scapy_chitchat.capture.live import ANY, Interface
from scapy_chitchat.capture.writing import CaptureWriter
from scapy_chitchat.cli.capturing import open_interface
from scapy_chitchat.cli.common import BAD_INPUT, MOST, CommandFailed, complain, counted, hush_scapy, stop_writing
from scapy_chitchat.cli.declaring import Command
from scapy_chitchat.cli.exporting import Exporter, Metrics
from scapy_chitchat.cli.options import INTERFACE, Count, MessageOptions, User, Write
from scapy_chitchat.cli.rights import give_up, own_name
from scapy_chitchat.cli.showing import Output, messages_in
from scapy_chitchat.wire.protocol import UDP_PORTS


@dataclass(frozen=True)
class Capture:
    """Where to look, for how long, and what to keep."""

    PANEL: ClassVar[str] = "Capture"
    interface: Annotated[str, INTERFACE]
    write: Write = ""
    count: Count = 0
    seconds: Annotated[
        float,
        typer.Option("--seconds", metavar="S", min=0, max=MOST, help="Stop after so many seconds."),
    ] = 0
    any_port: Annotated[
        bool,
        typer.Option("--any-port", help="Messages on any UDP port, known by their header."),
    ] = False
    user: User = ""
    tunnels: Annotated[
        bool,
        typer.Option("--tunnels", help="Messages in tunnels, too: VXLAN, Geneve, GRE, IP in IP, MPLS and others."),
    ] = False


def sniff(capture: Capture, wish: MessageOptions, metrics: Metrics) -> int:
    """Show the messages that pass the interface until told to stop. Gives the exit code."""
    if capture.any_port and wish.ports:
        raise typer.BadParameter("choose one of --port and --any-port")
    hush_scapy()
    stop = _Stop(capture.seconds)
    code = 0
    output = Output(wish, quiet=bool(metrics.metrics))
    exporter = Exporter(metrics, output.counters) if metrics.metrics else None
    with ExitStack() as opened:
        interface = opened.enter_context(
            open_interface(capture.interface, wish.ports, any_port=capture.any_port, tunnels=capture.tunnels)
        )
        give_up(capture.user)
        keep = opened.enter_context(_keep(capture.write, interface)) if capture.write else None
        if exporter:
            exporter.start()
        _say_that_it_runs(capture, exporter)
        frames = _frames(interface, stop, output, keep, exporter)
        try:
            _show(capture, messages_in(frames, output, meets=exporter.take if exporter else None), output)
        except CaptureError as error:
            complain(str(error))
            code = BAD_INPUT
        except BrokenPipeError:
            stop_writing()
            return 0
        _, dropped = interface.statistics()
    output.tables(dropped)
    if dropped and not wish.stats:
        complain(f"the kernel dropped {counted(dropped, 'frame')}: they came faster than they could be shown")
    if not output.counts.messages and not code:
        complain(_nothing_seen(capture, wish, output))
    if capture.tunnels and not output.counters.tunnels:
        complain(f"no tunnels on {capture.interface}: they pass the interface with the hosts' own addresses")
    output.notes()
    return code


def _show(capture: Capture, messages: Iterator[CapturedMessage], output: Output) -> None:
    for shown, captured in enumerate(messages, start=1):
        output.show(captured)
        if shown == capture.count:
            break
    output.flush()


def _frames(
    interface: Interface, stop: _Stop, output: Output, keep: CaptureWriter | None, exporter: Exporter | None
) -> Iterator[Frame]:
    """The frames until it is time to stop. In quiet moments everything is written out."""
    for frame in interface:
        now = time.time_ns() if frame is None else frame.time
        if exporter:
            exporter.answer(interface, now)
        if stop.before(now):
            return
        if frame is None:
            output.flush()
            if keep:
                keep.flush()
            continue
        if keep:
            keep.write(frame.data, frame.time)
        yield frame


class _Stop:
    """When to stop: in time, or on Ctrl-C or SIGTERM, which are only noted, so that nothing is left half done.

    What passed before that moment is still shown; who cannot wait for it presses Ctrl-C again.
    """

    def __init__(self, seconds: float) -> None:
        self._moment = time.time_ns() + int(seconds * 1e9) if seconds else None
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, self._note)

    def _note(self, *_: object) -> None:
        self._moment = time.time_ns()
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)

    def before(self, nanoseconds: int) -> bool:
        """Whether to stop at this time of the clock."""
        return self._moment is not None and nanoseconds >= self._moment


def _keep(path: str, interface: Interface) -> CaptureWriter:
    try:
        return CaptureWriter(path, interface.linktype)
    except PermissionError:
        raise CommandFailed(f"{path}: {own_name()} may not write there; --user names another user, as root") from None


def _say_that_it_runs(capture: Capture, exporter: Exporter | None) -> None:
    if sys.stderr.isatty():
        where = "all interfaces" if capture.interface == ANY else capture.interface
        more = f", metrics at {exporter.url}" if exporter else ""
        complain(f"listening on {where}{more}; Ctrl-C stops")


def _nothing_seen(capture: Capture, wish: MessageOptions, output: Output) -> str:
    """What to say when there was no message at all."""
    what = f"no chitchat messages on {capture.interface}"
    if capture.any_port:
        return f"{what}, in {counted(output.counters.datagrams, 'UDP datagram')}"
    ports = ", ".join(map(str, sorted(wish.ports or UDP_PORTS)))
    more = "" if capture.tunnels else ", --tunnels into tunnels"
    return f"{what} from or to UDP port {ports}; --port names another, --any-port looks at all{more}"


COMMAND = Command(
    sniff,
    more="""
What goes from or to ports 7280, 7282 and 10000 is looked at; --port names others, --any-port looks at all UDP.
Fragments are put together. With --tunnels the packets of tunnels are looked into, which is more work on a busy host.
Stop it with Ctrl-C.

With --metrics it is an exporter for Prometheus: all messages are counted, whatever the filters choose to show.

Once it may capture, root becomes the user who called sudo, or nobody, and has no capabilities left; --user names
another. That user writes the file of -w.
""",
    examples=(
        "sudo scapy-chitchat sniff -i eth0",
        "sudo scapy-chitchat sniff -i eth0 --tunnels --from indexer-0",
        "sudo scapy-chitchat sniff -i any --dedup --json --node indexer-0",
        "sudo scapy-chitchat sniff -i lo --port 7281 -w gossip.pcapng --seconds 60",
        "sudo scapy-chitchat sniff -i eth0 --metrics 9117",
    ),
)
