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
    tunnel: Literal["", "vxlan", "geneve"] = ""
    """Of two ends: what their gossip travels in, over the veth pair. Captured is the veth, beside it the inside."""

    def __post_init__(self) -> None:
        """Raises ValueError for a tunnel that does not lead from one end to another, and a step that cannot be done.

        Such a step is of a node that is not there then, or not in that state.
        """
        if self.tunnel and len(self.ends) != 2:
            raise ValueError("a tunnel wants two ends")
        names = [node["node_id"] for end in self.ends for node in end]
        states = {name: "away" if name in self.late() else "at work" for name in names}
        for step in sorted(self.steps, key=lambda step: step.at):
            before, after = _TURNS.get(step.do, ("at work", "at work"))
            found = states.get(step.node, "no node of this scenario")
            if found != before and step.do not in ("cut", "mend"):
                raise ValueError(f"at {step.at} s {step.do} needs {step.node} to be {before}, and it is {found}")
            states[step.node] = after if step.do in _TURNS else found

    def late(self) -> set[str]:
        """The nodes that a step starts: those whose first step that is."""
        first = {step.node: step.do for step in sorted(self.steps, key=lambda step: -step.at)}
        return {name for name, do in first.items() if do == "start"}


_TURNS = {
    "start": ("away", "at work"),
    "kill": ("at work", "away"),
    "pause": ("at work", "asleep"),
    "wake": ("asleep", "at work"),
}
"""What a node must be for a step, and what it is after it."""
