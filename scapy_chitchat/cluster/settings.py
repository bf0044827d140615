# SPDX-License-Identifier: GPL-2.0-or-later
"""What the messages do not say: the settings of the nodes' failure detector, and what is to be followed."""

from __future__ import annotations

from typing import Literal

import msgspec

RulesName = Literal["0.9", "0.10.0", "0.10.1", "0.11.2"]
"""Versions of the crate whose nodes do something differently: ``0.10.1`` stands for 0.10.1 to 0.11.1, ``0.11.2`` for
0.11.2 to 0.13."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What is taken for granted of the nodes. The defaults are the crate's."""

    interval: float | None = None
    """Seconds between the gossip rounds of a node; None: the median of the rounds that are seen."""
    initial_interval: float | None = None
    """The failure detector's ``initial_interval`` in seconds; None: 5, or what the traffic of at most four nodes
    says."""
    threshold: float = 8.0
    """The failure detector's ``phi_threshold``."""
    window: int = 1000
    """The failure detector's ``sampling_window_size``."""
    max_interval: float = 10.0
    """The failure detector's ``max_interval`` in seconds: longer ones are not recorded."""
    dead_grace: float | None = None
    """``dead_node_grace_period`` in seconds; None: estimated when a dead node leaves the digests."""
    rules: RulesName | None = None
    """How nodes treat a section; None: as 0.11.2 to 0.13 do, until a node shows that it does otherwise."""
    follow: tuple[str, str] | None = None
    """Patterns (as of fnmatch) of a key and a node_id: each of their versions is remembered with its whole way."""
    follow_limit: int = 1000
    """The most versions that are remembered for ``follow``; the oldest go first."""
