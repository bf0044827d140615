# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests are judged by: captures of real nodes, real nodes' verdicts, and a real node itself.

The captures in ``pcaps/`` and the verdicts are always there. More captures lie in the folder ``shared`` beside the
repository where the project is developed; the node is built from ``tests/peer``. Tests that need what is not there are
skipped; where everything has to be there, in continuous integration, a skipped test is a failed one.
"""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT
from tests.support.namespaces import NOT_IN_KERNEL, NoNamespaces, check_namespaces
from tests.support.peers import NoPeer, peer_program

NOT_INSTALLABLE = ("on this processor", NOT_IN_KERNEL)
"""How the reason of a skip names the processor, or the kernel, as what is missing."""

SHARED = ROOT.parent / "shared"


def capture_paths() -> list[Path]:
    """All captures of messages with a magic number that there are, each once."""
    own = sorted((ROOT / "pcaps").glob("v*.pcap*"))
    names = {path.name.partition(".")[0] for path in own}
    return own + [path for path in sorted((SHARED / "captures").glob("v*.pcap")) if path.stem not in names]


@pytest.fixture(scope="session")
def captures() -> list[Path]:
    """All captures."""
    return capture_paths()


QUICK = {"v0-three-nodes", "v0-bad-cluster", "v0-v1-mixed-fragmented"}
"""Both versions, all types, fragments, in a second or two; what is looked for in the other captures takes long."""


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(path, marks=[] if path.name.partition(".")[0] in QUICK else pytest.mark.long)
        for path in capture_paths()
    ],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def capture(request: pytest.FixtureRequest) -> Path:
    """Each capture."""
    path: Path = request.param
    return path


@pytest.fixture(scope="session")
def shared_captures() -> list[Path]:
    """The captures that are not in the repository."""
    found = sorted((SHARED / "captures").glob("v*.pcap"))
    if not found:
        pytest.skip("the folder shared/captures is not beside the repository")
    return found


@pytest.fixture
def namespaces() -> None:
    """Leave to make network namespaces."""
    try:
        check_namespaces()
    except NoNamespaces as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def verdicts() -> list[dict[str, Any]]:
    """Messages, as ``hex``, with what a real node read of them, its Debug text, as ``0.13``."""
    with gzip.open(ROOT / "tests" / "verdicts.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="session")
def peer() -> Path:
    """The program in tests/peer."""
    try:
        return peer_program()
    except NoPeer as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def ask_node(peer: Path) -> Callable[[list[bytes]], list[dict[str, Any]]]:
    """A function that gives the answers of chitchat 0.13 to messages, with its own encoding of what it read."""

    def ask(messages: list[bytes]) -> list[dict[str, Any]]:
        command = [str(peer), "oracle", "--version", "0.13", "--reencode"]
        lines = "".join(message.hex() + "\n" for message in messages)
        answer = subprocess.run(command, input=lines, capture_output=True, text=True, check=True)
        return [json.loads(line) for line in answer.stdout.splitlines()]

    return ask


def pytest_configure() -> None:
    """Background jobs of a shell ignore SIGINT, those of nohup SIGHUP, and tests stop commands by both."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In continuous integration no test is skipped: what it needs has to be installed, where that can be done."""
    report = yield
    if report.skipped and os.environ.get("CI") and not any(each in str(report.longrepr) for each in NOT_INSTALLABLE):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report
