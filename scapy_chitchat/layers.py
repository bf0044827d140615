# SPDX-License-Identifier: GPL-2.0-or-later
"""The Scapy layers, by the name under which users import them; they are defined in wire/layers.py."""

from scapy_chitchat.wire.layers import *  # noqa: F403
from scapy_chitchat.wire.layers import __all__ as __all__
