# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat fuzz``: hostile cases, made and run."""

from __future__ import annotations

import typer

from scapy_chitchat.cli import common

HELP = """Make hostile messages, run them against a node of your own, and come back with small cases that reproduce.

Examples:

  scapy-chitchat fuzz list

  scapy-chitchat fuzz generate --seed 1 -n 10000 -w cases.pcapng

  scapy-chitchat fuzz run --to 127.0.0.1:7280 --time 600 --spawn "my-node --listen 127.0.0.1:7280"

  scapy-chitchat fuzz reproduce findings/20260101-120000/01-state.rs-237
"""

LIST_HELP = "The strategies: how many of the cases are theirs, and what they do."

GENERATE_HELP = """Write cases without sending them: as a capture with a comment on each packet, or as JSON.

The same seed, number and strategies give the same bytes, in any run and any Python.

Examples:

  scapy-chitchat fuzz generate --seed 1 -n 1000000 -w cases.pcapng

  scapy-chitchat fuzz generate --seed 7 -n 100 --strategy order --strategy numbers --json

  scapy-chitchat fuzz generate -n 1000 --strategy mutation --capture real.pcap -w mutated.pcapng
"""

RUN_HELP = """Send cases to a node, watch whether it lives, and narrow what makes it fail to the smallest case.

A node that is started with --spawn is started anew after each failure, and for each try when a case is narrowed; its
standard error is read for panics. The cluster_id is learnt from the node unless given. A node gossips to the
addresses that it hears of: cases that name others than this machine are kept back without --allow-remote.

Each kind of failure gets a folder: the case as pcapng and as Python, the node's standard error, and how to reproduce
it. The exit code is 1 if the node failed.

Examples:

  scapy-chitchat fuzz run --to 127.0.0.1:7280 --time 600 --spawn "my-node --listen 127.0.0.1:7280"

  scapy-chitchat fuzz run --to 127.0.0.1:7280 -n 100000 --strategy sequences --seed 2 --stop-on-first
"""

REPRODUCE_HELP = """Try the case of a finding again, on fresh nodes. The exit code is 1 if the node failed.

Examples:

  scapy-chitchat fuzz reproduce findings/20260101-120000/01-state.rs-237

  scapy-chitchat fuzz reproduce findings/20260101-120000/01-state.rs-237 --spawn "my-fixed-node --listen 127.0.0.1:7280"
"""

MINIMIZE_HELP = """Narrow the case of a finding further, on fresh nodes, and write its folder anew.

Example:

  scapy-chitchat fuzz minimize findings/20260101-120000/01-state.rs-237 --time 300
"""

TO = typer.Option("", "--to", metavar="HOST:PORT", help="The node; as when it was found unless given.")
SPAWN = typer.Option(None, "--spawn", metavar="COMMAND", help="Starts it; as when it was found unless given.")
REMOTE = typer.Option(False, "--allow-remote", help="Let the node be on another machine, or hear of such.")
SEED = typer.Option(1, "--seed", metavar="N", min=0, max=2**32 - 1, help="Another seed, other cases.")
STRATEGIES = typer.Option([], "--strategy", metavar="NAME", help="Only this strategy (again for more).")
CAPTURE = typer.Option([], "--capture", metavar="FILE", help="Change messages of this capture (again for more).")
CLUSTER = typer.Option(
    None, "--cluster-id", "--cluster", metavar="ID", callback=common.cluster_id, help="The node's cluster."
)


def add_to(app: typer.Typer) -> None:
    """Make this a command of ``app``, with commands of its own."""
    fuzz = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode="rich")
    fuzz.command("list", help=LIST_HELP)(list_strategies)
    fuzz.command("generate", help=GENERATE_HELP, no_args_is_help=True)(generate)
    fuzz.command("run", help=RUN_HELP, no_args_is_help=True)(run)
    fuzz.command("reproduce", help=REPRODUCE_HELP, no_args_is_help=True)(reproduce)
    fuzz.command("minimize", help=MINIMIZE_HELP, no_args_is_help=True)(minimize)
    app.add_typer(fuzz, name="fuzz")


def list_strategies() -> None:
    """Print the table."""
    from scapy_chitchat.cli.fuzzing import print_strategies

    print_strategies()


