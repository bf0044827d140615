# SPDX-License-Identifier: GPL-2.0-or-later
"""What may be lost on the way, and what must not be: fragments, files in parts, duplicates, sealed messages."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from scapy.layers.inet import IP, UDP, fragment
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import CookedLinuxV2
from scapy.packet import Packet, Raw

from scapy_chitchat import Chitchat, ChitchatAck, ChitchatSyn, ChitchatSynAck, NodeDigest, read_messages
from scapy_chitchat.capture import CaptureError, CaptureFile, Counters, expand, notes
from scapy_chitchat.capture.frame import Frame
from scapy_chitchat.capture.frames import Source, in_time
from scapy_chitchat.capture.reassembly import MOST_REMEMBERED, MOST_WAITING_BYTES, Reassembler
from scapy_chitchat.capture.writing import CaptureWriter
from scapy_chitchat.net.addresses import address_text
from tests.support import PCAPS
from tests.support.wrapped import FRAME4, IP4, SYN

LARGE = bytes(Chitchat() / ChitchatSyn(cluster_id="c", digest=[NodeDigest(node_id=f"n{i:04}") for i in range(300)]))
START = 1_700_000_000


def capture(frames: list[tuple[float, bytes]], linktype: int = 101) -> bytes:
    """A pcap file of frames with their seconds after START."""
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, linktype)
    for seconds, frame in frames:
        moment = round((START + seconds) * 10**6)
        out += struct.pack("<IIII", moment // 10**6, moment % 10**6, len(frame), len(frame)) + frame
    return out


def pieces(ident: int = 7, payload: bytes = LARGE) -> list[bytes]:
    packet = IP(src="10.0.0.1", dst="10.0.0.2", id=ident) / UDP(sport=7280, dport=7281) / Raw(payload)
    return list(map(bytes, fragment(packet, 1400)))  # type: ignore[no-untyped-call]


def read(data: bytes, **options: object) -> tuple[list[bytes], Counters]:
    counters = Counters()
    found = read_messages(io.BytesIO(data), counters=counters, **options)  # type: ignore[arg-type]
    return [each.data for each in found], counters


# --- fragments ---


def test_a_frame_with_a_time_far_ahead_throws_nothing_away() -> None:
    first, *rest = pieces()
    ahead = (100.0, IP4)
    found, counters = read(capture([(0, first), ahead, *((0.001, each) for each in rest)]))
    assert (found, counters.incomplete) == ([SYN, LARGE], 0)
    late = [(0, first), (100.0, rest[0]), *((0.001, each) for each in rest[1:])]
    assert read(capture(late))[0] == [LARGE]


def test_a_fragment_that_comes_twice_at_the_end_is_no_loss() -> None:
    doubled = [(0.0, each) for each in pieces() for _ in range(2)]
    found, counters = read(capture(doubled))
    assert (found, counters.incomplete) == ([LARGE], 0)


def test_a_datagram_with_the_number_of_an_old_one_is_not_mixed_with_it() -> None:
    other = LARGE[:-1] + b"\x07"
    old, new = pieces(), pieces(payload=other)
    found, counters = read(capture([(0, old[0]), *((60, each) for each in new)]))
    assert (found, counters.incomplete) == ([other], 1)


@pytest.mark.long
def test_what_waits_is_bounded_with_what_it_costs() -> None:
    counters = Counters()
    waiting = Reassembler(counters)
    tracemalloc.start()
    try:
        for key in range(600):
            for offset in range(0, 8 * 500, 8):
                waiting.add((key,), 0.0, 0.0, (offset, True, 8, bytes(8), ()))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert counters.incomplete > 0
    assert most < 1.5 * MOST_WAITING_BYTES


# --- files in parts ---


@pytest.mark.parametrize("name", ["v0-three-nodes.pcap", "v0-large-fragmented.pcap.gz"])
def test_captures_of_several_hosts_are_read_by_the_times_of_their_frames(tmp_path: Path, name: str) -> None:
    """A real capture, each frame in one of three files as if by chance, and in each file a ring's next behind half."""
    with CaptureFile(PCAPS / name) as opened:
        frames = list(opened)
    half = len(frames) // 2
    parts: dict[str, list[Frame]] = {}
    for place, frame in enumerate(frames):
        parts.setdefault(f"{zlib.crc32(frame.data) % 3} {place > half}.pcapng", []).append(frame)
    for file, inside in parts.items():
        with CaptureWriter(tmp_path / file) as writer:
            for frame in inside:
                writer.frame(frame)
    files = expand([str(tmp_path)])
    assert len(files) == 6
    whole = [(each.time_text, each.data) for each in read_messages(PCAPS / name)]
    assert [(each.time_text, each.data) for each in read_messages(files)] == whole
    assert [(each.time_text, each.data) for each in read_messages(files, as_given=True)] != whole


