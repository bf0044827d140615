# SPDX-License-Identifier: GPL-2.0-or-later
"""Where mutants are tried: a copy of the repository in which one module at a time has a fault.

The tests are those of the module's own room. Each run of them is a fork of this process, which has imported Scapy and
pytest but nothing of the package: most mutants are noticed in less time than these imports take.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.mutants.operators import Mutant
from tests.support import ROOT
from tests.support.peers import NoPeer, peer_program

PACKAGE = "scapy_chitchat"

JUDGES = {
    "wire": ("tests/wire", "tests/described"),
    "records": ("tests/records",),
    "capture": ("tests/capture",),
    "replay": ("tests/replay",),
}
"""The rooms whose modules are mutated, and the tests that have to notice."""

COPIED = (PACKAGE, "tests", "pcaps", "lua", "docs", "README.md", "pyproject.toml")
GENERATED = "Generated"
"""What the docstring of a module that a program writes starts with: its own test compares the text."""

IMPORTED = ("hypothesis", "msgspec", "scapy.layers.inet", "scapy.layers.inet6", "scapy.utils", "zstandard.backend_cffi")
"""What nearly all tests import, and takes long."""

SLACK_TIMES, SLACK_SECONDS = 4.0, 60.0
"""A mutant may take as long as the tests take without it, times this, and this much more: the machine may be busy."""


def judges_of(module: str) -> tuple[str, ...]:
    """The tests that have to notice a fault in a module."""
    return JUDGES[module.partition("/")[0]]


def modules_of(prefixes: tuple[str, ...]) -> list[str]:
    """The modules to mutate, as paths below the package; with ``prefixes`` those that start with one."""
    found = []
    for room in JUDGES:
        for path in sorted((ROOT / PACKAGE / room).glob("*.py")):
            module = f"{room}/{path.name}"
            generated = f'"""{GENERATED}' in path.read_text()
            if not generated and (not prefixes or module.startswith(prefixes)):
                found.append(module)
    return found


class Verdict(NamedTuple):
    """What became of a mutant."""

    survived: bool
    by: str
    """The test that failed, or what else happened."""


class Workshop:
    """A copy of the repository, in which tests run one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._said = folder.with_name(f"{folder.name}.txt")
        self._process = 0
        self._deadline = 0.0
        self._restored: tuple[Path, str] | None = None

    def copy_repository(self) -> None:
        """Take over the repository as it is now."""
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, self.folder / name, ignore=shutil.ignore_patterns("__pycache__", "target"))
            else:
                shutil.copy2(source, self.folder / name)

    def seconds_without_fault(self, judges: tuple[str, ...]) -> float:
        """Run tests as they are, and leave their compiled modules behind. Raises RuntimeError where one fails."""
        started = time.monotonic()
        self._start(judges, float("inf"), compiling=True)
        while (verdict := self.verdict()) is None:
            time.sleep(0.05)
        if not verdict.survived:
            raise RuntimeError(f"{' '.join(judges)}: {verdict.by} fails without a fault\n{self._said.read_text()}")
        return time.monotonic() - started

    def start(self, mutant: Mutant, seconds: float) -> None:
        """Begin to try a mutant; ``seconds``: what the tests take without it."""
        path = self.folder / PACKAGE / mutant.module
        self._restored = path, path.read_text()
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
            compiled.unlink()  # by size and second of the source alone it might count as compiled from this one
        path.write_text(mutant.source)
        self._start(judges_of(mutant.module), seconds * SLACK_TIMES + SLACK_SECONDS)

    def verdict(self) -> Verdict | None:
        """What became of the mutant; None while the tests run."""
        done, status = os.waitpid(self._process, os.WNOHANG)
        if not done and time.monotonic() < self._deadline:
            return None
        self.stop()
        code = os.waitstatus_to_exitcode(status) if done else None
        return Verdict(code == pytest.ExitCode.OK, _killer(code, self._said.read_text()))

    def stop(self) -> None:
        """End the tests with all that they have started, and take the fault out."""
        with suppress(ProcessLookupError):
            os.killpg(self._process, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self._process, 0)
        if self._restored:
            self._restored[0].write_text(self._restored[1])
            self._restored = None

    def _start(self, judges: tuple[str, ...], limit: float, *, compiling: bool = False) -> None:
        sys.stdout.flush()
        self._deadline = time.monotonic() + limit
        self._process = os.fork()
        if not self._process:
            try:
                os.setsid()
                self._become_tests(judges, compiling)
            finally:
                os._exit(pytest.ExitCode.INTERNAL_ERROR)

    def _become_tests(self, judges: tuple[str, ...], compiling: bool) -> None:
        """In the fork: run the tests of the copy, and end."""
        written = os.open(self._said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(written, 1)
        os.dup2(written, 2)
        os.chdir(self.folder)
        for name in [each for each in sys.modules if each.partition(".")[0] in (PACKAGE, "tests")]:
            del sys.modules[name]
        sys.path[:] = [str(self.folder), *(each for each in sys.path if each not in ("", str(ROOT)))]
        sys.dont_write_bytecode = not compiling
        os.environ["PYTHONDONTWRITEBYTECODE"] = "" if compiling else "1"
        os.environ.pop("CI", None)  # where a skipped test is a failed one
        code = pytest.main(["-q", "-x", "--tb=no", "-p", "no:cacheprovider", *judges])
        sys.stdout.flush()
        os._exit(code)


def prepare() -> None:
    """Build the real node once, not in each copy, and have in memory what every fork needs."""
    with suppress(NoPeer):
        os.environ["CHITCHAT_PEER"] = str(peer_program())
    for name in IMPORTED:
        importlib.import_module(name)


def _killer(code: int | None, said: str) -> str:
    if code is None:
        return "time is up"
    for line in said.splitlines():
        if line.startswith(("FAILED ", "ERROR ")):
            words = line.split(" ", 2)[1]
            return words.rpartition("::")[2] or words
    return "no test fails" if code == pytest.ExitCode.OK else f"pytest ended with {code}"