def generate(
    seed: int = SEED,
    count: int = typer.Option(1000, "-n", metavar="N", min=1, max=common.MOST, help="How many cases."),
    write: str = typer.Option("", "-w", "--write", metavar="FILE", help="A pcapng capture."),
    json: bool = typer.Option(False, "--json", help="JSON on standard output, a case a line."),
    strategies: list[str] = STRATEGIES,
    captures: list[str] = CAPTURE,
    cluster_id: str = CLUSTER,
    receiver: str = typer.Option(
        "", "--receiver", metavar="ID,GENERATION,ADDR", help="The node's own id, for the strategies that use it."
    ),
) -> None:
    """Check the options against each other, and generate."""
    from scapy_chitchat.cli.fuzzing import generate_cases, parse_context

    if bool(write) == json:
        raise typer.BadParameter("choose one of -w FILE and --json")
    try:
        context = parse_context(strategies, captures, cluster_id, receiver)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    raise typer.Exit(generate_cases(seed, count, tuple(strategies), context, write))


def run(
    to: str = typer.Option(..., "--to", metavar="HOST:PORT", help="The node."),
    spawn: str = typer.Option("", "--spawn", metavar="COMMAND", help="Starts the node; it is restarted when it fails."),
    time: float = typer.Option(
        0.0, "--time", metavar="SECONDS", min=0.0, max=common.MOST, help="Stop after this time."
    ),
    count: int = typer.Option(0, "-n", metavar="N", min=0, max=common.MOST, help="Stop after so many cases."),
    seed: int = SEED,
    strategies: list[str] = STRATEGIES,
    captures: list[str] = CAPTURE,
    cluster_id: str = CLUSTER,
    rate: float = typer.Option(
        20_000.0, "--rate", metavar="N", min=1.0, max=common.MOST, help="At most N messages a second."
    ),
    patience: float = typer.Option(
        5.0,
        "--patience",
        metavar="SECONDS",
        min=0.1,
        max=common.MOST,
        help="Without an answer for so long, it has failed.",
    ),
    stop_on_first: bool = typer.Option(False, "--stop-on-first", help="Stop after the first finding."),
    findings: str = typer.Option("findings", "-o", "--findings", metavar="FOLDER", help="Where findings go."),
    allow_remote: bool = REMOTE,
) -> None:
    """Check the options against each other, and run."""
    from scapy_chitchat.cli.fuzzing import parse_context, run_campaign
    from scapy_chitchat.fuzz.campaign import Plan

    try:
        context = parse_context(strategies, captures, cluster_id, "")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    plan = Plan(
        seed=seed,
        strategies=tuple(strategies),
        cases=count or None,
        seconds=time or None,
        rate=rate,
        stop_on_first=stop_on_first,
        allow_remote=allow_remote,
    )
    raise typer.Exit(run_campaign(plan, to, spawn, cluster_id, patience, findings, context.captured))


def reproduce(
    folder: str = typer.Argument(..., metavar="FOLDER", help="The folder of a finding."),
    to: str = TO,
    spawn: str = SPAWN,
    tries: int = typer.Option(
        5, "-n", "--tries", metavar="N", min=1, max=common.MOST, help="How often; once without --spawn."
    ),
    patience: float = typer.Option(
        5.0,
        "--patience",
        metavar="SECONDS",
        min=0.1,
        max=common.MOST,
        help="Without an answer for so long, it has failed.",
    ),
    allow_remote: bool = REMOTE,
) -> None:
    """Try again."""
    from scapy_chitchat.cli.fuzzing import reproduce_finding

    raise typer.Exit(reproduce_finding(folder, to, spawn, tries, patience, allow_remote))


def minimize(
    folder: str = typer.Argument(..., metavar="FOLDER", help="The folder of a finding."),
    to: str = TO,
    spawn: str = SPAWN,
    time: float = typer.Option(
        120.0, "--time", metavar="SECONDS", min=1.0, max=common.MOST, help="Stop after this time."
    ),
    allow_remote: bool = REMOTE,
) -> None:
    """Narrow further."""
    from scapy_chitchat.cli.fuzzing import minimize_finding

    raise typer.Exit(minimize_finding(folder, to, spawn, time, allow_remote))