def test_of_files_that_follow_each_other_one_is_open_at_a_time(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number:02}.pcap").write_bytes(capture([(number, b"a"), (number + 0.5, b"b")]))
    now: list[str] = []
    most = 0

    def read(source: Source) -> Iterator[Frame]:
        now.append(str(source))
        with CaptureFile(source) as opened:
            yield from opened
        now.remove(str(source))

    for _ in in_time(reversed(expand([str(tmp_path)])), read):
        most = max(most, len(now))
    assert (most, now) == (1, [])


def test_a_datagram_that_begins_in_one_file_and_ends_in_the_next_is_whole(tmp_path: Path) -> None:
    parts = pieces()
    (tmp_path / "a.pcap").write_bytes(capture([(1.0, each) for each in parts[4:]]))
    (tmp_path / "b.pcap").write_bytes(capture([(0.0, each) for each in parts[:4]]))
    (tmp_path / "notes.txt").write_text("no capture")
    files = expand([str(tmp_path)])
    assert [Path(each).name for each in files] == ["a.pcap", "b.pcap"]
    assert [(each.data, each.time_text) for each in read_messages(files)] == [(LARGE, f"{START + 1}.000000")]
    assert [each.time_text for each in read_messages(files, as_given=True)] == [f"{START}.000000"]
    assert expand([str(tmp_path / "*.pcap")]) == files


