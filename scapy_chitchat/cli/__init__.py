# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: one module a command. Nothing else imports this package but ``__main__``.

A command's module declares its options and does its work. It is imported only when that command is named, so that
``scapy-chitchat -h`` does not wait for Scapy, and ``--version`` not even for the framework of the command line.
options.py has what several commands share, declaring.py how a command and its help are put together.
"""

from __future__ import annotations

import sys

from scapy_chitchat import __version__

COMMANDS = {
    "read": "Show the chitchat messages in capture files: a line a message.",
    "sniff": "Show the chitchat messages that pass an interface: a line a message.",
    "probe": "Ask a node for its cluster's members and keys, without joining it.",
    "state": "Show the clusters in captures: members, runs, who is alive for whom, versions, keys.",
    "timeline": "Show what happened in the clusters of captures: a line an event.",
    "follow": "Show one key on its way through the cluster.",
    "report": "Write one HTML page about the clusters in captures: what was wrong, and pictures.",
    "watch": "Look at a cluster in the terminal: live, or played from captures.",
    "replay": "Send the messages of captures again, rewritten and timed as wanted.",
    "fuzz": "Make hostile messages, run them against a node of your own, and narrow what makes it fail.",
    "wireshark": "Write and install the dissector for Wireshark and tshark: one Lua file.",
}
"""The commands in the order of ``-h``, each with the first sentence of its help. A module of that name has the rest."""


def main() -> None:
    """The entry point ``scapy-chitchat``."""
    from scapy_chitchat.cli.common import (
        BAD_INPUT,
        INTERRUPTED,
        CommandFailed,
        complain,
        ready_streams,
        stop_writing,
    )

    ready_streams()
    try:
        if sys.argv[1:] == ["--version"]:
            print(f"scapy-chitchat {__version__}", flush=True)
            return
        from scapy_chitchat.cli.application import run

        code = run(sys.argv[1:])
        sys.stdout.flush()
        sys.exit(code)
    except CommandFailed as failure:
        complain(str(failure))
        sys.exit(BAD_INPUT)
    except BrokenPipeError:
        stop_writing()  # whoever reads has seen enough
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror))
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
