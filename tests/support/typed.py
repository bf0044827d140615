# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages of a known type, for a checker and for the test."""

from __future__ import annotations

from typing import TypeVar

from scapy_chitchat import Message, decode

M = TypeVar("M", bound=Message)


def decoded(kind: type[M], data: bytes, **limits: int) -> M:
    """The message in a datagram, which is of this type."""
    return of_type(kind, decode(data, **limits))


def of_type(kind: type[M], message: Message) -> M:
    """The message, which is of this type."""
    assert isinstance(message, kind)
    return message
