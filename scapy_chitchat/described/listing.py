# SPDX-License-Identifier: GPL-2.0-or-later
"""The layers' place in Scapy's own list of modules.

For ``explore()`` Scapy lists layers by the module that they are in, and trips over a module outside its own package. So
layers of other packages are taken off that list. An extension can list them again under a name of Scapy's.
"""

from __future__ import annotations

from scapy.config import conf
from scapy.packet import Packet

TAKEN_OFF: list[type[Packet]] = []
"""The layers that were taken off."""


def take_off_list(package: str) -> None:
    """Take the layers of ``package``, as far as they are defined by now, off the list of modules."""
    listed: dict[str, list[type[Packet]]] = conf.layers.ldict
    for module in [name for name in listed if name.partition(".")[0] == package]:
        TAKEN_OFF.extend(layer for layer in listed.pop(module) if "_name" in vars(layer))  # others are not for users
