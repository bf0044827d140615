# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines of Lua, and Python values as Lua writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeAlias

WIDTH = 120
"""How long a line of generated Lua may be."""

RULE = "-" * (WIDTH + 3)
"""The line above and below a headline."""

LuaValue: TypeAlias = (
    bool | int | str | Mapping[int, "LuaValue"] | Mapping[str, "LuaValue"] | Iterable["LuaValue"] | None
)
"""A Python value that Lua has as well; what is iterable becomes a list."""

RESERVED = frozenset(
    (
        "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil",
        "not", "or", "repeat", "return", "then", "true", "until", "while", "type", "next", "select", "error",
        "message", "stream", "bytes", "at", "stop", "tvb", "tree", "item", "reader",
    )
)  # fmt: skip
"""Lua's keywords, and names that the generated code uses for itself."""


class LuaSource:
    """Lines of Lua at a depth."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.depth = 0

    def add(self, *lines: str) -> None:
        """Lines at the present depth."""
        self.lines.extend("  " * self.depth + line if line else "" for line in lines)

    @contextmanager
    def block(self, opening: str, closing: str = "end") -> Iterator[None]:
        """What is added within stands between ``opening`` and ``closing``, one level deeper."""
        self.add(opening)
        self.depth += 1
        yield
        self.depth -= 1
        self.add(closing)

    def otherwise(self) -> None:
        """Between the two parts of a block that begins with an ``if``."""
        self.depth -= 1
        self.add("else")
        self.depth += 1

    def wrapped(self, words: Sequence[str]) -> None:
        """Words with commas between and behind them, over as many lines as it takes."""
        line = ""
        for word in words:
            if line and len(line) + len(word) + 2 * self.depth > WIDTH:
                self.add(line.rstrip())
                line = ""
            line += f"{word}, "
        self.add(line.rstrip())

    def section(self, title: str) -> None:
        """A headline."""
        self.add("", f"{RULE}", f"-- {title}", f"{RULE}", "")

    def text(self) -> str:
        """All lines."""
        return "\n".join(self.lines) + "\n"


def variable(name: str) -> str:
    """``name`` as the name of a Lua variable of the generated code."""
    return f"{name}_value" if name in RESERVED else name


def quoted(text: str) -> str:
    """A Lua string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def literal(value: LuaValue) -> str:
    """A Python value as Lua writes it."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"[{literal(key)}] = {literal(each)}" for key, each in value.items()) + " }"
    return "{ " + ", ".join(map(literal, value)) + " }"


def snake_case(name: str) -> str:
    """``ShortWord`` as ``short_word``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


_AS_WRITTEN = {"id": "ID", "ip": "IP", "gc": "GC", "ipv6": "IPv6", "udp": "UDP"}


def title(name: str) -> str:
    """``last_gc_version`` as ``Last GC version``."""
    words = [_AS_WRITTEN.get(word, word) for word in name.split("_")]
    return " ".join([words[0] if words[0][:1].isupper() else words[0].capitalize(), *words[1:]])


def quoted_bytes(data: bytes) -> str:
    """Bytes as a Lua string."""
    return '"' + "".join(f"\\{value:03d}" for value in data) + '"'