@pytest.mark.parametrize(("name", "said"), [("", "no captures in this folder"), ("*.pcap", "no file matches")])
def test_a_name_that_stands_for_nothing_is_refused(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(CaptureError, match=said):
        expand([str(tmp_path / name)])


# --- packed captures ---

PACKINGS: list[Callable[[bytes], bytes]] = [gzip.compress, zstandard.compress, lzma.compress, lz4.frame.compress]


@pytest.mark.parametrize("pack", PACKINGS, ids=["gzip", "zstd", "xz", "lz4"])
def test_packed_captures_are_known_by_their_content(pack: Callable[[bytes], bytes]) -> None:
    data = capture([(0, bytes(FRAME4))] * 5000, linktype=1)
    assert len(read(pack(data))[0]) == 5000
    assert len(read(pack(data[:1000]) + pack(data[1000:]))[0]) == 5000, "several streams are one"
    with pytest.raises(CaptureError, match="is cut off"):
        read(pack(data)[:-20])


@pytest.mark.long
@pytest.mark.parametrize("pack", PACKINGS, ids=["gzip", "zstd", "xz", "lz4"])
def test_what_is_unpacked_is_bounded_by_what_is_asked_for(pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(capture([(0, IP4)]) + struct.pack("<IIII", 0, 0, 120 << 20, 120 << 20) + bytes(100 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(CaptureError, match="behind frame 1"):
            read(bomb)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 40 << 20


# --- pcapng ---


def block(kind: int, body: bytes) -> bytes:
    padded = body + bytes(-len(body) % 4)
    size = struct.pack("<I", len(padded) + 12)
    return struct.pack("<I", kind) + size + padded + size


@pytest.mark.parametrize(
    ("kind", "counts"),
    [(9, True), (0x204, True), (0xBAD, True), (0x40000BAD, True), (4, False), (5, False), (10, False), (0x7777, False)],
)
def test_frames_are_numbered_as_wireshark_numbers_them(kind: int, counts: bool) -> None:
    """Measured with tshark 4.0 and 4.4: some blocks that are no packets are frames to it."""
    packet = block(6, struct.pack("<IIIII", 0, 0, 1000, len(FRAME4), len(FRAME4)) + bytes(FRAME4))
    start = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(1, struct.pack("<HHI", 1, 0, 0))
    data = io.BytesIO(start + packet + block(kind, bytes(32)) + packet)
    assert [each.number for each in CaptureFile(data)] == [1, 3 if counts else 2]


# --- duplicates ---

SYN_ACK = bytes(Chitchat() / ChitchatSynAck(digest=[NodeDigest(node_id="a", heartbeat=3)]))
ACK = bytes(Chitchat() / ChitchatAck())


def packet6(data: bytes) -> Packet:
    return IPv6(src="fd00::1", dst="fd00::2") / UDP(sport=7280, dport=7280) / Raw(data)


def cooked(packet: Packet, direction: int) -> bytes:
    return bytes(CookedLinuxV2(proto=0x86DD, pkttype=direction) / packet)


def test_what_may_be_two_messages_is_kept() -> None:
    frames = [(0.0, bytes(packet6(each))) for each in (SYN, SYN, ACK, ACK)]
    found, counters = read(capture(frames), drop_duplicates=True)
    assert (found, counters.duplicates) == ([SYN, SYN, ACK, ACK], 0)


def test_equal_syn_acks_prove_a_doubled_capture_and_link_headers_tell_the_pairs() -> None:
    seen = [cooked(packet6(each), way) for each in (SYN_ACK, SYN, SYN, ACK) for way in (4, 0)]
    found, counters = read(capture([(0.0, each) for each in seen], 276), drop_duplicates=True)
    assert (found, counters.duplicates) == ([SYN_ACK, SYN, SYN, ACK], 4)
    assert list(notes(counters)) == ["4 messages captured twice, and dropped once each"]


def test_where_nothing_else_tells_the_pairs_the_distance_does() -> None:
    frames = [bytes(packet6(each)) for each in (SYN_ACK, SYN, SYN, ACK) for _ in range(2)]
    found, _ = read(capture([(index // 2 * 0.001, each) for index, each in enumerate(frames)]), drop_duplicates=True)
    assert found == [SYN_ACK, SYN, SYN, ACK]


def test_a_packet_seen_inside_and_outside_of_a_tunnel_is_one() -> None:
    inside = packet6(SYN)
    outside = IP(src="10.0.0.1", dst="10.0.0.2") / inside
    found, counters = read(capture([(0.0, bytes(outside)), (0.001, bytes(inside))]), drop_duplicates=True)
    assert (found, counters.duplicates) == ([SYN], 1)


# --- sealed and signed messages, other datagrams ---


def sealed(port: int, data: bytes) -> bytes:
    return bytes(IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=port, dport=port) / Raw(data))


def test_a_signature_before_the_message_is_told_of_and_can_be_skipped() -> None:
    data = capture([(0, sealed(7280, b"\xaa" * 64 + SYN))])
    found, counters = read(data)
    assert found == []
    assert list(notes(counters)) == [
        "1 datagram on chitchat's port that is no message: a message's header stands behind 64 bytes, "
        "so try --skip-bytes 64"
    ]
    assert read(data, skip_bytes=64)[0] == [SYN]


def test_sealed_messages_are_opened_by_who_can() -> None:
    frames = [(0.0, sealed(7280, bytes(each ^ 0x55 for each in SYN))), (0.0, sealed(7280, b"\xff"))]

    def unwrap(data: bytes) -> bytes | None:
        return None if data == b"\xff" else bytes(each ^ 0x55 for each in data)

    found, counters = read(capture(frames), unwrap=unwrap)
    assert (found, counters.other) == ([SYN], 1)


@pytest.mark.parametrize(("port", "said"), [(7280, 1), (7282, 1), (10000, 0), (9999, 0)])
def test_foreign_datagrams_are_spoken_of_where_gossip_alone_is_at_home(port: int, said: int) -> None:
    _, counters = read(capture([(0, sealed(port, b"\xffsomething else"))]))
    assert len(list(notes(counters))) == said


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("00000000000000000000000000030001", "::3:1"),
        ("00000000000000000000000000000001", "::1"),
        ("00000000000000000000000000000000", "::"),
        ("00000000000000000000ffff0a000001", "::ffff:10.0.0.1"),
        ("20010db8000000010001000100010001", "2001:db8:0:1:1:1:1:1"),
        ("fd000000000000000000000000000001", "fd00::1"),
    ],
)
def test_addresses_are_spelt_as_nodes_do(raw: str, text: str) -> None:
    assert address_text(bytes.fromhex(raw)) == text


@pytest.mark.parametrize("others", [MOST_REMEMBERED - 1, MOST_REMEMBERED])
def test_so_many_packets_are_known_when_their_fragments_come_again(others: int) -> None:
    counters = Counters()
    waiting = Reassembler(counters)
    halves = ((0, True, 8, b"one half", ()), (8, False, 9, b"the other", ()))
    for key in range(others + 1):
        for piece in halves:
            waiting.add(key, 0.0, 0.0, piece)
    assert counters.reassembled == others + 1
    waiting.add(0, 0.0, 0.0, halves[1])
    waiting.finish()
    assert counters.incomplete == (others == MOST_REMEMBERED)
