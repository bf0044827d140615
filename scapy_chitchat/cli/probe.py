# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat probe HOST:PORT``: what one node tells of its cluster."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import Annotated

import msgspec
import typer

from scapy_chitchat.cli.common import BAD_INPUT, MOST, CommandFailed, complain, console, counted
from scapy_chitchat.cli.declaring import Command
from scapy_chitchat.cli.options import CLUSTER_ID, AllowRemote, Json, Key, Node
from scapy_chitchat.cli.tables import print_table
from scapy_chitchat.net.targets import TargetError
from scapy_chitchat.net.text import harmless_json, printable
from scapy_chitchat.node.members import KeyValue
from scapy_chitchat.node.probe import Answer, ProbeError
from scapy_chitchat.node.probe import probe as ask
from scapy_chitchat.node.told import ToldMember

MOST_ROWS = 200
"""Rows of a table that are shown unless more are asked for."""

MOST_CHARACTERS = 200
"""Characters of a key or a value that are shown beside others."""

MOST_NAMES = 5
"""Members that one line names."""


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
        int, typer.Option("--tries", metavar="N", min=1, max=MOST, help="Ask at most so often for one answer.")
    ] = 4
    watch: Annotated[
        float,
        typer.Option(
            "--watch",
            metavar="SECONDS",
            min=0,
            max=MOST,
            help="Ask again so much later: whose heartbeat has moved is alive. 0 asks once.",
        ),
    ] = 1.0
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
    node: Node = "",
    key: Key = "",
    limit: Annotated[
        int,
        typer.Option(
            "--limit",
            metavar="ROWS",
            min=0,
            max=MOST,
            help="Rows of a table, and long values cut; 0 for all of them, whole.",
        ),
    ] = MOST_ROWS,
) -> int:
    """Ask the node and print what it told. Raises CommandFailed where it told nothing; 1 where it did not tell all."""
    try:
        answer = ask(
            target,
            how.cluster,
            version=how.version,
            timeout=how.timeout,
            tries=how.tries,
            watch=how.watch,
            allow_remote=how.allow_remote,
        )
    except TargetError as error:
        raise typer.BadParameter(str(error)) from None
    except ProbeError as error:
        raise CommandFailed(printable(str(error))) from None
    about = [each for each in answer.members if not node or fnmatchcase(each.node_id, node)]
    shown = _with_key(about, key) if key else about
    if json:
        _print_json(answer, shown)
    else:
        _print_tables(answer, shown, limit)
    if answer.members and not shown:
        complain("nothing that it told matches --node and --key")
    return _say_what_is_missing(answer, [each for each in about if not each.complete])


def _with_key(members: Sequence[ToldMember], pattern: str) -> list[ToldMember]:
    """The members that have such keys, with these alone."""
    made = []
    for member in members:
        keys = [each for each in member.keys if fnmatchcase(each.key, pattern)]
        if keys:
            made.append(msgspec.structs.replace(member, key_values=keys))
    return made


def _print_json(answer: Answer, members: Sequence[ToldMember]) -> None:
    told = {
        "address": answer.address,
        "version": answer.version,
        "seconds": round(answer.seconds, 6),
        "answers": answer.answers,
        "size": answer.size,
        "watched": round(answer.watched, 6),
        "complete": answer.is_complete,
        "trouble": answer.trouble,
        "cluster_id": answer.cluster.cluster_id,
        "members": members,
    }
    sys.stdout.buffer.write(harmless_json(msgspec.json.encode(told)) + b"\n")


# --- tables ---


def _print_tables(answer: Answer, members: Sequence[ToldMember], limit: int) -> None:
    out = console()
    keys = sum(len(each.keys) for each in members)
    out.print(
        f"{answer.address} answered in {answer.seconds * 1000:.1f} ms, V{answer.version}, "
        f"{counted(answer.size, 'byte')} in {counted(answer.answers, 'answer')}: "
        f"{counted(len(members), 'member')}, {counted(keys, 'key')}\n",
        markup=False,
    )
    most = limit or max(len(members), keys)
    words = ["node_id", "gossip_advertise_addr"]
    numbers = ["generation_id", "heartbeat", "last_gc_version", "max_version", "told_up_to", "keys"]
    if answer.watched:
        words.append(f"in {answer.watched:.1f} s")
    print_table(out, "Members", words, numbers, [_member_row(each) for each in members[:most]])
    _say_what_is_cut(out.print, len(members) - most, "member")
    if keys:
        rows: list[list[str]] = []
        for member in members:
            rows += [_key_row(member, each, cut=bool(limit)) for each in member.keys[: most - len(rows)]]
        print_table(out, "Keys", ["node_id", "key", "value", "status"], ["generation_id", "version"], rows)
        _say_what_is_cut(out.print, keys - most, "key")


def _member_row(member: ToldMember) -> list[str]:
    state = [] if member.state is None else [_STATES[member.state].format(member.heartbeat_rise)]
    numbers = (
        member.generation_id,
        member.heartbeat,
        member.last_gc_version,
        member.max_version,
        member.told_up_to,
        len(member.keys),
    )
    return [printable(member.node_id), member.gossip_advertise_addr, *state, *map(str, numbers)]


_STATES = {"alive": "alive (+{})", "silent": "silent", "ghost": "ghost of another run"}


def _key_row(member: ToldMember, told: KeyValue, *, cut: bool) -> list[str]:
    key, value = (_cut(each) if cut else each for each in (told.key, told.value))
    numbers = (str(member.generation_id), str(told.version))
    return [printable(member.node_id), printable(key), printable(value), told.status, *numbers]


def _cut(text: str) -> str:
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[:MOST_CHARACTERS]}… ({counted(len(text), 'character')})"


def _say_what_is_cut(say: Callable[[str], None], number: int, what: str) -> None:
    if number > 0:
        say(f"  and {counted(number, f'more {what}')}: --limit 0 shows all, --json tells all\n")


# --- what is missing ---


def _say_what_is_missing(answer: Answer, missing: Sequence[ToldMember]) -> int:
    """Say on standard error what the node did not tell. The exit code."""
    stuck = [each for each in missing if each.stuck]
    untold = [each for each in missing if not each.stuck]
    if stuck:
        complain(
            f"stuck: the next key-value of {_names(stuck)} fits no datagram, so no node gets it from this one, "
            "nor what was changed after it"
        )
    if answer.trouble:
        complain(f"{answer.address} did not tell all: {answer.trouble}{'; missing: ' * bool(untold)}{_names(untold)}")
    return BAD_INPUT if missing or answer.trouble else 0


def _names(members: Sequence[ToldMember]) -> str:
    """The first few of these, and how much of each was told."""
    told = [f"{printable(each.node_id)} (up to {each.told_up_to} of {each.max_version})" for each in members]
    more = len(members) - MOST_NAMES
    return ", ".join(told[:MOST_NAMES]) + (f" and {counted(more, 'more member')}" if more > 0 else "")


COMMAND = Command(
    probe,
    more="""
A Syn with an empty digest is sent, then others that claim as known what the node has told, until it has told all. It
takes in nobody for it, and only its own heartbeat moves. What it cannot tell is said, and the exit code is 1.

Whose heartbeat moves while it is watched is alive. Members that are heard of only now and then, in a large cluster or
with a long gossip interval, want a longer --watch.
""",
    examples=(
        "scapy-chitchat probe 127.0.0.1:7280 --cluster prod",
        "scapy-chitchat probe [::1]:7280 --cluster prod --json | jq .members",
        "scapy-chitchat probe indexer-0:7280 --cluster prod --allow-remote --node 'indexer-*' --key readiness",
    ),
)
