# SPDX-License-Identifier: GPL-2.0-or-later
"""Captures that Scapy's own reader cannot open or misreads, for ``sniff``.

Scapy reads no zstd, xz or lz4, no modified pcap, no simple packet blocks, and takes the interfaces of a pcapng file's
first section for those of all. The socket here gives it the frames that ``read_messages`` sees.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from scapy.config import conf
from scapy.packet import Packet, Raw
from scapy.supersocket import SuperSocket
from scapy.utils import EDecimal

from scapy_chitchat.capture import CaptureFile, Source


class CaptureSocket(SuperSocket):  # type: ignore[misc,no-any-unimported,unused-ignore]
    """The frames of one capture as packets.

        sniff(opened_socket=CaptureSocket("capture.pcapng.zst"), session=ChitchatSession)

    Raises CaptureError where the capture cannot be opened. ``sniff`` takes one that is cut off or damaged to its last
    whole frame, and logs why.
    """

    desc = "frames of a capture file"
    nonblocking_socket = True

    def __init__(self, source: Source) -> None:
        self._capture = CaptureFile(source)
        self._frames = iter(self._capture)

    @staticmethod
    def select(sockets: list[SuperSocket], remain: float | None = None) -> list[SuperSocket]:
        """Always ready: what is read is there already, or worth waiting for."""
        return sockets

    def recv(self, x: int | None = None, **kwargs: Any) -> Packet | None:
        """The next frame; EOFError behind the last."""
        frame = next(self._frames, None)
        if frame is None:
            raise EOFError
        packet = conf.l2types.num2layer.get(frame.linktype, Raw)(frame.data)
        packet.time = EDecimal(Decimal(frame.time).scaleb(-frame.decimals))
        packet.wirelen = frame.length
        return packet

    def close(self) -> None:
        """Close the file, if it was opened here."""
        self._capture.close()
