# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: one module a command. Nothing else imports this package.

A module of a command is imported only when that command runs, and imports what it needs inside its function, so that
``scapy-chitchat --version`` does not wait for Scapy.
"""

from __future__ import annotations

import sys
from importlib import import_module

import typer

from scapy_chitchat import __version__
from scapy_chitchat.cli.common import (
    BAD_INPUT,
    INTERRUPTED,
    WRONG_USAGE,
    Failure,
    complain,
    ready_streams,
    stop_writing,
)

COMMANDS = {
    "read": "Messages in capture files.",
    "sniff": "Messages on an interface.",
    "probe": "A node's cluster: its members and keys.",
    "replay": "Captured messages sent again.",
    "fuzz": "Hostile cases, made and run.",
    "wireshark": "The dissector for Wireshark and tshark: generate, install, where.",
}
"""The commands, in the order of ``-h``."""

EPILOG = "Example: scapy-chitchat read capture.pcap"


def application(wanted: str | None = None) -> typer.Typer:
    """The application with one command's module imported, or with all of them where none is named."""
    app = typer.Typer(
        help="Dissect, build and judge chitchat gossip (Quickwit's cluster protocol).",
        epilog=EPILOG,
        no_args_is_help=True,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )

    @app.callback()
    def options(
        version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True),
    ) -> None:
        if version:
            print(f"scapy-chitchat {__version__}")
            raise typer.Exit

    for name in COMMANDS:
        if wanted in (None, name):
            import_module(f"scapy_chitchat.cli.{name}").add_to(app)
    return app


def main() -> None:
    """The entry point ``scapy-chitchat``."""
    arguments = sys.argv[1:]
    wanted = next((word for word in arguments if not word.startswith("-")), None)
    ready_streams()
    try:
        if arguments == ["--version"]:
            print(f"scapy-chitchat {__version__}", flush=True)
            return
        code = application(wanted if wanted in COMMANDS else None)(prog_name="scapy-chitchat", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code)
    except Failure as failure:
        complain(str(failure))
        sys.exit(BAD_INPUT)
    except BrokenPipeError:
        stop_writing()  # whoever reads has seen enough
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror))
        sys.exit(BAD_INPUT)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(INTERRUPTED)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        # wrong usage: one line instead of the framework's box
        command = f"scapy-chitchat {wanted}" if wanted in COMMANDS else "scapy-chitchat"
        if text := error.format_message():
            complain(f"{text.replace('Value error, ', '').rstrip('.')}; see {command} -h")
        sys.exit(WRONG_USAGE)
