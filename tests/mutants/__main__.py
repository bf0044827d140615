# SPDX-License-Identifier: GPL-2.0-or-later
"""Mutants of the layers, records, capture and replay, each against the tests of its room.

    python -m tests.mutants --count 200              a sample of two hundred
    python -m tests.mutants --module records/checks  all of one module
    python -m tests.mutants --module replay --seconds 600 --seed 5

Prints each mutant with what became of it (killed, survived, or equivalent: see equivalent.py), then a table.
Ends with 1 where one survived that is not known to be equivalent.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from pathlib import Path

from tests.mutants.equivalent import EQUIVALENT
from tests.mutants.operators import Mutant, mutants_of
from tests.mutants.workshop import PACKAGE, Workshop, judges_of, modules_of, prepare
from tests.support import ROOT

KILLED, SURVIVED, EQUAL = "killed", "survived", "equivalent"


class Run:
    """Mutants tried one after the other, and the count of what became of them."""

    def __init__(self, mutants: list[Mutant]) -> None:
        known = {(each.module, each.text, each.change): each.why for each in EQUIVALENT}
        self.counts: dict[str, Counter[str]] = {}
        self.survived = False
        self._left = deque(mutant for mutant in mutants if mutant.key not in known)
        for mutant in mutants:
            if mutant.key in known:
                self._tell(mutant, EQUAL, known[mutant.key])

    def work(self, folder: Path, workers: int, limit: float) -> None:
        """Try mutants in copies of the repository below ``folder``. Raises RuntimeError where tests fail anyway."""
        first = Workshop(folder / "0")
        first.copy_repository()
        judges = {judges_of(mutant.module) for mutant in self._left}
        seconds = {each: first.seconds_without_fault(each) for each in sorted(judges)}
        until = time.monotonic() + limit
        workshops = [first]
        for number in range(1, workers):
            shutil.copytree(first.folder, folder / str(number))
            workshops.append(Workshop(folder / str(number)))
        busy: dict[Workshop, Mutant] = {}
        try:
            while busy or (self._left and time.monotonic() < until):
                for workshop in workshops:
                    if workshop not in busy and self._left and time.monotonic() < until:
                        mutant = busy[workshop] = self._left.popleft()
                        workshop.start(mutant, seconds[judges_of(mutant.module)])
                for workshop, mutant in list(busy.items()):
                    if verdict := workshop.verdict():
                        del busy[workshop]
                        self._tell(mutant, SURVIVED if verdict.survived else KILLED, verdict.by)
                time.sleep(0.02)
        finally:
            for workshop in busy:
                workshop.stop()

    def _tell(self, mutant: Mutant, became: str, by: str) -> None:
        self.counts.setdefault(mutant.module, Counter())[became] += 1
        self.survived |= became == SURVIVED
        print(f"{became:<10} {mutant.module}:{mutant.line}: {mutant.change}  ({by})", flush=True)

    def table(self) -> str:
        """Rows of modules, and their sum."""
        total = sum(self.counts.values(), Counter())
        rows = [*sorted(self.counts.items()), ("all", total)]
        lines = [f"{'module':<30}{KILLED:>10}{SURVIVED:>10}{EQUAL:>12}"]
        lines += [f"{name:<30}{row[KILLED]:>10}{row[SURVIVED]:>10}{row[EQUAL]:>12}" for name, row in rows]
        return "\n".join(lines)


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--module", action="append", default=[], help="a module or a room, as records/checks or replay")
    parser.add_argument("--count", type=int, help="how many mutants, drawn from all; without it all of them")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="after which no further one is begun")
    parser.add_argument("--seed", type=int, default=1, help="for drawing them")
    parser.add_argument("--workers", type=int, default=1, help="how many are tried at a time")
    parser.add_argument("--list", action="store_true", help="only list them")
    return parser.parse_args()


def main() -> int:
    """Run as the command line asks. Gives the exit code."""
    asked = arguments()
    modules = modules_of(tuple(asked.module))
    mutants = [mutant for module in modules for mutant in mutants_of(ROOT / PACKAGE, module)]
    if not mutants:
        sys.exit(f"tests.mutants: no module starts with {' or '.join(asked.module)}")
    gone = {each[:3] for each in EQUIVALENT if each.module in modules} - {each.key for each in mutants}
    for module, text, change in sorted(gone):
        print(f"equivalent.py: {module} has no {change!r} in {text!r} any more", file=sys.stderr)
    random.Random(asked.seed).shuffle(mutants)
    mutants = mutants[: asked.count]
    if asked.list:
        print(*(f"{each.module}:{each.line}: {each.change}" for each in sorted(mutants)), sep="\n")
        return 0
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which tests that stop commands rely on
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    prepare()
    run = Run(mutants)
    with tempfile.TemporaryDirectory(prefix="scapy-chitchat-mutants-") as folder:
        try:
            run.work(Path(folder), asked.workers, asked.seconds)
        except RuntimeError as error:
            sys.exit(f"tests.mutants: {error}")
        except KeyboardInterrupt:
            print("stopped")
    print(run.table())
    return int(run.survived)


if __name__ == "__main__":
    sys.exit(main())
