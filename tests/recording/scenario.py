# SPDX-License-Identifier: GPL-2.0-or-later
"""What a scenario is: nodes, what they change of their keys, and what is done to them at which second.

Scenarios are data, so that one recorder runs all of them, and a user's own comes from a JSON file of the same form.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Node = dict[str, Any]
"""A node as tests/peer/README.md describes it."""

Deed = Literal["start", "kill", "pause", "wake", "cut", "mend", "set", "delete"]
"""``kill`` ends a node's process, and ``start`` after it is a new run; ``pause`` stops the process where it stands."""


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing done to one node."""

    at: float
    """Seconds after the start."""
    do: Deed
    node: str
    direction: Literal["from", "to"] = "from"
    """``cut``: what the node sends is dropped after it was captured (``from``), or what is sent to it (``to``)."""
    peer: str = ""
    """``cut``: between the node and this one only."""
    key: str = ""
    value: str = ""
    times: int = 1
    """``set``: how often the value is repeated."""


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nodes at one end (a loopback of MTU 1500), or at two (joined by a veth pair), and what happens to them."""

    ends: list[list[Node]]
    """By end. Each node starts with the recording, unless a ``start`` step names it."""
    seconds: float = 8
    """How long it takes, unless the command says otherwise."""
    steps: list[Step] = []
    changes: float = 2
    """Changes a second that each node makes to its keys, unless it says itself what it changes (``workload``)."""
    words: Literal["plain", "quickwit"] = "plain"
    """Which keys and values: random ones, or such as a Quickwit cluster gossips."""
