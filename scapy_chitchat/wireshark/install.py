# SPDX-License-Identifier: GPL-2.0-or-later
"""Where Wireshark looks for plugins, and putting the dissector there.

tshark is asked for its folders (``tshark -G folders``); where there is none, the rule of the platform holds. A file
that this project did not write is never overwritten or removed unless the user insists.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from scapy_chitchat.wire.protocol import BlockType, MessageType
from scapy_chitchat.wireshark.chitchat import COMMAND

FILE_NAME = "chitchat.lua"
"""The dissector, as Wireshark finds it among its plugins."""
COLOURS_NAME = "chitchat.colorfilters"
"""The colouring rules, as Wireshark imports them."""
MARK = COMMAND
"""What stands near the top of every file that this project writes."""


class NotOursError(Exception):
    """A file of the same name that this project did not write."""


@dataclass(frozen=True)
class Folders:
    """Where a Wireshark keeps things."""

    personal: Path
    """The user's own Lua plugins."""
    everyone: Path | None
    """Lua plugins for all users; None where only tshark could tell and there is none."""
    configuration: Path
    """The user's settings."""
    asked: bool
    """Whether tshark was asked, or the platform's rule applied."""


def folders() -> Folders:
    """The folders of the Wireshark of this machine and user."""
    said = _asked_tshark()
    by_rule = _platform_folders()
    if not said:
        return by_rule
    personal = said.get("Personal Lua Plugins") or said.get("Personal Plugins")
    everyone = said.get("Global Lua Plugins") or said.get("Global Plugins")
    return Folders(
        Path(personal) if personal else by_rule.personal,
        Path(everyone) if everyone else None,
        Path(said.get("Personal configuration", by_rule.configuration)),
        True,
    )


def _asked_tshark() -> dict[str, str]:
    """What tshark says of its folders, by its own names of them."""
    said = _run_tshark("-G", "folders")
    pairs = (line.partition(":") for line in said.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _run_tshark(*arguments: str) -> str:
    tshark = shutil.which("tshark")
    if tshark is None:
        return ""
    try:
        ran = subprocess.run([tshark, *arguments], capture_output=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return ran.stdout.decode("utf-8", "replace")


def _platform_folders() -> Folders:
    if sys.platform == "win32":
        settings = Path(os.environ.get("APPDATA", Path.home())) / "Wireshark"
        return Folders(settings / "plugins", None, settings, False)
    settings = Path(os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config")) / "wireshark"
    return Folders(Path.home() / ".local/lib/wireshark/plugins", None, settings, False)


def is_ours(path: Path) -> bool:
    """Whether this project wrote the file."""
    with path.open("rb") as file:
        return MARK.encode() in file.read(1024)


def write(path: Path, text: str, *, force: bool = False) -> str:
    """Write one of our files; gives the word for what was done to it.

    Raises NotOursError for a file of somebody else, unless ``force``.
    """
    before = None
    if path.exists():
        if not force and not is_ours(path):
            raise NotOursError(str(path))
        before = path.read_text(encoding="utf-8", errors="replace")
    if before == text:
        return "is up to date"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return "written" if before is None else "replaced"


def remove(path: Path, *, force: bool = False) -> bool:
    """Remove one of our files; gives whether there was one.

    Raises NotOursError for a file of somebody else, unless ``force``.
    """
    if not path.exists():
        return False
    if not force and not is_ours(path):
        raise NotOursError(str(path))
    path.unlink()
    return True


def is_loaded() -> bool | None:
    """Whether tshark, started as this user, knows the protocol; None where there is no tshark to ask."""
    said = _run_tshark("-G", "protocols")
    return any(line.split("\t")[-1] == "chitchat" for line in said.splitlines()) if said else None


# --- colours and filters ---

COLOURS = (
    ("refused by a node", "chitchat && _ws.expert.severity == error", (65535, 40000, 40000)),
    ("nodes may panic", "chitchat.non_ascii_key || chitchat.lowered_max_version", (65535, 50000, 30000)),
    ("reset", "chitchat.reset", (65535, 60000, 36000)),
    ("BadCluster", f"chitchat.type == {MessageType.BadCluster:d}", (60000, 50000, 65535)),
    ("SynAck", f"chitchat.type == {MessageType.SynAck:d}", (52000, 62000, 65535)),
    ("chitchat", "chitchat", (60000, 65000, 60000)),
)
"""Rules from the most to the least special: the first that fits gives a packet its colour."""


def colour_rules() -> str:
    """A file of colouring rules, to be imported in Wireshark's window."""
    lines = [f"# Colouring rules for chitchat, written by {COMMAND.rpartition(' ')[0]} install ({MARK})"]
    for name, condition, background in COLOURS:
        lines.append(f"@chitchat: {name}@{condition}@[{','.join(map(str, background))}][0,0,0]")
    return "\n".join(lines) + "\n"


FILTERS = (
    ("chitchat", "All gossip."),
    ('chitchat.cluster_id == "prod"', "The opening messages of one cluster."),
    (
        f"chitchat.type == {MessageType.BadCluster:d}",
        "A node was answered by another cluster: two clusters share addresses.",
    ),
    ("chitchat && _ws.expert.severity == error", "Messages that a node refuses."),
    ("chitchat.version_order || chitchat.duplicate_node || chitchat.no_node", "Deltas that a node refuses as a whole."),
    ("chitchat.reset", "A reader drops its copy of a node and starts over."),
    ("chitchat.non_ascii_key || chitchat.lowered_max_version", "What makes nodes up to 0.13 panic."),
    ("chitchat.digest_near_limit", "Digests that soon fit no datagram any more."),
    ('chitchat.node_digest.node_id == "indexer-0"', "Who speaks of this node in a digest."),
    ('chitchat.key_value_op.key == "leader"', "Every change of this key, inside compressed deltas as well."),
    ("chitchat.key_value_op.status != 0", "Deleted keys."),
    ("chitchat.set_max_version_op", "Nodes whose keys are all gone."),
    ("chitchat.response_time > 0.1", "Slow answers."),
    (f"chitchat.type == {MessageType.Syn:d} && !chitchat.response_in", "Unanswered Syns (tshark: with -2)."),
    (f"chitchat.block.type == {BlockType.Compressed:d}", "Messages with compressed blocks."),
)
"""Display filters worth knowing, and what each shows."""


def filter_lines() -> list[str]:
    """The filters as a table."""
    wide = max(len(condition) for condition, _ in FILTERS)
    return [f"{condition:{wide}}  {text}" for condition, text in FILTERS]
