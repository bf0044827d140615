# SPDX-License-Identifier: GPL-2.0-or-later
"""The Scapy layers, by the name under which users import them; they are defined in wire/layers.py, and bound here."""

from scapy_chitchat.wire import layers
from scapy_chitchat.wire.binding import bind as bind
from scapy_chitchat.wire.layers import *  # noqa: F403

__all__ = [*layers.__all__, "bind"]
