# SPDX-License-Identifier: GPL-2.0-or-later
"""The rooms of the package: which folder may import which, and what imports no Scapy.

Imports are read off the source, those for types alone and those inside functions too: an arrow is an arrow.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scapy_chitchat.cli import COMMANDS, fuzz, wireshark
from tests.support import ROOT

PACKAGE = ROOT / "scapy_chitchat"

BELOW = {
    "net": set(),
    "described": {"net"},
    "wire": {"described", "net"},
    "records": {"wire", "described", "net"},
    "capture": {"records", "wire", "net"},
    "node": {"records", "wire", "net"},
    "cluster": {"capture", "records", "wire", "net"},
    "metrics": {"cluster", "capture", "records", "wire", "net"},
    "report": {"cluster", "capture", "records", "wire", "net"},
    "watch": {"cluster", "capture", "records", "wire", "net"},
    "replay": {"capture", "node", "records", "wire", "net"},
    "integration": {"capture", "node", "records", "wire", "described", "net"},
    "wireshark": {"records", "wire", "described", "net"},
    "fuzz": {"replay", "capture", "node", "records", "wire", "described", "net"},
    "cli": {
        "fuzz",
        "wireshark",
        "replay",
        "report",
        "metrics",
        "watch",
        "cluster",
        "capture",
        "node",
        "records",
        "wire",
        "net",
    },
}
"""Each room with the rooms that it may import from."""

FACADES = {"__init__", "__main__", "layers"}
"""Modules of no room: what users import by a short name. They may import from every room."""

OF_EVERYBODY = {"__version__"}
"""Names of the package itself that every room may import."""

NAMES_OF_USERS = "gives or runs what users write after `from scapy_chitchat import *`, so it takes the very names"
EXPECTED = {
    ("integration/contrib.py", ""): NAMES_OF_USERS,
    ("fuzz/finding.py", ""): NAMES_OF_USERS,
}
"""Arrows that are not downwards, each with its reason; "" is the package itself."""


def arrows(source: str, package: str) -> Iterator[tuple[str, str]]:
    """Room and name of each import from this package in the source of a module in ``package``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [(each.name, "") for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            names = [(module, each.name) for each in node.names]
        else:
            continue
        for module, name in names:
            first, _, rest = module.partition(".")
            if first == "scapy_chitchat":
                yield (rest.partition(".")[0] or name, name)


def upward(path: Path, source: str) -> set[tuple[str, str]]:
    """What a module imports that is not below its room: its path in the package, and the room or the module."""
    place = path.relative_to(PACKAGE)
    if len(place.parts) == 1:
        return set()
    room = place.parts[0]
    package = ".".join(("scapy_chitchat", *place.parts[:-1]))
    allowed = BELOW[room] | {room} | OF_EVERYBODY
    return {(place.as_posix(), target) for target, _ in arrows(source, package) if target not in allowed}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_every_folder_is_a_room_of_the_table() -> None:
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} <= set(BELOW)
    assert {path.stem for path in PACKAGE.glob("*.py")} == FACADES


def test_the_table_has_no_circle() -> None:
    done: set[str] = set()
    while len(done) < len(BELOW):
        free = {room for room, below in BELOW.items() if room not in done and below <= done}
        assert free, f"a circle among {set(BELOW) - done}"
        done |= free


def test_no_room_imports_what_is_not_below_it() -> None:
    found = {arrow for path in modules() for arrow in upward(path, path.read_text())}
    assert found == set(EXPECTED)


@pytest.mark.parametrize(
    "line",
    [
        "from scapy_chitchat.cli.common import CommandFailed",
        "import scapy_chitchat.cli.common",
        "from scapy_chitchat import cli",
        "from scapy_chitchat import decode",
        "from ..cli import common",
        "def f():\n    from scapy_chitchat.cli import main",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from scapy_chitchat.cli import main",
    ],
)
def test_an_arrow_upwards_is_seen_however_it_is_written(line: str) -> None:
    assert upward(PACKAGE / "records" / "codec.py", line)
    assert not upward(PACKAGE / "records" / "codec.py", "from scapy_chitchat.wire import layers\nfrom . import makers")


def name_of(path: Path) -> str:
    """The name under which a module of the package is imported."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_no_modules_import_each_other_in_a_circle() -> None:
    needs = {name_of(path): set(_imported_at_start(path)) - {name_of(path)} for path in modules()}
    while needs:
        free = {name for name, below in needs.items() if not below & set(needs)}
        assert free, f"a circle among {sorted(needs)}"
        needs = {name: below for name, below in needs.items() if name not in free}


def _imported_at_start(path: Path) -> Iterator[str]:
    """The modules that a module imports when it is imported itself."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{each.name}" for each in node.names)
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names)


def test_nobody_imports_the_module_of_a_command() -> None:
    commands = {f"scapy_chitchat.cli.{name}" for name in COMMANDS}
    commands -= {fuzz.__name__, wireshark.__name__}  # packages, of which the shared modules are imported
    commands |= {f"{package.__name__}.{name}" for package in (fuzz, wireshark) for name in package.GROUP.commands}
    assert commands <= {name_of(path) for path in modules()}
    assert not commands & {name for path in modules() for name in _imported_at_start(path)}


def test_net_imports_no_scapy() -> None:
    names = [f"scapy_chitchat.net.{path.stem}" for path in (PACKAGE / "net").glob("*.py") if path.stem != "__init__"]
    assert len(names) >= 5
    for name in names:
        assert not _scapy_after(name), name
    assert _scapy_after("scapy_chitchat.wire.layers"), "the test sees Scapy where it is"


def test_the_first_steps_of_a_command_import_no_scapy() -> None:
    assert not _scapy_after("scapy_chitchat.cli.application")
    assert not _scapy_after("scapy_chitchat.cli.options")
    assert not _scapy_after("scapy_chitchat.cli.read")


def test_reading_messages_imports_no_scapy_protocols() -> None:
    assert not _scapy_after("scapy_chitchat.cli.showing", "scapy.layers.inet")
    assert _scapy_after("scapy_chitchat.layers", "scapy.layers.inet"), "the test sees them where they are"


def _scapy_after(module: str, part: str = "scapy") -> bool:
    """Whether Scapy, or a part of it, is there once a module has been imported, in a process of its own."""
    script = f"import sys, {module}; print({part!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout == "True\n"
