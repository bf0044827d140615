# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests, tools and benchmarks share: real nodes, networks of our own, tshark, and where things are."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The repository."""
PCAPS = ROOT / "pcaps"
"""Small captures of real nodes."""
