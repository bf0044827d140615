# SPDX-License-Identifier: GPL-2.0-or-later
"""The options that ``read`` and ``sniff`` share: what to keep of the messages, and how to show it."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from scapy_chitchat.cli.wish import Wish

OUTPUT, FILTERS, READING = "Output", "Filters", "Reading"


class TypeName(str, Enum):
    """A message type, as the protocol calls it."""

    Syn = "Syn"
    SynAck = "SynAck"
    Ack = "Ack"
    BadCluster = "BadCluster"


def _output(default: Any, *names: str, **details: Any) -> Any:
    return typer.Option(default, *names, rich_help_panel=OUTPUT, **details)


def _filter(default: Any, *names: str, **details: Any) -> Any:
    return typer.Option(default, *names, rich_help_panel=FILTERS, **details)


VERBOSE = _output(False, "-v", "--verbose", help="The whole tree of each message.")
JSON = _output(False, "--json", help="A JSON object a line.")
FIELDS = _output("", "--fields", metavar="NAME,...", help="Only these values of the JSON, tab-separated.")
SUMMARY = _output(False, "--summary", help="Tables: types, clusters, node pairs, sizes, findings.")
STATS = _output(False, "--stats", help="What was read: frames, fragments, losses, speed.")
FINDINGS = _filter(False, "--findings", help="Only messages with findings, and what they are.")
PORTS = _filter(
    [],
    "--port",
    metavar="PORT",
    min=1,
    max=65535,
    help="Only from or to this UDP port, and all of it (again for more).",
)
TYPES = _filter([], "--type", help="Only this type (again for more).")
NODE = _filter("", "--node", metavar="ID", help="Only about this node_id; * and ? are wildcards.")
KEY = _filter("", "--key", metavar="KEY", help="Only with this key; * and ? are wildcards.")
CLUSTER = _filter(
    "", "--cluster", metavar="ID", help="Only of this cluster_id, told from the last Syn between the two addresses."
)
DEDUP = typer.Option(
    False, "--dedup", help="Drop IP packets captured twice (capturing on any).", rich_help_panel=READING
)
LIMIT = typer.Option(
    32,
    "--stream-limit",
    metavar="MIB",
    min=1,
    help="Decompress at most this much of a stream.",
    rich_help_panel=READING,
)


def wish_of(
    *,
    verbose: bool,
    json: bool,
    fields: str,
    summary: bool,
    stats: bool,
    findings: bool,
    ports: list[int],
    types: list[TypeName],
    node: str,
    key: str,
    cluster: str,
    dedup: bool,
    limit: int,
) -> Wish:
    """What these options ask for. Raises typer.BadParameter where they ask for two things at once."""
    from scapy_chitchat.cli.lines import columns
    from scapy_chitchat.cli.wish import Wish

    if json + verbose + bool(fields) > 1:
        raise typer.BadParameter("choose one of --json, -v and --fields")
    try:
        chosen = columns(fields) if fields else ()
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return Wish(
        verbose=verbose,
        json=json,
        fields=chosen,
        summary=summary,
        stats=stats,
        only_findings=findings,
        ports=frozenset(ports),
        types=frozenset(kind.value for kind in types),
        node=node,
        key=key,
        cluster=cluster,
        drop_duplicates=dedup,
        limit=limit * 1024 * 1024,
    )
