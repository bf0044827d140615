# SPDX-License-Identifier: GPL-2.0-or-later
"""Python that a program writes and runs, as the standard library's dataclasses do with their methods.

The text is registered where tracebacks and debuggers look for a file's lines.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable
from itertools import count
from typing import Any, cast

_numbers = count(1)


class PythonSource:
    """Lines of Python and the names they use. The code's own names begin with ``_``, fields have theirs."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, object] = {}
        self.depth = 0

    def add(self, *lines: str) -> None:
        """Lines at the present depth."""
        self.lines += ["    " * self.depth + line for line in lines]

    def name(self, value: object, hint: str) -> str:
        """The name under which the code can use ``value``."""
        for name, known in self.names.items():
            if known is value:
                return name
        name = f"{hint}_{len(self.names)}"
        self.names[name] = value
        return name

    def text(self) -> str:
        """The source."""
        return "\n".join(self.lines) + "\n"

    def function(self, name: str, title: str) -> Callable[..., Any]:
        """The function ``name`` that the source defines; ``title`` is what a traceback calls its file."""
        text = self.text()
        file = f"<{title} {next(_numbers)}>"
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        names = dict(self.names)
        exec(compile(text, file, "exec"), names)  # noqa: S102
        return cast(Callable[..., Any], names[name])  # the text defines it; its caller knows what it takes
