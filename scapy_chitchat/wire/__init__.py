# SPDX-License-Identifier: GPL-2.0-or-later
"""The description of chitchat: its numbers, its layers, its compressed streams."""
