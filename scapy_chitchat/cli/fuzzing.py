# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``fuzz`` does once it knows what is wanted."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from scapy_chitchat.capture import CaptureError, read_messages
from scapy_chitchat.capture.writing import CaptureWriter
from scapy_chitchat.cli.common import BAD_INPUT, INTERRUPTED, Failure, complain, hush_scapy, stop_writing
from scapy_chitchat.cli.status import StatusLine, stop_on_sigterm, target_address
from scapy_chitchat.fuzz import STRATEGIES, Case, Context, cases
from scapy_chitchat.fuzz.building import entry
from scapy_chitchat.fuzz.campaign import Campaign, Plan
from scapy_chitchat.fuzz.finding import CampaignFinding, place_of, read_finding, write_finding
from scapy_chitchat.fuzz.target import Target, TargetDownError
from scapy_chitchat.fuzz.trial import Trial, narrow_finding
from scapy_chitchat.net.packets import Endpoints
from scapy_chitchat.net.text import printable
from scapy_chitchat.records.identity import ChitchatId
from scapy_chitchat.records.makers import item_bytes
from scapy_chitchat.replay.rewrite import canonical_address
from scapy_chitchat.wire.protocol import UDP_PORTS

ENDS = Endpoints("127.0.0.1", UDP_PORTS[0] + 1, "127.0.0.1", UDP_PORTS[0])
EPOCH = 1_600_000_000
"""The time of the first packet of generated cases: always the same, since the same seed gives the same bytes."""


def print_strategies() -> None:
    """Name, share and description of all strategies."""
    whole = sum(each.share for each in STRATEGIES.values())
    for each in STRATEGIES.values():
        print(f"{each.name:<11} {each.share / whole:4.0%}  {each.text}")


def parse_context(strategies: Sequence[str], captures: Sequence[str], cluster_id: str | None, receiver: str) -> Context:
    """What cases are made of. Raises ValueError for an unknown strategy or a bad id, and Failure for a bad capture."""
    hush_scapy()
    unknown = [name for name in strategies if name not in STRATEGIES]
    if unknown:
        raise ValueError(f"no strategy {unknown[0]!r}; there are {', '.join(STRATEGIES)}")
    known = Context()
    try:
        captured = tuple(each.data for each in read_messages(captures)) if captures else ()
    except CaptureError as error:
        raise Failure(str(error)) from None
    own = known.receiver
    if receiver:
        try:
            node_id, generation_id, address = receiver.rsplit(",", 2)
            own = ChitchatId(node_id, int(generation_id), canonical_address(address))
            item_bytes(entry(own))
        except ValueError:
            raise ValueError(f"{receiver!r} is not ID,GENERATION,IP:PORT") from None
    return Context(known.cluster_id if cluster_id is None else cluster_id, own, captured)


# --- generate ---


def generate_cases(seed: int, count: int, strategies: tuple[str, ...], context: Context, write: str) -> int:
    """Write cases to a capture, or as JSON to standard output. Gives the exit code."""
    stop_on_sigterm()
    made = islice(cases(seed, strategies, context), count)
    done = 0
    status = StatusLine(lambda: f"{done:,} of {count:,} cases")

    def counted() -> Iterable[Case]:
        nonlocal done
        for each in made:
            yield each
            done += 1
            if done % 100 == 0:
                status.update()

    code = 0
    try:
        _write_capture(counted(), write) if write else _write_json(counted())
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        stop_writing()
    status.clear()
    return code


def _write_capture(made: Iterable[Case], path: str) -> None:
    with CaptureWriter(path) as out:
        for each in made:
            several = len(each.messages)
            for number, message in enumerate(each.messages, 1):
                comment = each.name if several == 1 else f"{each.name} message={number}/{several}"
                out.datagram(ENDS, message, EPOCH * 10**9 + out.packets * 1_000_000, comment)


def _write_json(made: Iterable[Case]) -> None:
    write = sys.stdout.buffer.write
    for each in made:
        line = {
            "strategy": each.strategy,
            "seed": each.seed,
            "case": each.number,
            "messages": [message.hex() for message in each.messages],
        }
        write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


# --- run ---


