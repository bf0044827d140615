# SPDX-License-Identifier: GPL-2.0-or-later
"""The faults that mutants have, on modules of a few lines."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutants.operators import mutants_of
from tests.mutants.workshop import PACKAGE, modules_of
from tests.support import ROOT


def changes(folder: Path, source: str) -> set[str]:
    (folder / "toy.py").write_text(source)
    return {mutant.change for mutant in mutants_of(folder, "toy.py")}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a = b < c", {"b < c -> (b <= c)", "b < c -> (b >= c)"}),
        ("a = b is None", {"b is None -> (b is not None)"}),
        ("a = b and c", {"b and c -> (b or c)", "b and c -> (c)", "b and c -> (b)"}),
        ("a = not b", {"not b -> (b)"}),
        ("a = 7", {"7 -> (8)", "7 -> (6)"}),
        ("a = True", set()),
        ("if a: pass", {"a -> True", "a -> False"}),
        ("while a: pass", {"a -> False"}),
        ("def f() -> 5: return a", {"return a -> return None"}),
        ("def f(): return None", set()),
        ("f(a)", {"f(a) -> pass"}),
        ("a += b", {"a += b -> pass"}),
        ("a: 3 = b", set()),
        ("assert a > 3", set()),
        ("a = f'{b > 3}'", set()),
        ("if TYPE_CHECKING: a = 3", set()),
    ],
)
def test_a_line_gets_these_faults(tmp_path: Path, source: str, expected: set[str]) -> None:
    assert changes(tmp_path, source) == expected


def test_only_the_place_of_the_fault_changes(tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text('é = "日本"; a = (é <\n     b)  # why\nc = 1\n')
    found = {mutant.change: mutant for mutant in mutants_of(tmp_path, "toy.py")}
    assert found["é < b -> (é <= b)"].source == 'é = "日本"; a = ((é <= b))  # why\nc = 1\n'
    assert found["1 -> (2)"].key == ("toy.py", "c = 1", "1 -> (2)")


def test_mutants_of_the_package_are_python() -> None:
    modules = modules_of(())
    assert {module.partition("/")[0] for module in modules} == {"wire", "records", "capture", "replay"}
    for module in modules:
        for mutant in mutants_of(ROOT / PACKAGE, module)[::25]:
            ast.parse(mutant.source)
