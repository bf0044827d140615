# SPDX-License-Identifier: GPL-2.0-or-later
# scapy.contrib.description = chitchat gossip (Quickwit's cluster membership)
# scapy.contrib.status = loads
"""chitchat gossip (Quickwit's cluster membership).

What Scapy knows as ``scapy.contrib.chitchat``. Scapy runs this file a second time under that name, so no layer is
defined here: everything is taken from where it is.
"""

import scapy_chitchat
from scapy_chitchat.integration.extension import list_as_contrib

__all__ = list(scapy_chitchat.__all__)

globals().update({name: getattr(scapy_chitchat, name) for name in __all__})
list_as_contrib()
