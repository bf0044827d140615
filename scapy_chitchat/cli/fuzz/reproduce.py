# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat fuzz reproduce``: the case of a finding tried again."""

from __future__ import annotations

from typing import Annotated

import typer

from scapy_chitchat.cli.common import BAD_INPUT, INTERRUPTED, MOST, CommandFailed, counted
from scapy_chitchat.cli.declaring import Command
from scapy_chitchat.cli.fuzz.making import PATIENCE, Again, FindingFolder, Patience
from scapy_chitchat.fuzz.target import TargetDownError
from scapy_chitchat.fuzz.trial import Trial
from scapy_chitchat.net.text import printable


def reproduce(
    folder: FindingFolder,
    again: Again,
    tries: Annotated[
        int, typer.Option("-n", "--tries", metavar="N", min=1, max=MOST, help="How often; once without --spawn.")
    ] = 5,
    patience: Patience = PATIENCE,
) -> int:
    """Try the case of a finding again. Gives the exit code."""
    finding, target = again.opened(folder, patience)
    trial = Trial(target, finding)
    failed = 0
    tries = tries if target.command else 1
    try:
        for number in range(1, tries + 1):
            failure = trial.failure(finding.messages)
            same = failure is not None and failure.group == finding.group
            failed += failure is not None
            what = "lives" if failure is None else printable(failure.symptom[:120])
            print(f"{number} of {tries}: {what}{'' if same or failure is None else ', which is another failure'}")
    except TargetDownError as error:
        raise CommandFailed(str(error)) from None
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        target.close()
    print(f"failed {failed} of {counted(tries, 'time')}")
    return BAD_INPUT if failed else 0


COMMAND = Command(
    reproduce,
    more="""
The node is the one of the finding, started as it was then, unless --to and --spawn say otherwise. The exit code is 1 if
the node failed.
""",
    examples=(
        "scapy-chitchat fuzz reproduce findings/20260101-120000/01-state.rs-237",
        "scapy-chitchat fuzz reproduce findings/20260101-120000/01-state.rs-237 \\\n"
        '    --spawn "my-fixed-node --listen 127.0.0.1:7280"',
    ),
)
