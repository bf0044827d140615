# SPDX-License-Identifier: GPL-2.0-or-later
"""This package as a Scapy extension, and its layers' place in Scapy's own lists.

    conf.exts.load("scapy-chitchat")
    load_contrib("chitchat")            # or: from scapy.contrib.chitchat import *

For ``explore()`` Scapy lists layers by the module that they are in, and trips over a module outside its own package. So
ours are taken off that list, and listed under ``scapy.contrib.chitchat`` once it is loaded: the name by which the
extension makes contrib.py known. There they are the same classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scapy.config import conf

CONTRIB = "scapy.contrib.chitchat"


def register(ext: Any) -> None:
    """Tell Scapy of what is here; what the ``scapy_ext`` of an extension does."""
    from scapy_chitchat import __version__

    ext.config(name="scapy-chitchat", version=__version__)
    ext.register(name="chitchat", mode=ext.MODE.CONTRIB, path=Path(__file__).parent / "contrib.py")


_ours: list[Any] = []


def take_off_list() -> None:
    """Take the layers of this package, as far as they are defined by now, off the list of modules."""
    listed: dict[str, list[Any]] = conf.layers.ldict
    for module in [name for name in listed if name.partition(".")[0] == __package__]:
        _ours.extend(layer for layer in listed.pop(module) if "_name" in vars(layer))  # others are not for users


def list_as_contrib() -> None:
    """List them where the extension has them."""
    conf.layers.ldict[CONTRIB] = _ours
