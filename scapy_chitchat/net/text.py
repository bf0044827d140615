# SPDX-License-Identifier: GPL-2.0-or-later
"""Text off the wire, made fit for a terminal."""

from __future__ import annotations

import codecs
import re

_escape = codecs.lookup("unicode_escape").encode
"""Looked up once and now: a codec is a module, and who has given up root may not be allowed to read where it lies."""


def _escaped(char: str) -> str:
    return _escape(char, "surrogatepass")[0].decode()


def printable(value: object) -> str:
    """``value`` as text in which nothing can move a cursor, colour a screen or turn the reading direction.

    Whatever ``str.isprintable`` does not count as printable is escaped as in a Python string: control characters,
    escape sequences, bidi marks, surrogates that stand for invalid UTF-8. So is the backslash, which keeps the result
    unambiguous.
    """
    text = str(value)
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(char if char.isprintable() and char != "\\" else _escaped(char) for char in text)


def one_line(text: str) -> str:
    """A whole sentence as one line that is harmless to a terminal, whatever stands in it.

    As ``printable``, but for backslashes: what was escaped before it was put into the sentence stays as it is.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


_DELETE = b"\x7f"
_RAW_IN_JSON = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]")
"""In UTF-8: U+007F to U+009F, the marks and embeddings that turn the reading direction, the separators of lines."""


def harmless_json(encoded: bytes) -> bytes:
    """JSON in which what a terminal would act on is escaped: JSON itself wants that only of what is below U+0020."""
    if encoded.isascii() and _DELETE not in encoded:
        return encoded
    return _RAW_IN_JSON.sub(lambda found: b"\\u%04x" % ord(found[0].decode()), encoded)
