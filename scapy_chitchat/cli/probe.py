# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat probe HOST:PORT``: what one node tells of its cluster."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import Enum
from typing import Annotated

import msgspec
import typer

from scapy_chitchat.cli.common import MOST, Failure, complain, console, counted, hush_scapy
from scapy_chitchat.cli.declaring import Command
from scapy_chitchat.cli.options import CLUSTER_ID, AllowRemote, Json
from scapy_chitchat.cli.tables import table
from scapy_chitchat.net.targets import TargetError
from scapy_chitchat.net.text import printable
from scapy_chitchat.node.probe import Answer, ProbeError
from scapy_chitchat.node.probe import probe as ask


class Protocol(str, Enum):
    """Which version the Syn is of."""

    auto = "auto"
    v0 = "0"
    v1 = "1"


@dataclass(frozen=True)
class Asking:
    """How to ask."""

    cluster: Annotated[str, CLUSTER_ID]
    protocol: Annotated[
        Protocol,
        typer.Option("--protocol", help="Version of the Syn: auto tries 1, which nodes before 0.12 lack, then 0."),
    ] = Protocol.auto
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0.001, max=MOST, help="Wait this long for each Syn.")
    ] = 0.5
    tries: Annotated[
        int, typer.Option("--tries", metavar="N", min=1, max=MOST, help="Send at most this many Syns.")
    ] = 4
    allow_remote: AllowRemote = False

    @property
    def version(self) -> int | None:
        """The version of the Syn; None to try both."""
        return None if self.protocol is Protocol.auto else int(self.protocol.value)


def probe(
    target: Annotated[
        str, typer.Argument(metavar="HOST:PORT", help="The node's gossip address; the port is 7280 if left.")
    ],
    how: Asking,
    json: Json = False,
) -> None:
    """Ask the node and print what it told. Raises Failure where it told nothing."""
    hush_scapy()
    try:
        answer = ask(
            target,
            how.cluster,
            version=how.version,
            timeout=how.timeout,
            tries=how.tries,
            allow_remote=how.allow_remote,
        )
    except TargetError as error:
        raise typer.BadParameter(str(error)) from None
    except ProbeError as error:
        raise Failure(printable(str(error))) from None
    if json:
        _print_json(answer)
    else:
        _print_tables(answer)
        _say_what_is_missing(answer)


def _print_json(answer: Answer) -> None:
    told = {
        "address": answer.address,
        "version": answer.version,
        "seconds": round(answer.seconds, 6),
        "size": answer.size,
        "cluster_id": answer.cluster.cluster_id,
        "members": answer.cluster.members,
        "untold": answer.untold,
    }
    sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")


def _print_tables(answer: Answer) -> None:
    out = console()
    members = answer.cluster.members
    keys = sum(len(each.keys) for each in members)
    out.print(
        f"{answer.address} answered in {answer.seconds * 1000:.1f} ms, V{answer.version}, "
        f"{counted(answer.size, 'byte')}: {counted(len(members), 'member')}, {counted(keys, 'key')}\n"
    )
    numbers = ["generation_id", "heartbeat", "last_gc_version", "max_version", "keys"]
    rows = [
        [
            printable(each.node_id),
            each.gossip_advertise_addr,
            str(each.generation_id),
            str(each.heartbeat),
            str(each.last_gc_version),
            str(each.max_version),
            str(len(each.keys)),
        ]
        for each in members
    ]
    out.print(table("Members", ["node_id", "gossip_advertise_addr"], numbers, rows))
    if keys:
        rows = [
            [printable(member.node_id), printable(each.key), printable(each.value), each.status, str(each.version)]
            for member in members
            for each in member.keys
        ]
        out.print(table("Keys", ["node_id", "key", "value", "status"], ["version"], rows))


def _say_what_is_missing(answer: Answer) -> None:
    if answer.untold:
        names = ", ".join(map(printable, answer.untold[:5]))
        more = f" and {len(answer.untold) - 5:,} more" if len(answer.untold) > 5 else ""
        complain(f"the answer was full: of {names}{more} it has no keys")


COMMAND = Command(
    probe,
    more="""
One Syn with an empty digest is sent; the node answers with all that it knows, and takes in nobody for it. Only its own
heartbeat moves.
""",
    examples=(
        "scapy-chitchat probe 127.0.0.1:7280 --cluster prod",
        "scapy-chitchat probe [::1]:7280 --cluster prod --json | jq .members",
        "scapy-chitchat probe indexer-0:7280 --cluster prod --allow-remote",
    ),
)
