# SPDX-License-Identifier: GPL-2.0-or-later
"""The options that commands share, each declared once: single ones as types, those that go together as groups.

A command that speaks of nodes takes ``Subjects`` and ``Reading``; one that shows messages one by one takes
``MessageOptions``, which has these and ``Show``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import typer

from scapy_chitchat.cli import common
from scapy_chitchat.cli.moments import Moment, parse_moment
from scapy_chitchat.wire.protocol import STREAM_LIMIT, DeletionStatus, MessageType

OUTPUT, FILTERS = "Output", "Filters"

MIB = 1024 * 1024
"""Bytes of a mebibyte, in which --stream-limit counts."""
MOST_SKIPPED = 65507
"""Bytes of a datagram that can be passed over at the most: all that it can have."""


# --- what the values must be ---


def known_types(values: list[str] | None) -> list[str]:
    """Names of message types as the protocol writes them, from names in any case, or lists of them with commas."""
    return _known("type", _type_names(), values)


def known_statuses(values: list[str] | None) -> list[str]:
    """The same for the statuses of key-values."""
    return _known("status", _status_names(), values)


def _known(what: str, names: list[str], values: list[str] | None) -> list[str]:
    known = {name.lower(): name for name in names}
    wanted = [name.strip() for value in values or () for name in value.split(",") if name.strip()]
    for name in wanted:
        if name.lower() not in known:
            raise typer.BadParameter(f"there is no {what} {name!r}; there are {', '.join(names)}")
    return [known[name.lower()] for name in wanted]


def moment(value: str) -> str:
    """The callback of an option: a moment. Raises BadParameter for what is none."""
    if value:
        try:
            parse_moment(value)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    return value


def moment_of(value: str) -> Moment | None:
    """The moment of such an option; None where it was not given."""
    return parse_moment(value) if value else None


def known_columns(value: str) -> str:
    """The names of ``--fields``, where there are such."""
    if not value:
        return value
    from scapy_chitchat.cli.lines import columns

    try:
        return ",".join(columns(value))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _type_names() -> list[str]:
    return [kind.name for kind in MessageType]


def _status_names() -> list[str]:
    return [status.name for status in DeletionStatus]


# --- single options ---

Files = Annotated[list[str], typer.Argument(metavar="FILE", help="Captures; - for standard input.")]
Write = Annotated[
    str,
    typer.Option("-w", "--write", metavar="FILE", callback=common.check_output, help="Write a pcapng capture."),
]
Count = Annotated[
    int,
    typer.Option("-c", "--count", metavar="N", min=0, max=common.MOST, help="Stop after N messages."),
]
Json = Annotated[bool, typer.Option("--json", rich_help_panel=OUTPUT, help="A JSON object a line.")]
INTERFACE = typer.Option("-i", "--interface", metavar="IFACE", help="The interface; any for all.")
"""``-i``, for a command that wants one or may have one."""

Speed = Annotated[
    float,
    typer.Option("--speed", metavar="N", min=0.001, max=common.MOST, help="N times as fast as captured."),
]
User = Annotated[
    str,
    typer.Option(
        "--user",
        metavar="NAME",
        help="Whom root becomes once it may capture, and who writes the file; who called sudo, or nobody.",
    ),
]

TO = typer.Option("--to", metavar="HOST:PORT", help="The node.")
"""``--to``, for a command that wants one or may have one."""

AllowRemote = Annotated[bool, typer.Option("--allow-remote", help="Reach machines other than this one, too.")]
CLUSTER_ID = typer.Option(
    "--cluster-id", "--cluster", metavar="ID", callback=common.cluster_id, help="The node's cluster; others refuse."
)
"""``--cluster-id``, of messages that are sent."""

Observer = Annotated[
    str,
    typer.Option(
        "--observer", metavar="ID", rich_help_panel=FILTERS, help="In the view of this node; * and ? are wildcards."
    ),
]
Node = Annotated[
    str,
    typer.Option(
        "--node", metavar="ID", rich_help_panel=FILTERS, help="Only about this node_id; * and ? are wildcards."
    ),
]
Key = Annotated[
    str,
    typer.Option("--key", metavar="KEY", rich_help_panel=FILTERS, help="Only with this key; * and ? are wildcards."),
]
Ports = Annotated[
    list[int],
    typer.Option(
        "--port",
        metavar="PORT",
        min=1,
        max=65535,
        rich_help_panel=FILTERS,
        help="Only from or to this UDP port, and all of it (again for more).",
    ),
]
Types = Annotated[
    list[str],
    typer.Option(
        "--type",
        metavar="TYPE,...",
        callback=known_types,
        autocompletion=_type_names,
        rich_help_panel=FILTERS,
        help=f"Only these types: {', '.join(_type_names())}.",
    ),
]


# --- groups ---


@dataclass(frozen=True)
class Reading:
    """How frames are read, and which datagrams are taken for messages."""

    PANEL: ClassVar[str] = "Reading"
    ports: Ports = field(default_factory=list)
    dedup: Annotated[
        bool,
        typer.Option("--dedup", help="Drop messages captured twice (on any, in and outside of a tunnel)."),
    ] = False
    skip_bytes: Annotated[
        int,
        typer.Option(
            "--skip-bytes",
            metavar="N",
            min=0,
            max=MOST_SKIPPED,
            help="Pass over N bytes before each message, such as a signature.",
        ),
    ] = 0
    limit: Annotated[
        int,
        typer.Option(
            "--stream-limit",
            metavar="MIB",
            min=1,
            help="Decompress at most this much of a stream.",
        ),
    ] = STREAM_LIMIT // MIB

    @property
    def stream_limit(self) -> int:
        """Bytes of a stream that are decompressed at the most."""
        return self.limit * MIB


@dataclass(frozen=True)
class FileOptions(Reading):
    """How captures in files are read."""

    PANEL: ClassVar[str] = "Reading"
    as_given: Annotated[
        bool,
        typer.Option("--as-given", help="Read one file behind the other, not by their times."),
    ] = False


@dataclass(frozen=True)
class Subjects:
    """What the messages must be about."""

    PANEL: ClassVar[str] = FILTERS
    node: Node = ""
    key: Key = ""
    cluster: Annotated[
        str,
        typer.Option(
            "--cluster",
            metavar="ID",
            help="Only of this cluster_id, told from the last Syn between the two addresses.",
        ),
    ] = ""


@dataclass(frozen=True)
class MessageSubjects(Subjects):
    """What single messages must be about, and between whom they pass."""

    PANEL: ClassVar[str] = FILTERS
    statuses: Annotated[
        list[str],
        typer.Option(
            "--status",
            metavar="STATUS,...",
            callback=known_statuses,
            autocompletion=_status_names,
            help=f"Only with a key-value of these: {', '.join(_status_names())}.",
        ),
    ] = field(default_factory=list)
    sender: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="WHO",
            help="Only from this address, IP:PORT or node_id (told by digests up to there); * and ? are wildcards.",
        ),
    ] = ""
    receiver: Annotated[str, typer.Option("--to", metavar="WHO", help="Only to this one, named as for --from.")] = ""

    @property
    def names_rows(self) -> bool:
        """Whether key-values are asked for, and not only messages."""
        return bool(self.key or self.statuses)


@dataclass(frozen=True)
class Period:
    """When messages must have been captured."""

    PANEL: ClassVar[str] = FILTERS
    since: Annotated[
        str,
        typer.Option(
            "--since",
            metavar="TIME",
            callback=moment,
            help="From then on: a date, epoch seconds, or +12.5 from the first message.",
        ),
    ] = ""
    until: Annotated[str, typer.Option("--until", metavar="TIME", callback=moment, help="Up to then.")] = ""


@dataclass(frozen=True)
class Show:
    """Which messages to show, and how."""

    PANEL: ClassVar[str] = OUTPUT
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="The whole tree of each message.")] = False
    tree_items: Annotated[
        int,
        typer.Option(
            "--limit", metavar="N", min=0, max=common.MOST, help="With -v: no tree of more than N items; 0 for any."
        ),
    ] = 2000
    json: Json = False
    fields: Annotated[
        str,
        typer.Option(
            "--fields",
            metavar="NAME,...",
            callback=known_columns,
            help="Only these values of the JSON, tab-separated; several of a list with commas.",
        ),
    ] = ""
    rows: Annotated[
        bool,
        typer.Option("--rows", help="With --fields: a row for each entry of the list, as of delta.key,delta.value."),
    ] = False
    summary: Annotated[
        bool,
        typer.Option("--summary", help="Tables: types, clusters, node pairs, sizes, findings by pair and receiver."),
    ] = False
    stats: Annotated[
        bool,
        typer.Option("--stats", help="What was read: frames, fragments, losses, speed."),
    ] = False
    types: Types = field(default_factory=list)
    findings: Annotated[
        bool,
        typer.Option("--findings", rich_help_panel=FILTERS, help="Only messages with findings, and what they are."),
    ] = False

    def __post_init__(self) -> None:
        """Raises BadParameter where two ways to show messages are asked for at once, or rows of no list or two."""
        if self.json + self.verbose + bool(self.fields) > 1:
            raise typer.BadParameter("choose one of --json, -v and --fields")
        if self.rows and len(self.lists) != 1:
            raise typer.BadParameter("--rows wants --fields with columns of one list, such as delta.key,delta.value")

    @property
    def lists(self) -> set[str]:
        """The lists of which ``fields`` names columns."""
        return {first for first, dot, _ in (name.partition(".") for name in self.fields.split(",")) if dot}

    @property
    def asks_for_messages(self) -> bool:
        """Whether one of the ways to show messages one by one is asked for."""
        return self.json or self.verbose or bool(self.fields)

    @property
    def prints_messages(self) -> bool:
        """Whether messages are shown one by one, and not only counted."""
        return self.asks_for_messages or not (self.summary or self.stats)


@dataclass(frozen=True)
class MessageOptions(Reading, MessageSubjects, Show):
    """All that commands take that show messages one by one."""


@dataclass(frozen=True)
class ReadOptions(FileOptions, MessageOptions, Period):
    """All that commands take that show the messages of files."""

    count: Count = 0
    write: Write = ""
