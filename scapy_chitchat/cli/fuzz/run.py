# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat fuzz run``: cases against a node, and what was found."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from scapy_chitchat.cli.common import BAD_INPUT, INTERRUPTED, MOST, complain, counted
from scapy_chitchat.cli.declaring import Command
from scapy_chitchat.cli.fuzz.making import PATIENCE, Making, Patience, Spawn
from scapy_chitchat.cli.options import TO, AllowRemote
from scapy_chitchat.cli.status import StatusLine, stop_cleanly, target_address
from scapy_chitchat.fuzz.campaign import Campaign, CampaignProgress, Plan
from scapy_chitchat.fuzz.finding import CampaignFinding
from scapy_chitchat.fuzz.target import Target, TargetDownError
from scapy_chitchat.net.text import printable


@dataclass(frozen=True)
class Running:
    """Against what the cases run, how fast, and for how long."""

    to: Annotated[str, TO]
    spawn: Spawn = ""
    time: Annotated[
        float, typer.Option("--time", metavar="SECONDS", min=0.0, max=MOST, help="Stop after this time.")
    ] = 0.0
    count: Annotated[int, typer.Option("-n", metavar="N", min=0, max=MOST, help="Stop after so many cases.")] = 0
    rate: Annotated[
        float, typer.Option("--rate", metavar="N", min=1.0, max=MOST, help="At most N messages a second.")
    ] = 20_000.0
    patience: Patience = PATIENCE
    stop_on_first: Annotated[bool, typer.Option("--stop-on-first", help="Stop after the first finding.")] = False
    findings: Annotated[str, typer.Option("-o", "--findings", metavar="FOLDER", help="Where findings go.")] = "findings"
    allow_remote: AllowRemote = False


def run(making: Making, running: Running) -> int:
    """Run cases against a target and report. Gives the exit code."""
    captured = making.context().captured
    plan = Plan(
        seed=making.seed,
        strategies=tuple(making.strategies),
        cases=running.count or None,
        seconds=running.time or None,
        rate=running.rate,
        stop_on_first=running.stop_on_first,
        allow_remote=running.allow_remote,
    )
    stop_cleanly()
    address = target_address(running.to, running.allow_remote)
    target = Target(address, running.spawn or "", making.cluster_id, running.patience)
    folder = Path(running.findings) / time.strftime("%Y%m%d-%H%M%S")
    status = StatusLine(lambda: _progress(campaign))
    campaign = Campaign(target, plan, folder, status.update, captured)
    code = 0
    trouble = ""
    try:
        campaign.run()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except TargetDownError as error:
        trouble = str(error)
    finally:
        target.close()
    report = "\n".join(_report(campaign))
    if campaign.progress.findings:  # first into the file: the terminal may be gone
        (folder / "report.txt").write_text(report + "\n")
    status.clear()
    print(report)
    if trouble:
        complain(trouble)
    return code or (BAD_INPUT if trouble or campaign.progress.findings else 0)


def _progress(campaign: Campaign) -> str:
    progress = campaign.progress
    return (
        f"{progress.seconds:6.0f} s  {counted(progress.cases, 'case')} ({progress.rate:,.0f}/s)  "
        f"{_found(progress)}  {printable(progress.doing)[:60]}"
    )


def _report(campaign: Campaign) -> Iterable[str]:
    """What was run and what was found."""
    progress, target = campaign.progress, campaign.target
    yield (
        f"{counted(progress.cases, 'case')}, {counted(progress.messages, 'message')} in {progress.seconds:.0f} s, "
        f"of which {progress.narrowing:.0f} s starting and narrowing; {progress.rate:,.0f} cases a second otherwise"
    )
    if progress.by_strategy:
        counts = sorted(progress.by_strategy.items(), key=lambda each: -each[1])
        yield "  " + ", ".join(f"{name} {count:,}" for name, count in counts)
    if progress.kept_back:
        were = "1 case was" if progress.kept_back == 1 else f"{progress.kept_back:,} cases were"
        yield f"  {were} kept back, for naming nodes that are not on this machine"
    if not progress.cases:
        return
    if not target.is_node:
        yield "  what listens there answers, but not as a chitchat node does: only its silence could be noticed"
    elif not target.knows_cluster:
        yield "  its cluster_id is not known, so no Syn got past that check: say it with --cluster-id"
    if target.command:
        yield f"  the target was started {counted(target.starts, 'time')}"
    yield f"  the slowest answer took {target.slowest:.2f} s"
    if not progress.findings:
        yield "no findings"
        return
    yield f"{_found(progress)}:"
    for number, finding in enumerate(progress.findings, 1):
        yield from _described(number, finding)


def _found(progress: CampaignProgress) -> str:
    return f"{counted(len(progress.findings), 'finding')}, {counted(progress.failures, 'failure')}"


def _described(number: int, finding: CampaignFinding) -> Iterable[str]:
    tried = f"reproduced {finding.reproduced} of {finding.tries}" if finding.tries else "not tried again"
    first = f"{finding.strategy}, after {finding.after_seconds:.0f} s"
    yield f"  {number}. {printable(finding.group)}"
    if finding.group != finding.symptom:
        yield f"     {printable(finding.symptom[:160])}"
    size = f"{counted(len(finding.messages), 'message')}, {counted(finding.size, 'byte')}"
    yield f"     {size}; {tried}; seen {counted(finding.seen, 'time')}"
    yield f"     found by {first}; {printable(finding.folder)}"


COMMAND = Command(
    run,
    more="""
A node that is started with --spawn is started anew after each failure, and for each try when a case is narrowed; its
standard error is read for panics. The cluster_id is learnt from the node unless given. A node gossips to the addresses
that it hears of: cases that name others than this machine are kept back without --allow-remote.

Each kind of failure gets a folder: the case as pcapng and as Python, the node's standard error, and how to reproduce
it. The exit code is 1 if the node failed.
""",
    examples=(
        'scapy-chitchat fuzz run --to 127.0.0.1:7280 --time 600 \\\n    --spawn "my-node --listen 127.0.0.1:7280"',
        "scapy-chitchat fuzz run --to 127.0.0.1:7280 -n 100000 --seed 2 \\\n    --strategy sequences --stop-on-first",
    ),
)
