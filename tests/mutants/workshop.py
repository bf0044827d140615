# SPDX-License-Identifier: GPL-2.0-or-later
"""Where mutants are tried: a copy of the repository in which one module at a time has a fault.

The tests are those of the module's own room. They are run once without a fault first: they must pass, and how long
they take says how long a mutant may take.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tests.mutants.operators import Mutant
from tests.support import ROOT

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

SLACK_TIMES, SLACK_SECONDS = 4.0, 60.0
"""A mutant may take as long as the tests take without it, times this, and this much more: the machine may be busy."""

PASSED, FAILED = 0, 1


class Verdict(NamedTuple):
    """What became of a mutant."""

    survived: bool
    by: str
    """The test that failed, or what else happened."""


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


class Workshop:
    """A copy of the repository in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seconds: dict[tuple[str, ...], float] = {}
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "target"))
            else:
                shutil.copy(source, folder / name)

    def prepare(self, module: str) -> None:
        """Run the tests of a module's room without a fault. Raises RuntimeError where they fail already."""
        judges = JUDGES[module.partition("/")[0]]
        if judges in self._seconds:
            return
        started = time.monotonic()
        code, said = self._run(judges, None, compiling=True)
        if code != PASSED:
            raise RuntimeError(f"{' '.join(judges)}: the tests fail without a fault:\n{said}")
        self._seconds[judges] = time.monotonic() - started

    def judge(self, mutant: Mutant) -> Verdict:
        """Run the tests on a mutant. ``prepare`` comes first."""
        judges = JUDGES[mutant.module.partition("/")[0]]
        path = self.folder / PACKAGE / mutant.module
        whole = path.read_text()
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
            compiled.unlink()  # by size and second of the source alone it might count as compiled from this one
        path.write_text(mutant.source)
        try:
            code, said = self._run(judges, self._seconds[judges] * SLACK_TIMES + SLACK_SECONDS)
        finally:
            path.write_text(whole)
        return Verdict(code == PASSED, _killer(code, said))

    def _run(self, judges: tuple[str, ...], limit: float | None, *, compiling: bool = False) -> tuple[int | None, str]:
        """Pytest's exit code (None when time was up) and what it wrote."""
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=no", "-p", "no:cacheprovider", *judges]
        environment = {**os.environ, "CHITCHAT_PEER": os.environ.get("CHITCHAT_PEER", str(PEER))}
        environment.pop("CI", None)  # where a skipped test is a failed one
        if not compiling:
            environment["PYTHONDONTWRITEBYTECODE"] = "1"
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            said = ""
        finally:
            with suppress(ProcessLookupError):  # with all that tests have started
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return (process.returncode if said else None), said


PEER = ROOT / "tests" / "peer" / "target" / "release" / "chitchat-peer"


def _killer(code: int | None, said: str) -> str:
    if code is None:
        return "time is up"
    for line in said.splitlines():
        if line.startswith(("FAILED ", "ERROR ")):
            return line.split(" ", 2)[1].rpartition("::")[2] or line
    return "nothing" if code == PASSED else f"pytest ended with {code}"
