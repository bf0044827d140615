# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat fuzz minimize``: the case of a finding narrowed further."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scapy_chitchat.cli.common import INTERRUPTED, MOST, CommandFailed, counted
from scapy_chitchat.cli.declaring import Command
from scapy_chitchat.cli.fuzz.making import Again, FindingFolder
from scapy_chitchat.cli.status import StatusLine
from scapy_chitchat.fuzz.finding import CampaignFinding, place_of, write_finding
from scapy_chitchat.fuzz.target import TargetDownError
from scapy_chitchat.fuzz.trial import narrow_finding
from scapy_chitchat.net.text import printable


def minimize(
    folder: FindingFolder,
    again: Again,
    seconds: Annotated[
        float, typer.Option("--time", metavar="SECONDS", min=1.0, max=MOST, help="Stop after this time.")
    ] = 120.0,
) -> int:
    """Narrow the case of a finding, and write its folder anew. Gives the exit code."""
    finding, target = again.opened(folder)
    if not target.command:
        target.close()
        raise CommandFailed("to narrow a case, each try needs a fresh target: say how to start one with --spawn")
    before = _size(finding)
    doing = ""
    status = StatusLine(lambda: printable(doing))

    def tell(what: str) -> None:
        nonlocal doing
        doing = what
        status.update()

    code = 0
    try:
        target.start()
        narrow_finding(finding, target, (), seconds, tell)
        finding.spawn, finding.to = target.command, place_of(target.address)
    except TargetDownError as error:
        raise CommandFailed(str(error)) from None
    except KeyboardInterrupt:
        code = INTERRUPTED
    finally:
        target.close()
        write_finding(finding, Path(folder))
    status.clear()
    print(f"{before} became {_size(finding)}")
    print(f"failed {finding.reproduced} of {counted(finding.tries, 'time')}")
    return code


def _size(finding: CampaignFinding) -> str:
    return f"{counted(len(finding.messages), 'message')} of {counted(finding.size, 'byte')}"


COMMAND = Command(
    minimize,
    more="""
The node is the one of the finding, started as it was then, unless --to and --spawn say otherwise.
""",
    examples=("scapy-chitchat fuzz minimize findings/20260101-120000/01-state.rs-237 --time 300",),
)
