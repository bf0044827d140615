# SPDX-License-Identifier: GPL-2.0-or-later
"""The pages and the docstrings: links lead somewhere, and public constants say what they are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT

ROOMS = sorted(path.parent.name for path in (ROOT / "scapy_chitchat").glob("*/__init__.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))
    for link in links:
        if "://" in link:
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_the_pages_name_every_finding() -> None:
    from scapy_chitchat.records.checks import CODES

    text = (ROOT / "docs" / "wire-format.md").read_text()
    refused = {code for code, known in CODES.items() if known.severity == "error"}
    assert not {code for code in refused if f"`{code}`" not in text}


def test_every_filter_that_is_recommended_is_one_of_the_dissector() -> None:
    from scapy_chitchat.records.checks import CODES
    from scapy_chitchat.wireshark.install import filter_lines

    names = set(re.findall(r'"(chitchat\.[a-z0-9_.]+)"', (ROOT / "lua" / "chitchat.lua").read_text()))
    names |= {f"chitchat.{code.replace('-', '_')}" for code in CODES}
    rows = [line for line in (ROOT / "README.md").read_text().split("\n") if line.startswith("| `chitchat")]
    used = set(re.findall(r"chitchat\.[a-z0-9_.]+", "\n".join([*rows, *filter_lines()])))
    assert len(used) > 10
    assert used <= names


def undocumented(source: str) -> Iterator[str]:
    """The public constants of a module behind which no string says what they are.

    Declarations of commands are none, and a type variable of one letter is like a local name.
    """
    body = ast.parse(source).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.Assign):
            target = node.targets[0]
        elif isinstance(node, ast.AnnAssign):
            target = node.target
        else:
            continue
        if not isinstance(target, ast.Name) or not re.fullmatch(r"[A-Z][A-Z0-9_]+", target.id):
            continue
        explained = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        if not explained and not (target.id in ("COMMAND", "GROUP") and _calls(node, "Command", "Group")):
            yield target.id


def _calls(node: ast.Assign | ast.AnnAssign, *names: str) -> bool:
    return isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Name) and node.value.func.id in names


@pytest.mark.parametrize("room", ROOMS)
def test_public_constants_are_explained(room: str) -> None:
    modules = (ROOT / "scapy_chitchat" / room).rglob("*.py")
    assert not {f"{path.name}: {name}" for path in modules for name in undocumented(path.read_text())}


def test_every_room_is_looked_at_and_named_on_the_front_page() -> None:
    layout = (ROOT / "README.md").read_text().partition("## How it is built")[2]
    assert sorted(re.findall(r"^(\w+)/ ", layout, re.MULTILINE)) == ROOMS


def test_a_constant_without_a_word_is_seen() -> None:
    assert list(undocumented('AA = 1\n"""Bytes."""\nBB = 2\n_CC = 3\nDD: int = 4\n')) == ["BB", "DD"]
