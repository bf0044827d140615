# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person asks of ``read`` and ``sniff``, and what they count."""

from __future__ import annotations

from dataclasses import dataclass

from scapy_chitchat.wire.protocol import STREAM_LIMIT


@dataclass(frozen=True)
class Wish:
    """What to read, what to keep of it, and how to show it."""

    verbose: bool = False
    json: bool = False
    fields: tuple[str, ...] = ()
    summary: bool = False
    stats: bool = False
    only_findings: bool = False
    ports: frozenset[int] = frozenset()
    types: frozenset[str] = frozenset()
    node: str = ""
    key: str = ""
    cluster: str = ""
    drop_duplicates: bool = False
    limit: int = STREAM_LIMIT

    @property
    def prints_messages(self) -> bool:
        """Whether messages are shown one by one, and not only counted."""
        return self.json or self.verbose or bool(self.fields) or not (self.summary or self.stats)


@dataclass
class Counts:
    """Messages met, whether shown or not."""

    messages: int = 0
    refused: int = 0
