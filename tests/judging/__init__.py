# SPDX-License-Identifier: GPL-2.0-or-later
"""Judges what a cluster engine shows by what real nodes said of themselves. Nothing of the engine is used for it."""
