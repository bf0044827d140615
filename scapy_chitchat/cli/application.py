# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands put together to one application, and what is wrong with how it was called, as one line."""

from __future__ import annotations

import os
from collections.abc import Collection

import typer

from scapy_chitchat import __version__
from scapy_chitchat.cli import COMMANDS
from scapy_chitchat.cli.common import INTERRUPTED, WRONG_USAGE, complain
from scapy_chitchat.cli.declaring import add_commands

PROGRAM = "scapy-chitchat"
"""What usage and errors call this program, however it was started."""

COMPLETED = ("COMP_WORDS", "_TYPER_COMPLETE_ARGS")
"""Where a shell puts the words of the command line that it wants completed: bash, and the others."""


def application(words: Collection[str] | None = None) -> typer.Typer:
    """The application with the commands among ``words``; the others are only listed. All where nothing is named."""
    app = typer.Typer(
        help="Dissect, build and judge chitchat gossip (Quickwit's cluster protocol).",
        epilog=f"Example: {PROGRAM} read capture.pcap",
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )

    @app.callback()
    def options(
        version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True),
    ) -> None:
        if version:
            print(f"{PROGRAM} {__version__}")
            raise typer.Exit

    add_commands(app, "scapy_chitchat.cli", COMMANDS, words)
    return app


def run(arguments: list[str]) -> int:
    """Run the command that the arguments name. Gives the exit code; says what is wrong with the arguments."""
    words = {*arguments, *(word for name in COMPLETED for word in os.environ.get(name, "").split())}
    try:
        return application(words)(arguments, prog_name=PROGRAM, standalone_mode=False) or 0
    except typer.Abort:
        return INTERRUPTED
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        # wrong usage: one line instead of the framework's box; none where the help was printed
        context = getattr(error, "ctx", None)
        command = context.command_path if context else PROGRAM
        if text := error.format_message():
            complain(f"{text.replace('Value error, ', '').rstrip('.')}; see {command} -h")
        return WRONG_USAGE