def run_campaign(
    plan: Plan,
    to: str,
    spawn: str,
    cluster_id: str | None,
    patience: float,
    findings: str,
    captured: Sequence[bytes],
) -> int:
    """Run cases against a target and report. Gives the exit code."""
    stop_on_sigterm()
    target = Target(target_address(to, plan.allow_remote), spawn, cluster_id, patience)
    folder = Path(findings) / time.strftime("%Y%m%d-%H%M%S")
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
    status.clear()
    report = "\n".join(_report(campaign))
    print(report)
    if campaign.progress.findings:
        (folder / "report.txt").write_text(report + "\n")
    if trouble:
        complain(trouble)
    return code or (BAD_INPUT if trouble or campaign.progress.findings else 0)


def _progress(campaign: Campaign) -> str:
    progress = campaign.progress
    return (
        f"{progress.seconds:6.0f} s  {progress.cases:,} cases ({progress.rate:,.0f}/s)  "
        f"{len(progress.findings)} findings, {progress.failures:,} failures  {printable(progress.doing)[:60]}"
    )


def _report(campaign: Campaign) -> Iterable[str]:
    """What was run and what was found."""
    progress, target = campaign.progress, campaign.target
    yield (
        f"{progress.cases:,} cases, {progress.messages:,} messages in {progress.seconds:.0f} s, of which "
        f"{progress.narrowing:.0f} s starting and narrowing; {progress.rate:,.0f} cases a second otherwise"
    )
    if progress.by_strategy:
        counts = sorted(progress.by_strategy.items(), key=lambda each: -each[1])
        yield "  " + ", ".join(f"{name} {count:,}" for name, count in counts)
    if progress.kept_back:
        yield f"  {progress.kept_back:,} cases were kept back: they name nodes that are not on this machine"
    if not progress.cases:
        return
    if not target.is_node:
        yield "  what listens there answers, but not as a chitchat node does: only its silence could be noticed"
    elif not target.knows_cluster:
        yield "  its cluster_id is not known, so no Syn got past that check: say it with --cluster-id"
    if target.command:
        yield f"  the target was started {target.starts:,} times"
    yield f"  the slowest answer took {target.slowest:.2f} s"
    if not progress.findings:
        yield "no findings"
        return
    yield f"{len(progress.findings)} findings, {progress.failures:,} failures:"
    for number, finding in enumerate(progress.findings, 1):
        yield from _described(number, finding)


def _described(number: int, finding: CampaignFinding) -> Iterable[str]:
    tried = f"reproduced {finding.reproduced} of {finding.tries}" if finding.tries else "not tried again"
    first = f"{finding.strategy}, after {finding.after_seconds:.0f} s"
    yield f"  {number}. {printable(finding.group)}"
    if finding.group != finding.symptom:
        yield f"     {printable(finding.symptom[:160])}"
    yield f"     {len(finding.messages)} messages, {finding.size:,} bytes; {tried}; seen {finding.seen:,} times"
    yield f"     found by {first}; {finding.folder}"


# --- findings again ---


def _opened(
    folder: str, to: str, spawn: str | None, allow_remote: bool, patience: float = 5.0
) -> tuple[CampaignFinding, Target]:
    hush_scapy()
    stop_on_sigterm()
    try:
        finding = read_finding(Path(folder))
    except ValueError as error:
        raise Failure(str(error)) from None
    command = finding.spawn if spawn is None else spawn
    address = target_address(to or finding.to, allow_remote)
    return finding, Target(address, command, finding.cluster_id if not to else None, patience)


def reproduce_finding(folder: str, to: str, spawn: str | None, tries: int, patience: float, allow_remote: bool) -> int:
    """Try the case of a finding again. Gives the exit code."""
    finding, target = _opened(folder, to, spawn, allow_remote, patience)
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
        raise Failure(str(error)) from None
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        target.close()
    print(f"failed {failed} of {tries} times")
    return BAD_INPUT if failed else 0


def minimize_finding(folder: str, to: str, spawn: str | None, seconds: float, allow_remote: bool) -> int:
    """Narrow the case of a finding, and write its folder anew. Gives the exit code."""
    finding, target = _opened(folder, to, spawn, allow_remote)
    if not target.command:
        target.close()
        raise Failure("to narrow a case, each try needs a fresh target: say how to start one with --spawn")
    before = (len(finding.messages), sum(map(len, finding.messages)))
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
        raise Failure(str(error)) from None
    except KeyboardInterrupt:
        code = INTERRUPTED
    finally:
        target.close()
        write_finding(finding, Path(folder))
    status.clear()
    after = (len(finding.messages), sum(map(len, finding.messages)))
    print(f"{before[0]} messages of {before[1]:,} bytes became {after[0]} of {after[1]:,}")
    print(f"failed {finding.reproduced} of {finding.tries} times")
    return code
