# SPDX-License-Identifier: GPL-2.0-or-later
"""Other people's captures: ``read`` must end on each without a traceback, and find no message where there is none.

    python -m tests.foreign FOLDER

The folder holds captures of any kind, at any depth, such as the test files of tcpdump, nDPI or Zeek. Prints how many
ended with which exit code, each that did not end well, and each with messages, to be looked at. The exit code is 1
where one did not end well.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import sys
from collections import Counter
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from scapy_chitchat.cli import main as run_command

SUFFIXES = (".pcap", ".pcapng", ".cap", ".trace", ".gz", ".zst", ".xz", ".lz4")
MOST_SECONDS = 120


class Ended(NamedTuple):
    """How one read ended."""

    path: Path
    code: int
    messages: int
    refused: int
    wrong: str
    """What must not be: an exception, no end, a line that does not say whose it is."""


def read(path: Path) -> Ended:
    """Read one capture, as the command line does, in a process that is warm already."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2)]
    sys.argv, sys.stdout, sys.stderr = ["scapy-chitchat", "read", "--json", str(path)], *streams
    code, wrong = 0, ""
    signal.alarm(MOST_SECONDS)
    try:
        run_command()
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException as error:
        code, wrong = -1, f"{type(error).__name__}: {error}"
    signal.alarm(0)
    for each in streams:
        each.flush()
    out, said = (each.buffer.getvalue().decode(errors="replace") for each in streams)
    rows = [json.loads(line) for line in out.splitlines()]
    if not wrong and code not in (0, 1):
        wrong = f"exit code {code}"
    if not wrong and any(not line.startswith("scapy-chitchat: ") for line in said.splitlines()):
        wrong = "a line of no origin"
    return Ended(path, code, len(rows), sum("error" in row for row in rows), wrong)


def too_long(*_: object) -> None:
    """The alarm of a read that does not end. Raises TimeoutError."""
    raise TimeoutError(f"no end after {MOST_SECONDS} s")


def captures(folder: Path) -> list[Path]:
    """Whatever may be a capture, by its name."""
    return sorted(each for each in folder.rglob("*") if each.is_file() and each.suffix in SUFFIXES)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--most", type=int, help="read so many, evenly taken from all")
    options = parser.parse_args()
    found = captures(options.folder)
    if options.most and len(found) > options.most:
        found = [found[place * len(found) // options.most] for place in range(options.most)]
    signal.signal(signal.SIGALRM, too_long)
    with get_context("fork").Pool(os.cpu_count()) as pool:
        ended = pool.map(read, found, chunksize=1)
    print(f"{len(ended):,} captures in {options.folder}")
    for code, count in sorted(Counter(each.code for each in ended).items()):
        of_code = [each for each in ended if each.code == code]
        messages, refused = sum(each.messages for each in of_code), sum(each.refused for each in of_code)
        print(f"exit code {code:>3}: {count:>6,} captures, {messages:,} messages, of which a node refuses {refused:,}")
    for each in ended:
        if each.wrong or each.messages:
            print(f"{each.path}: {each.wrong or f'{each.messages:,} messages'}")
    return any(each.wrong for each in ended)


if __name__ == "__main__":
    sys.exit(main())
