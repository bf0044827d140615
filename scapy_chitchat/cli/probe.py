# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat probe HOST:PORT``."""

from __future__ import annotations

from enum import Enum

import typer

from scapy_chitchat.cli import common

HELP = """Ask a node for its cluster's members and keys, without joining it.

One Syn with an empty digest is sent; the node answers with all that it knows, and takes in nobody for it. Only its own
heartbeat moves.

Examples:

  scapy-chitchat probe 127.0.0.1:7280 --cluster prod

  scapy-chitchat probe [::1]:7280 --cluster prod --json | jq .members

  scapy-chitchat probe indexer-0:7280 --cluster prod --allow-remote
"""


class Protocol(str, Enum):
    """Which version the Syn is of."""

    auto = "auto"
    v0 = "0"
    v1 = "1"


def add_to(app: typer.Typer) -> None:
    """Make this a command of ``app``."""
    app.command(help=HELP, no_args_is_help=True)(probe)


def probe(
    target: str = typer.Argument(..., metavar="HOST:PORT", help="The node's gossip address; the port is 7280 if left."),
    cluster: str = typer.Option(
        ...,
        "--cluster",
        "--cluster-id",
        metavar="ID",
        callback=common.cluster_id,
        help="The cluster_id; a node of another refuses.",
    ),
    protocol: Protocol = typer.Option(
        Protocol.auto, "--protocol", help="Version of the Syn: auto tries 1, which nodes before 0.12 lack, then 0."
    ),
    timeout: float = typer.Option(
        0.5, "--timeout", metavar="SECONDS", min=0.001, max=common.MOST, help="Wait this long for each Syn."
    ),
    tries: int = typer.Option(4, "--tries", metavar="N", min=1, max=common.MOST, help="Send at most this many Syns."),
    json: bool = typer.Option(False, "--json", help="One JSON object instead of tables."),
    allow_remote: bool = typer.Option(False, "--allow-remote", help="Send to other machines too."),
) -> None:
    """Ask, and show the answer."""
    from scapy_chitchat.cli.probing import ask

    version = None if protocol is Protocol.auto else int(protocol.value)
    ask(target, cluster, version, timeout, tries, json=json, allow_remote=allow_remote)
