# SPDX-License-Identifier: GPL-2.0-or-later
"""What the commands of ``fuzz`` share: the options that say what cases are made of, and the node that they go to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from scapy_chitchat.capture import CaptureError, read_messages
from scapy_chitchat.cli.common import MOST, CommandFailed, hush_scapy
from scapy_chitchat.cli.options import CLUSTER_ID, TO, AllowRemote
from scapy_chitchat.cli.status import stop_cleanly, target_address
from scapy_chitchat.fuzz import STRATEGIES, Context
from scapy_chitchat.fuzz.building import entry
from scapy_chitchat.fuzz.finding import CampaignFinding, read_finding
from scapy_chitchat.fuzz.target import Target
from scapy_chitchat.records.identity import ChitchatId
from scapy_chitchat.records.makers import item_bytes
from scapy_chitchat.replay.rewrite import canonical_address


def known_strategies(names: list[str] | None) -> list[str]:
    """The callback of an option: names of strategies. Raises BadParameter where there is no such."""
    for name in names or ():
        if name not in STRATEGIES:
            raise typer.BadParameter(f"no strategy {name!r}; there are {', '.join(STRATEGIES)}")
    return names or []


def _strategy_names() -> list[str]:
    return list(STRATEGIES)


FindingFolder = Annotated[str, typer.Argument(metavar="FOLDER", help="The folder of a finding.")]
Spawn = Annotated[
    str | None,
    typer.Option("--spawn", metavar="COMMAND", help="Starts the node; it is started anew when it has failed."),
]
Patience = Annotated[
    float,
    typer.Option(
        "--patience", metavar="SECONDS", min=0.1, max=MOST, help="Without an answer for so long, it has failed."
    ),
]
PATIENCE = 5.0
"""Seconds without an answer after which a node has failed, unless --patience says otherwise."""


@dataclass(frozen=True)
class Making:
    """What cases are made of."""

    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, max=2**32 - 1, help="Another seed, other cases.")
    ] = 1
    strategies: Annotated[
        list[str],
        typer.Option(
            "--strategy",
            metavar="NAME",
            callback=known_strategies,
            autocompletion=_strategy_names,
            help="Only this strategy (again for more).",
        ),
    ] = field(default_factory=list)
    captures: Annotated[
        list[str],
        typer.Option("--capture", metavar="FILE", help="Change messages of this capture (again for more)."),
    ] = field(default_factory=list)
    cluster_id: Annotated[str | None, CLUSTER_ID] = None

    def context(self, receiver: str = "") -> Context:
        """What cases are made of. Raises BadParameter for a bad receiver, and CommandFailed for a bad capture."""
        hush_scapy()
        known = Context()
        try:
            captured = tuple(each.data for each in read_messages(self.captures)) if self.captures else ()
        except CaptureError as error:
            raise CommandFailed(str(error)) from None
        own = known.receiver
        if receiver:
            try:
                node_id, generation_id, address = receiver.rsplit(",", 2)
                own = ChitchatId(node_id, int(generation_id), canonical_address(address))
                item_bytes(entry(own))
            except ValueError:
                raise typer.BadParameter(f"{receiver!r} is not ID,GENERATION,IP:PORT") from None
        return Context(known.cluster_id if self.cluster_id is None else self.cluster_id, own, captured)


@dataclass(frozen=True)
class Again:
    """The node to which the case of a finding goes again: as when it was found, unless told otherwise."""

    to: Annotated[str, TO] = ""
    spawn: Spawn = None
    allow_remote: AllowRemote = False

    def opened(self, folder: str, patience: float = PATIENCE) -> tuple[CampaignFinding, Target]:
        """The finding in a folder, and its target. Raises CommandFailed where there is none in it."""
        hush_scapy()
        stop_cleanly()
        try:
            finding = read_finding(Path(folder))
        except ValueError as error:
            raise CommandFailed(str(error)) from None
        command = finding.spawn if self.spawn is None else self.spawn
        address = target_address(self.to or finding.to, self.allow_remote)
        return finding, Target(address, command, finding.cluster_id if not self.to else None, patience)
