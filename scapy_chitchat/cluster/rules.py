# SPDX-License-Identifier: GPL-2.0-or-later
"""What a node does with one section of a delta: the rules of the crate's versions, as data.

A section says: "from version F on, excluded, up to version L, at a node that has collected up to G". A reader whose
replica stands at max_version and last_gc_version takes it, drops its copy and starts from it (a reset), or leaves it.
Source: the crate's public sources (state.rs), versions 0.9.0, 0.10.1 and 0.13.0, held against running nodes; 0.10.0 is
read, not run.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from scapy_chitchat.cluster._records import Section
from scapy_chitchat.cluster.roster import Numbers
from scapy_chitchat.cluster.settings import RulesName

Kind = Literal["apply", "reset", "old", "gap", "inapplicable"]
"""``old``: nothing new in it; ``gap``: it starts above the replica; ``inapplicable``: only a reset could take it."""


class Rules(NamedTuple):
    """Where the versions differ."""

    name: RulesName
    creates: bool
    """A section of a run that the reader does not know creates its replica."""
    equal_resets: bool
    """A last_gc_version equal to the replica's max_version is enough for a reset."""
    lossy_resets: bool
    """A section that starts above 0 may reset, too: the key-values up to its start are lost."""
    set_max_version: bool
    """SetMaxVersion counts without a reset; and a skipped tombstone raises the replica's max_version."""
    remembers: int
    """Of how many forgotten runs the last heartbeat is kept, so that an older one does not bring them back."""


RULES: dict[RulesName, Rules] = {
    "0.9": Rules("0.9", creates=True, equal_resets=True, lossy_resets=True, set_max_version=False, remembers=0),
    "0.10.0": Rules(
        "0.10.0", creates=False, equal_resets=True, lossy_resets=False, set_max_version=True, remembers=500
    ),
    "0.10.1": Rules(
        "0.10.1", creates=False, equal_resets=False, lossy_resets=False, set_max_version=True, remembers=500
    ),
    "0.11.2": Rules(
        "0.11.2", creates=False, equal_resets=False, lossy_resets=False, set_max_version=True, remembers=5000
    ),
}
"""By name, oldest first."""

DEFAULT: RulesName = "0.11.2"
"""What is taken of a node that has shown nothing else."""


def like(name: RulesName) -> set[RulesName]:
    """The versions that do the same with every section; this one is among them."""
    own = RULES[name]._replace(name=name, remembers=0)
    return {each for each, rules in RULES.items() if rules._replace(name=name, remembers=0) == own}


def shown(possible: set[RulesName]) -> RulesName | None:
    """The oldest of these versions, where no section tells them apart; None where they differ."""
    oldest = next(name for name in RULES if name in possible)
    return oldest if possible <= like(oldest) else None


class Outcome(NamedTuple):
    """What becomes of a replica."""

    kind: Kind
    numbers: Numbers


def outcome(rules: Rules, numbers: Numbers, section: Section) -> Outcome:
    """What a node of these rules does with ``section`` when its replica stands at ``numbers``."""
    heartbeat, collected, held = numbers
    _, gc, start, _, reached = section
    if start > held:
        return Outcome("gap", numbers)
    if gc > collected and (gc > held or (rules.equal_resets and gc == held)):
        if rules.lossy_resets and not reached:
            return Outcome("old", numbers)
        if start and not rules.lossy_resets:
            return Outcome("inapplicable", numbers)
        return Outcome("reset", (0, gc, reached if rules.set_max_version else _raised(section, 0, gc)))
    reached = reached if rules.set_max_version else _raised(section, held, collected)
    if reached > held:
        return Outcome("apply", (heartbeat, collected, reached))
    return Outcome("old", numbers)


def _raised(section: Section, held: int, gc: int) -> int:
    """Where the key-values alone raise a replica to: those that are skipped do not count, nor without a reset a
    SetMaxVersion."""
    if not section.key_values:
        return held or section.max_version
    taken = [each.version for each in section.key_values if each.status == "Set" or each.version > gc]
    return max([held, *taken])
