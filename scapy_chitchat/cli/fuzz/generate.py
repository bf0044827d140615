# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat fuzz generate``: cases written, and not sent."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import islice
from typing import Annotated

import msgspec
import typer

from scapy_chitchat.capture.writing import CaptureWriter
from scapy_chitchat.cli.common import INTERRUPTED, MOST, counted, stop_writing
from scapy_chitchat.cli.declaring import Command
from scapy_chitchat.cli.fuzz.making import Making
from scapy_chitchat.cli.options import Json, Write
from scapy_chitchat.cli.status import StatusLine, stop_cleanly
from scapy_chitchat.fuzz import Case, cases
from scapy_chitchat.net.packets import Endpoints
from scapy_chitchat.net.text import harmless_json
from scapy_chitchat.wire.protocol import UDP_PORTS

ENDS = Endpoints("127.0.0.1", UDP_PORTS[0] + 1, "127.0.0.1", UDP_PORTS[0])
"""Between whom the cases of a capture go."""

EPOCH = 1_600_000_000
"""The time of the first packet of generated cases: always the same, since the same seed gives the same bytes."""


def generate(
    making: Making,
    count: Annotated[int, typer.Option("-n", metavar="N", min=1, max=MOST, help="How many cases.")] = 1000,
    write: Write = "",
    json: Json = False,
    receiver: Annotated[
        str,
        typer.Option(
            "--receiver", metavar="ID,GENERATION,ADDR", help="The node's own id, for the strategies that use it."
        ),
    ] = "",
) -> int:
    """Write cases to a capture, or as JSON to standard output. Gives the exit code."""
    if bool(write) == json:
        raise typer.BadParameter("choose one of -w FILE and --json")
    made = islice(cases(making.seed, making.strategies, making.context(receiver)), count)
    stop_cleanly()
    done = 0
    status = StatusLine(lambda: f"{done:,} of {counted(count, 'case')}")

    def passing() -> Iterable[Case]:
        nonlocal done
        for each in made:
            yield each
            done += 1
            if done % 100 == 0:
                status.update()

    code = 0
    try:
        _write_capture(passing(), write) if write else _write_json(passing())
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        stop_writing()
    status.clear()
    return code


def _write_capture(made: Iterable[Case], path: str) -> None:
    with CaptureWriter(path) as out:
        for each in made:
            several = len(each.messages)
            for number, message in enumerate(each.messages, 1):
                comment = each.name if several == 1 else f"{each.name} message={number}/{several}"
                out.datagram(ENDS, message, EPOCH * 10**9 + out.packets * 1_000_000, comment)


def _write_json(made: Iterable[Case]) -> None:
    write = sys.stdout.buffer.write
    for each in made:
        line = {
            "strategy": each.strategy,
            "seed": each.seed,
            "case": each.number,
            "messages": [message.hex() for message in each.messages],
        }
        write(harmless_json(msgspec.json.encode(line)) + b"\n")
    sys.stdout.buffer.flush()


COMMAND = Command(
    generate,
    more="""
The same seed, number and strategies give the same bytes, in any run and any Python.
""",
    examples=(
        "scapy-chitchat fuzz generate --seed 1 -n 1000000 -w cases.pcapng",
        "scapy-chitchat fuzz generate --seed 7 -n 100 --strategy order --json",
        "scapy-chitchat fuzz generate -n 1000 --strategy mutation \\\n    --capture real.pcap -w mutated.pcapng",
    ),
)
