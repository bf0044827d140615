# SPDX-License-Identifier: GPL-2.0-or-later
"""Captures of real nodes, and the truth beside them: the scenarios, what is done to nodes, and how it is noted."""
