# SPDX-License-Identifier: GPL-2.0-or-later
"""This package as a Scapy extension, and its layers' place in Scapy's own lists.

    conf.exts.load("scapy-chitchat")
    load_contrib("chitchat")            # or: from scapy.contrib.chitchat import *

The layers were taken off Scapy's list of modules (see described/listing.py), and are listed under
``scapy.contrib.chitchat`` once it is loaded: the name by which the extension makes contrib.py known. There they are the
same classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scapy.config import conf

from scapy_chitchat.described.listing import TAKEN_OFF

CONTRIB = "scapy.contrib.chitchat"


def register(ext: Any) -> None:
    """Tell Scapy of what is here; what the ``scapy_ext`` of an extension does."""
    from scapy_chitchat import __version__

    ext.config(name="scapy-chitchat", version=__version__)
    ext.register(name="chitchat", mode=ext.MODE.CONTRIB, path=Path(__file__).parent / "contrib.py")


def list_as_contrib() -> None:
    """List them where the extension has them."""
    conf.layers.ldict[CONTRIB] = TAKEN_OFF
