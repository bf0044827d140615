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
import queue
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from tests.mutants.equivalent import EQUIVALENT
from tests.mutants.operators import Mutant, mutants_of
from tests.mutants.workshop import PACKAGE, Workshop, modules_of
from tests.support import ROOT

KILLED, SURVIVED, EQUAL = "killed", "survived", "equivalent"


class Run:
    """Mutants tried by several workers, and the count of what became of them."""

    def __init__(self, mutants: list[Mutant], until: float) -> None:
        self._left: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
        for mutant in mutants:
            self._left.put(mutant)
        self._until = until
        self._known = {(each.module, each.text, each.change): each.why for each in EQUIVALENT}
        self._lock = threading.Lock()
        self.counts: dict[str, Counter[str]] = {}
        self.survivors: list[Mutant] = []
        self.trouble: list[str] = []

    def work(self, folder: Path) -> None:
        """Try one mutant after the other in a copy of the repository, until none is left or time is up."""
        workshop = Workshop(folder)
        while time.monotonic() < self._until and not self.trouble:
            try:
                mutant = self._left.get_nowait()
            except queue.Empty:
                return
            if mutant.key in self._known:
                self._tell(mutant, EQUAL, self._known[mutant.key])
                continue
            try:
                workshop.prepare(mutant.module)
            except RuntimeError as error:
                self.trouble.append(str(error))
                return
            verdict = workshop.judge(mutant)
            self._tell(mutant, SURVIVED if verdict.survived else KILLED, verdict.by)

    def _tell(self, mutant: Mutant, became: str, by: str) -> None:
        with self._lock:
            self.counts.setdefault(mutant.module, Counter())[became] += 1
            if became == SURVIVED:
                self.survivors.append(mutant)
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
    parser.add_argument("--seconds", type=float, default=float("inf"), help="after which no further one is tried")
    parser.add_argument("--seed", type=int, default=1, help="for drawing them")
    parser.add_argument("--workers", type=int, default=1, help="how many are tried at a time")
    parser.add_argument("--list", action="store_true", help="only list them")
    return parser.parse_args()


def main() -> int:
    """Run as the command line asks. Gives the exit code."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which tests that stop commands rely on
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
    run = Run(mutants, time.monotonic() + asked.seconds)
    with tempfile.TemporaryDirectory(prefix="scapy-chitchat-mutants-") as folder:
        workers = [threading.Thread(target=run.work, args=(Path(folder) / str(n),)) for n in range(asked.workers)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    print(run.table())
    for line in run.trouble:
        print(line, file=sys.stderr)
    return 1 if run.survivors or run.trouble else 0


if __name__ == "__main__":
    sys.exit(main())
