# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``probe`` does once it knows what is wanted."""

from __future__ import annotations

import sys

import msgspec
import typer

from scapy_chitchat.cli.common import Failure, complain, console, hush_scapy
from scapy_chitchat.cli.tables import table
from scapy_chitchat.net.targets import TargetError
from scapy_chitchat.net.text import printable
from scapy_chitchat.node.probe import Answer, ProbeError, probe


def ask(
    target: str, cluster: str, version: int | None, timeout: float, tries: int, *, json: bool, allow_remote: bool
) -> None:
    """Probe the target and print what it told. Raises Failure where it told nothing."""
    hush_scapy()
    try:
        answer = probe(target, cluster, version=version, timeout=timeout, tries=tries, allow_remote=allow_remote)
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
        f"{answer.address} answered in {answer.seconds * 1000:.1f} ms, V{answer.version}, {answer.size:,} bytes: "
        f"{len(members):,} members, {keys:,} keys\n"
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
