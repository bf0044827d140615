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
from typing import TYPE_CHECKING

from scapy.config import conf

from scapy_chitchat.described.listing import TAKEN_OFF

if TYPE_CHECKING:
    from scapy.config import ScapyExt

CONTRIB = "scapy.contrib.chitchat"
"""The name of the module under which Scapy lists the layers."""


def register(ext: ScapyExt) -> None:
    """Tell Scapy of what is here; what the ``scapy_ext`` of an extension does."""
    from scapy_chitchat import __version__

    ext.config(name="scapy-chitchat", version=__version__)  # type: ignore[no-untyped-call]  # Scapy gives it no types
    path = Path(__file__).parent / "contrib.py"
    ext.register(name="chitchat", mode=ext.MODE.CONTRIB, path=path)  # type: ignore[no-untyped-call]


def list_as_contrib() -> None:
    """List them where the extension has them."""
    conf.layers.ldict[CONTRIB] = TAKEN_OFF
