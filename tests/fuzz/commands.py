# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat fuzz`` for tests, and what a campaign of theirs knows of its target."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from scapy_chitchat.fuzz import Context
from scapy_chitchat.records.identity import ChitchatId

COMMAND = [sys.executable, "-c", "from scapy_chitchat.cli import main; main()", "fuzz"]
CONTEXT = Context("c", ChitchatId("own", 7, "127.0.0.1:7280"))


def run(*arguments: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=300, **more)
