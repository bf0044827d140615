# SPDX-License-Identifier: GPL-2.0-or-later
"""What all records have in common: they are immutable values, and have a form in JSON."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

JsonObject: TypeAlias = dict[str, Any]
"""An object of JSON: what is below its names is anything that JSON has."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """A message, or an item of its digest or delta."""

    def as_dict(self) -> JsonObject:
        """The record as in JSON."""
        return as_in_json(self)


def as_in_json(value: Record | JsonObject) -> JsonObject:
    """A record, or a dict of values of records, as JSON has it."""
    return msgspec.json.decode(msgspec.json.encode(value), type=JsonObject)
