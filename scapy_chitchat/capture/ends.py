# SPDX-License-Identifier: GPL-2.0-or-later
"""Who is meant at an end of a message: by an address, an address and a port, or a node_id, with wildcards."""

from __future__ import annotations

from fnmatch import fnmatchcase


def matches(pattern: str, value: str | None) -> bool:
    """Whether a value is there and matches; ``*`` and ``?`` are wildcards, and brackets are themselves."""
    return value is not None and fnmatchcase(value, pattern.replace("[", "[[]"))


class End:
    """Who sends or receives: an address, an address and a port, or a node_id, which digests place at an address."""

    def __init__(self, pattern: str) -> None:
        """An empty pattern means anybody."""
        self.pattern = pattern
        self._addresses: set[str] = set()

    def learn(self, node_id: str | None, address: str | None) -> None:
        """An entry of a digest: this node has this address (with its port), as far as it could be read."""
        if self.pattern and address is not None and matches(self.pattern, node_id):
            self._addresses.add(address)

    def is_at(self, address: str, address_and_port: str) -> bool:
        """Whether one who is meant is there, by the entries so far."""
        pattern = self.pattern
        return (
            not pattern
            or matches(pattern, address)
            or matches(pattern, address_and_port)
            or address_and_port in self._addresses
        )
