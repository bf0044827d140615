# SPDX-License-Identifier: GPL-2.0-or-later
"""Mutants that no test can tell from the module, each with the reason.

They are named by the text of their line, not by its number. One whose line is gone is named when all are run.
"""

from __future__ import annotations

from typing import NamedTuple


class Equivalent(NamedTuple):
    """A mutant that does what the module does."""

    module: str
    text: str
    change: str
    why: str


EQUIVALENT: tuple[Equivalent, ...] = ()
