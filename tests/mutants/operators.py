# SPDX-License-Identifier: GPL-2.0-or-later
"""The faults that are put into a module: one small change of its syntax tree each.

A fault replaces one node by another text, so all other lines stay as they are. What only a checker reads, or only
Python's own interpreter of annotations, is left alone: annotations, assertions, what stands under TYPE_CHECKING.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

TURNED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
"""A comparison's edge moved, and the comparison turned round."""


class Mutant(NamedTuple):
    """A module with one fault."""

    module: str
    """Its path below the package."""
    line: int
    text: str
    """The line of the fault, as it was. With ``change`` it names the mutant also when lines have moved."""
    change: str
    """``before -> after``."""
    source: str
    """The whole module with the fault."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from others, whatever is changed elsewhere."""
        return self.module, self.text, self.change


def mutants_of(package: Path, module: str) -> list[Mutant]:
    """All mutants of the module at ``module`` below the folder ``package``, in the order of their lines."""
    source = (package / module).read_text()
    data, lines = source.encode(), source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line.encode()))
    found: dict[tuple[int, int, str], Mutant] = {}
    for node, after in _faults(ast.parse(source)):
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        before = " ".join(data[begin:end].decode().split())
        faulty = data[:begin] + after.encode() + data[end:]
        if before != after and (begin, end, after) not in found:
            text = lines[node.lineno - 1].strip()
            found[begin, end, after] = Mutant(module, node.lineno, text, f"{before} -> {after}", faulty.decode())
    return sorted(found.values(), key=lambda each: each.line)


_Place = ast.expr | ast.stmt


def _faults(tree: ast.AST) -> Iterator[tuple[_Place, str]]:
    """Nodes, each with the text that takes its place."""
    for node in _executed(tree):
        if isinstance(node, ast.Compare):
            yield from _comparisons(node)
        elif isinstance(node, ast.BoolOp):
            yield from _conjunctions(node)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield node, f"({ast.unparse(node.operand)})"
        elif isinstance(node, ast.Constant) and type(node.value) is int:
            yield node, f"({node.value + 1})"
            yield node, f"({node.value - 1})"
        elif isinstance(node, (ast.If, ast.IfExp, ast.While)):
            yield node.test, "False"
            if not isinstance(node, ast.While):  # a loop without end is no fault that a test should wait for
                yield node.test, "True"
        elif isinstance(node, ast.Return) and node.value is not None and ast.unparse(node.value) != "None":
            yield node, "return None"
        elif (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)) or isinstance(node, ast.AugAssign):
            yield node, "pass"


def _comparisons(node: ast.Compare) -> Iterator[tuple[ast.expr, str]]:
    for place, operator in enumerate(node.ops):
        for turned in TURNED[type(operator)]:
            ops = [*node.ops[:place], turned(), *node.ops[place + 1 :]]
            yield node, f"({ast.unparse(ast.Compare(node.left, ops, node.comparators))})"


def _conjunctions(node: ast.BoolOp) -> Iterator[tuple[ast.expr, str]]:
    other = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
    yield node, f"({ast.unparse(ast.BoolOp(other, node.values))})"
    for place in range(len(node.values)):
        rest = [*node.values[:place], *node.values[place + 1 :]]
        yield node, f"({ast.unparse(ast.BoolOp(node.op, rest) if len(rest) > 1 else rest[0])})"


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that are run. In an f-string they have no place of their own before Python 3.12."""
    if isinstance(node, (ast.JoinedStr, ast.Assert)):
        return
    if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "__name__ == '__main__'"):
        return
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _executed(child)
