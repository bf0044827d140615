# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the outputs of commands into the pages that show them, on the captures in pcaps/.

    python -m tests.questions

A block of a page that begins with ``$ scapy-chitchat … pcaps/story.pcap.gz`` holds the command, and behind it what the
command prints. The command is run by a shell, as a reader would run it. Other blocks are left as they are.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT

STORY = "pcaps/story.pcap.gz"
PAGES = (ROOT / "docs" / "questions.md", ROOT / "README.md")
"""The pages with such blocks."""

_BLOCK = re.compile(r"(?ms)^```\n(\$ scapy-chitchat .*?)^```$")


def blocks(page: str) -> list[str]:
    """The blocks of a page that are written here."""
    return [found[0] for found in _BLOCK.finditer(page) if _commands(found[1])]


def _commands(block: str) -> list[str]:
    lines = [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
    return lines if all(STORY in line for line in lines) else []


def output(command: str) -> str:
    """What a command prints, on both streams, without blanks at the ends of lines."""
    us = f'scapy-chitchat() {{ {sys.executable} -m scapy_chitchat "$@"; }}\n'
    environment = {**os.environ, "TERM": "dumb", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
    done = subprocess.run(
        ["bash", "-c", us + command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        text=True,
    )
    return "\n".join(line.rstrip() for line in done.stdout.strip("\n").splitlines())


def renewed(page: str) -> str:
    """The page with the outputs as they are now."""
    return _BLOCK.sub(_renewed_block, page)


def _renewed_block(found: re.Match[str]) -> str:
    lines = _commands(found[1])
    if not lines:
        return found[0]
    return "```\n" + "".join(f"$ {line}\n{output(line)}\n" for line in lines) + "```"


def main() -> None:
    """Write the pages anew, where something has changed."""
    for page in PAGES:
        before = page.read_text()
        after = renewed(before)
        if after != before:
            page.write_text(after)
            print(f"{Path(page).relative_to(ROOT)}: written")


if __name__ == "__main__":
    main()
