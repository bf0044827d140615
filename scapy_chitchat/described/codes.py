# SPDX-License-Identifier: GPL-2.0-or-later
"""What careful readers call the troubles that any description has: words for findings.

What only one protocol has (an unknown type, a wrong tag) is named by the fields of its layers.
"""

from __future__ import annotations

FIELD_SHORT = "field-short"
"""The bytes end within a field."""

STRING_SHORT = "string-short"
"""A string is announced longer than what is left."""

BLOCK_SHORT = "block-short"
"""A block is announced longer than what is left."""

BAD_UTF8 = "bad-utf8"
"""A string is no UTF-8."""

STREAM_LIMIT = "stream-limit"
"""More decompressed bytes, or more items, than the reader wants to have."""
