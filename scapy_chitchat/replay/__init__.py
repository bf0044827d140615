# SPDX-License-Identifier: GPL-2.0-or-later
"""Captured messages, sent again."""
