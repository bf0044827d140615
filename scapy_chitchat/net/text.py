# SPDX-License-Identifier: GPL-2.0-or-later
"""Text off the wire, made fit for a terminal."""

from __future__ import annotations


def printable(value: object) -> str:
    """``value`` as text in which nothing can move a cursor, colour a screen or turn the reading direction.

    Whatever ``str.isprintable`` does not count as printable is escaped as in a Python string: control characters,
    escape sequences, bidi marks, surrogates that stand for invalid UTF-8. So is the backslash, which keeps the result
    unambiguous.
    """
    text = str(value)
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(
        char if char.isprintable() and char != "\\" else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )
