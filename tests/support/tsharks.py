# SPDX-License-Identifier: GPL-2.0-or-later
"""Running tsharks on a dissector, and what they and Scapy show of a message, as leaves: (filter name, bytes).

Which tsharks are tested: the one on PATH, and one in each folder that the environment variable CHITCHAT_TSHARK_FOLDERS
names (colons between them), made by get_tshark.sh. Folders take root, for chroot; there tests run as an ordinary user.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import struct
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from scapy.fields import ConditionalField
from scapy.packet import NoPayload, Packet, Raw

from scapy_chitchat.described.conditions import ABSENT
from scapy_chitchat.described.fields import AddressField, NoteField
from scapy_chitchat.described.lists import BlocksField, ItemsField
from scapy_chitchat.described.lua_source import snake_case
from scapy_chitchat.described.malformed import Malformed
from tests.support import ROOT

DISSECTOR = ROOT / "lua" / "chitchat.lua"
NOBODY = 65534
EVERY_DATAGRAM = ("-o", "chitchat.ports:7280")
"""Options by which tshark takes for messages all datagrams that ``write_capture`` writes: whoever names a port means
whatever comes there, and on the usual ports the magic number decides."""

Leaf = tuple[str, bytes]


# --- tsharks ---


@dataclass(frozen=True)
class Tshark:
    """A tshark: of this machine, or in a folder with a system of its own."""

    folder: Path | None = None

    def __str__(self) -> str:
        return f"{'tshark' if self.folder is None else self.folder.name}-{'.'.join(map(str, self.version()))}"

    def command(self) -> list[str]:
        """How to call it."""
        if self.folder is None:
            return ["tshark"]
        return ["chroot", f"--userspec={NOBODY}:{NOBODY}", str(self.folder), "env", "HOME=/tmp", "tshark"]

    @cache  # noqa: B019  (there is a handful of them)
    def version(self) -> tuple[int, ...]:
        """Its version."""
        said = subprocess.run([*self.command(), "--version"], capture_output=True, text=True, check=True).stdout
        found = re.search(r"\d+\.\d+\.\d+", said)
        assert found, said
        return tuple(map(int, found[0].split(".")))

    def path_of(self, file: Path) -> str:
        """Where it sees a file; a file of this machine is copied into its folder."""
        if self.folder is None:
            return str(file)
        inside = f"/tmp/{abs(hash(str(file.resolve())))}-{file.name}"
        copy = self.folder / inside[1:]
        if not copy.exists() or copy.stat().st_mtime < file.stat().st_mtime:
            shutil.copy(file, copy)
            copy.chmod(0o644)
        return inside

    def run(self, capture: Path, *options: str, script: Path = DISSECTOR) -> str:
        """What it prints of a capture. Fails on whatever a script got wrong: the exit status would not tell."""
        command = [*self.command(), "-X", f"lua_script:{self.path_of(script)}", "-r", self.path_of(capture), *options]
        ran = subprocess.run(command, capture_output=True)
        errors = "\n".join(
            line for line in ran.stderr.decode("utf-8", "replace").splitlines() if "could be danger" not in line
        )
        assert not errors.strip(), errors
        assert ran.returncode == 0, f"exit status {ran.returncode}"
        return ran.stdout.decode("utf-8", "replace")


def all_tsharks() -> list[Any]:
    """Every tshark there is to test, as parameters of tests; a sentence where there is none."""
    found = [Tshark()] if shutil.which("tshark") else []
    for name in filter(None, os.environ.get("CHITCHAT_TSHARK_FOLDERS", "").split(":")):
        folder = Path(name)
        if os.geteuid() == 0 and (folder / "usr/bin/tshark").exists():
            found.append(Tshark(folder))
    if not found:
        return [pytest.param(None, marks=pytest.mark.skip(reason="there is no tshark on PATH"))]
    return [pytest.param(tshark, id=str(tshark)) for tshark in found]


every_tshark = pytest.mark.parametrize("tshark", all_tsharks())

every_tshark_in_a_folder = pytest.mark.parametrize(
    "tshark", [each for each in all_tsharks() if each.values[0] and each.values[0].folder]
)
"""Those that have a system of their own, whose plugin folders the tests may touch."""


# --- captures ---


def write_capture(path: Path, datagrams: Iterable[bytes], *, port: int = 7280, cut: int = 0) -> Path:
    """A capture of UDP datagrams in IPv4 (link type: raw IP), a millisecond apart. ``cut``: bytes left out of each."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 101))
        for index, data in enumerate(datagrams):
            size = 28 + len(data)
            ip = struct.pack(">BBHHHBBHII", 0x45, 0, size, index & 0xFFFF, 0, 64, 17, 0, 0x0A000001, 0x0A000002)
            frame = ip + struct.pack(">HHHH", port, port, 8 + len(data), 0) + data
            kept = frame[: len(frame) - cut]
            file.write(
                struct.pack("<IIII", 1800000000 + index // 1000, index % 1000 * 1000, len(kept), len(frame)) + kept
            )
    return path


# --- what tshark shows ---


def dissected(output: str, protocol: str = "chitchat") -> Iterator[tuple[int, list[Any]]]:
    """Of `-T json -x`: frame number and the protocol's tree, as pairs in order (names repeat, so no dict would do)."""
    for packet in json.loads(output, object_pairs_hook=list):
        layers = dict(dict(packet)["_source"])["layers"]
        number = int(_find(dict(layers)["frame"], "frame.number"))
        for name, tree in layers:
            if name == protocol:
                yield number, tree


def _find(pairs: list[Any], name: str) -> Any:
    return next(value for key, value in pairs if key == name)


def _is_branch(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in value)


def tshark_leaves(tree: list[Any]) -> Iterator[Leaf]:
    """The leaves of a protocol's tree, in order, without what Wireshark made up (generated fields, experts)."""
    raw: dict[str, bytes] = {}
    for name, value in tree:
        if name.endswith("_raw"):
            hexadecimal, kind = value[0], value[4]
            raw = {name[: -len("_raw")]: bytes.fromhex(hexadecimal)} if kind else {}
        elif name.startswith("_ws."):
            continue
        elif isinstance(value, list) and value and _is_branch(value):
            yield from tshark_leaves(value)
        elif ".response_" not in name and ".finding." not in name:
            if raw.get(name):
                yield name, raw[name]
            raw = {}


# --- what Scapy shows ---


def scapy_leaves(packet: Packet, prefix: str = "chitchat", between: str = "") -> Iterator[Leaf]:
    """The fields of a dissected message as leaves, in wire order; those of no bytes left out."""
    layer: Packet = packet
    while not isinstance(layer, NoPayload):
        if isinstance(layer, Malformed):
            yield from _leaf(f"{prefix}.malformed.load", layer.load)
        elif isinstance(layer, Raw):
            yield from _leaf(f"{prefix}.trailing_data", layer.load)
        else:
            yield from _layer_leaves(layer, f"{prefix}.{between}")
        layer = layer.payload


def _layer_leaves(layer: Packet, start: str) -> Iterator[Leaf]:
    for field in layer.fields_desc:
        if isinstance(field, ConditionalField) and not field.cond(layer):
            continue
        value = layer.getfieldval(field.name)
        bare = field.fld if isinstance(field, ConditionalField) else field
        if value is ABSENT or value is None or isinstance(bare, NoteField):
            continue
        if isinstance(bare, (BlocksField, ItemsField)):
            for item in value:
                yield from scapy_leaves(item, start.partition(".")[0], f"{snake_case(type(item).__name__)}.")
        else:
            data = bare.addfield(layer, b"", value)
            suffix = "v6" if isinstance(bare, AddressField) and len(data) == 16 else ""
            yield from _leaf(start + bare.name + suffix, data)


def _leaf(name: str, data: bytes) -> Iterator[Leaf]:
    if data:
        yield name, data


def first_difference(left: Sequence[Leaf], right: Sequence[Leaf]) -> str:
    """Where two lists of leaves part; nothing where they do not."""
    for index, (one, other) in enumerate(itertools.zip_longest(left, right)):
        if one != other:
            return f"leaf {index}: {one} is not {other}"
    return ""
