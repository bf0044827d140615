# SPDX-License-Identifier: GPL-2.0-or-later
"""Dissect, build and judge chitchat gossip.

``from scapy_chitchat import *`` gives the Scapy layers, bound to their UDP ports, and the functions for plain records.
Names are imported when they are first used, so that a command starts quickly.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scapy.config import ScapyExt

    from scapy_chitchat.capture import CaptureError as CaptureError
    from scapy_chitchat.capture import read_messages as read_messages
    from scapy_chitchat.cluster import Cluster as Cluster
    from scapy_chitchat.described.conditions import ABSENT as ABSENT
    from scapy_chitchat.described.malformed import Malformed as Malformed
    from scapy_chitchat.described.unbuildable import UnbuildableError as UnbuildableError
    from scapy_chitchat.integration.answering import ChitchatNode_am as ChitchatNode_am
    from scapy_chitchat.integration.answering import GossipSocket as GossipSocket
    from scapy_chitchat.integration.session import ChitchatSession as ChitchatSession
    from scapy_chitchat.node.members import Member as Member
    from scapy_chitchat.node.members import Membership as Membership
    from scapy_chitchat.node.probe import ProbeError as ProbeError
    from scapy_chitchat.node.probe import probe as probe
    from scapy_chitchat.records.checks import Finding as Finding
    from scapy_chitchat.records.checks import findings as findings
    from scapy_chitchat.records.classes import Message as Message
    from scapy_chitchat.records.codec import DecodeError as DecodeError
    from scapy_chitchat.records.codec import decode as decode
    from scapy_chitchat.records.codec import encode as encode
    from scapy_chitchat.wire.binding import bind as bind
    from scapy_chitchat.wire.layers import Block as Block
    from scapy_chitchat.wire.layers import Chitchat as Chitchat
    from scapy_chitchat.wire.layers import ChitchatAck as ChitchatAck
    from scapy_chitchat.wire.layers import ChitchatBadCluster as ChitchatBadCluster
    from scapy_chitchat.wire.layers import ChitchatSyn as ChitchatSyn
    from scapy_chitchat.wire.layers import ChitchatSynAck as ChitchatSynAck
    from scapy_chitchat.wire.layers import KeyValueOp as KeyValueOp
    from scapy_chitchat.wire.layers import NodeDigest as NodeDigest
    from scapy_chitchat.wire.layers import NodeOp as NodeOp
    from scapy_chitchat.wire.layers import SetMaxVersionOp as SetMaxVersionOp

__version__ = "0.1.0"

_HOMES = {
    "capture": ("CaptureError", "read_messages"),
    "cluster": ("Cluster",),
    "described.conditions": ("ABSENT",),
    "described.malformed": ("Malformed",),
    "described.unbuildable": ("UnbuildableError",),
    "integration.answering": ("ChitchatNode_am", "GossipSocket"),
    "integration.session": ("ChitchatSession",),
    "node.members": ("Member", "Membership"),
    "node.probe": ("ProbeError", "probe"),
    "records.checks": ("Finding", "findings"),
    "records.classes": ("Message",),
    "records.codec": ("DecodeError", "decode", "encode"),
    "wire.binding": ("bind",),
    "wire.layers": (
        "Block",
        "Chitchat",
        "ChitchatAck",
        "ChitchatBadCluster",
        "ChitchatSyn",
        "ChitchatSynAck",
        "KeyValueOp",
        "NodeDigest",
        "NodeOp",
        "SetMaxVersionOp",
    ),
}

__all__ = sorted(name for names in _HOMES.values() for name in names)


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            import_module(f"{__name__}.wire.binding")  # who uses any of them finds the layers bound
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(name)


def scapy_ext(ext: ScapyExt) -> None:
    """Make this known to Scapy as an extension: what ``conf.exts.load("scapy-chitchat")`` calls."""
    from scapy_chitchat.integration.extension import register

    register(ext)
