# SPDX-License-Identifier: GPL-2.0-or-later
"""The machinery of a description: fields that say what they are, and what is derived from them. No word of chitchat."""
