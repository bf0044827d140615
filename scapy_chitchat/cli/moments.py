# SPDX-License-Identifier: GPL-2.0-or-later
"""Moments: as a person names them on the command line, and as commands show them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import Literal

SECOND = 10**9
"""Nanoseconds."""

_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]*)?")


@dataclass(frozen=True)
class Moment:
    """A moment that was named: nanoseconds since the epoch, or, where ``relative``, since the first message."""

    nanoseconds: int
    relative: bool = False

    def since_epoch(self, first: int) -> int:
        """Nanoseconds since the epoch, for a capture whose first message came at ``first``."""
        return first + self.nanoseconds if self.relative else self.nanoseconds


def parse_moment(text: str) -> Moment:
    """A moment from ISO 8601 (without a zone: the local time), epoch seconds, or ``+12.5``: seconds from the start.

    Raises ValueError for anything else.
    """
    bare = text.removeprefix("+")
    if _SECONDS.fullmatch(bare):
        return Moment(int(Decimal(bare) * SECOND), relative=text.startswith("+"))
    try:
        named = datetime.fromisoformat(_as_old_pythons_read_it(text))
    except ValueError:
        raise ValueError(
            f"{text!r} is no time: write 2026-11-25T16:30:00Z, seconds since 1970, or +12.5 for seconds from the start"
        ) from None
    whole = named.replace(microsecond=0).astimezone(timezone.utc)
    return Moment(int(whole.timestamp()) * SECOND + named.microsecond * 1000)


def _as_old_pythons_read_it(text: str) -> str:
    """ISO 8601 with six decimals and no Z, as Python 3.10 wants it."""
    padded = re.sub(r"\.([0-9]+)", lambda found: f".{found[1]:0<6.6}", text)
    return re.sub(r"[Zz]$", "+00:00", padded)


Zone = Literal["start", "utc", "local"]


class Clock:
    """Shows times: as seconds from ``first``, or as dates in UTC or in the local zone."""

    def __init__(self, zone: Zone, first: int) -> None:
        self.zone = zone
        self.first = first

    def text(self, nanoseconds: int) -> str:
        """``+12.345``, or ``2026-11-25 16:30:00.123``."""
        if self.zone == "start":
            milliseconds = (nanoseconds - self.first) // 10**6
            sign = "-" if milliseconds < 0 else "+"
            return f"{sign}{abs(milliseconds) // 1000}.{abs(milliseconds) % 1000:03d}"
        return date_text(nanoseconds, self.zone)


def date_text(nanoseconds: int, zone: Zone = "utc") -> str:
    """A time as a date with milliseconds; the number where no calendar has it."""
    try:
        date = datetime.fromtimestamp(nanoseconds // SECOND, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return f"{nanoseconds / SECOND:.3f}"
    shown = date.astimezone() if zone == "local" else date
    return f"{shown:{_DATE}}.{nanoseconds % SECOND // 10**6:03d}{'' if zone == 'local' else 'Z'}"


_DATE = "%Y-%m-%d %H:%M:%S"


_YEAR_2015, _YEAR_2100 = 1_420_070_400, 4_102_444_800


def generation_text(generation_id: int) -> str:
    """A generation_id, as the second of UTC that it most likely is: nodes take the time of their start.

    Quickwit's are nanoseconds, chitchat's own test server has seconds; other numbers are shown as they are.
    """
    for unit in (SECOND, 10**6, 1000, 1):
        seconds = generation_id // unit
        if _YEAR_2015 <= seconds < _YEAR_2100:
            return f"{datetime.fromtimestamp(seconds, timezone.utc):{_DATE}}Z"
    return str(generation_id)
