# SPDX-License-Identifier: GPL-2.0-or-later
"""From capture bytes to messages: formats, link layers, fragments, damage."""

from __future__ import annotations

import gzip
import io
import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP, IPOption_Router_Alert, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, fragment6
from scapy.layers.l2 import CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Ether, Loopback
from scapy.layers.ppp import PPP
from scapy.packet import Packet, Raw
from scapy.utils import PcapNgWriter, PcapWriter

from scapy_chitchat import Chitchat, ChitchatAck, ChitchatSyn, KeyValueOp, NodeDigest, NodeOp, read_messages
from scapy_chitchat.capture import CaptureError, Counters, reassembly
from scapy_chitchat.capture.reassembly import FRAGMENT_TIMEOUT, PACKET_COST, PIECE_COST
from tests.support import PCAPS

SYN = bytes(Chitchat() / ChitchatSyn(cluster_id="c", digest=[NodeDigest(node_id="a")]))
LARGE = bytes(Chitchat() / ChitchatSyn(cluster_id="c", digest=[NodeDigest(node_id=f"n{i:04}") for i in range(300)]))


def pcap(
    frames: list[bytes], linktype: int, *, nano: bool = False, start: int = 1_700_000_000, step: float = 0
) -> bytes:
    """A classic capture of these frames."""
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    out = struct.pack("<IHHiIII", magic, 2, 4, 0, 0, 262144, linktype)
    for index, frame in enumerate(frames):
        out += struct.pack("<IIII", start + int(index * step), 123456, len(frame), len(frame)) + frame
    return out


def messages(data: bytes, **options: object) -> list[bytes]:
    return [each.data for each in read_messages(io.BytesIO(data), **options)]  # type: ignore[arg-type]


def datagram(payload: bytes = SYN, sport: int = 7280, dport: int = 7281) -> Packet:
    return IP(src="10.0.0.1", dst="10.0.0.2", id=7) / UDP(sport=sport, dport=dport) / Raw(payload)


def datagram6(payload: bytes = SYN) -> Packet:
    return IPv6(src="fd00::1", dst="fd00::2") / UDP(sport=7280, dport=7281) / Raw(payload)


@pytest.mark.parametrize(
    ("linktype", "frame"),
    [
        pytest.param(1, Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / datagram(), id="Ethernet"),
        pytest.param(1, Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / datagram6(), id="Ethernet, IPv6"),
        pytest.param(1, Ether() / Dot1Q(vlan=5) / datagram(), id="VLAN"),
        pytest.param(1, Ether() / Dot1AD(vlan=5) / Dot1Q(vlan=6) / datagram(), id="QinQ"),
        pytest.param(113, CookedLinux(proto=0x0800) / datagram(), id="Linux cooked v1"),
        pytest.param(276, CookedLinuxV2(proto=0x86DD) / datagram6(), id="Linux cooked v2"),
        pytest.param(101, datagram(), id="raw IP"),
        pytest.param(228, datagram(), id="raw IPv4"),
        pytest.param(229, datagram6(), id="raw IPv6"),
        pytest.param(0, Loopback(type=2) / datagram(), id="BSD loopback"),
        pytest.param(0, Loopback(type=30) / datagram6(), id="BSD loopback, IPv6"),
        pytest.param(108, b"\0\0\0\2" + bytes(datagram()), id="OpenBSD loopback"),
        pytest.param(9, PPP(b"\x00\x21" + bytes(datagram())), id="PPP"),
    ],
)
def test_link_layers_are_looked_through(linktype: int, frame: Packet | bytes) -> None:
    assert messages(pcap([bytes(frame)], linktype)) == [SYN]


def test_an_unknown_link_type_is_counted_and_gives_nothing() -> None:
    counters = Counters()
    assert messages(pcap([bytes(datagram())], 65000), counters=counters) == []
    assert counters.unreadable_links == {65000}


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(
            IP(src="10.0.0.1", dst="10.0.0.2", options=[IPOption_Router_Alert()]) / UDP(sport=1, dport=2) / Raw(SYN),
            id="IPv4 options",
        ),
        pytest.param(
            IPv6() / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / UDP(sport=1, dport=2) / Raw(SYN),
            id="IPv6 extension headers",
        ),
        pytest.param(IPv6() / IPv6ExtHdrFragment() / UDP(sport=1, dport=2) / Raw(SYN), id="IPv6 atomic fragment"),
    ],
)
def test_ip_headers_are_looked_through(packet: Packet) -> None:
    assert messages(pcap([bytes(packet)], 101)) == [SYN]


def fragments_of(packet: Packet) -> list[bytes]:
    return list(map(bytes, fragment(packet, 1400)))  # type: ignore[no-untyped-call]


def fragments6_of(payload: bytes) -> list[bytes]:
    whole = IPv6(src="fd00::1", dst="fd00::2") / IPv6ExtHdrFragment(id=9) / UDP(sport=1, dport=2) / Raw(payload)
    return list(map(bytes, fragment6(whole, 1400)))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("seed", range(8))
def test_fragments_are_put_together_in_any_order_with_duplicates(version: int, seed: int) -> None:
    pieces = fragments_of(datagram(LARGE)) if version == 4 else fragments6_of(LARGE)
    assert len(pieces) > 8
    shuffled = pieces + random.Random(seed).sample(pieces, 5)
    random.Random(seed).shuffle(shuffled)
    counters = Counters()
    found = messages(pcap(shuffled, 101), counters=counters)
    assert found.count(LARGE) == len(found) >= 1
    assert counters.fragments == len(shuffled)


def test_the_frame_of_a_fragmented_message_is_the_one_that_completed_it() -> None:
    pieces = fragments_of(datagram(LARGE))
    data = pcap([*pieces[1:], bytes(datagram()), pieces[0]], 101)
    frames = {each.data: each.frame for each in read_messages(io.BytesIO(data))}
    assert frames == {SYN: len(pieces), LARGE: len(pieces) + 1}


def test_the_first_of_overlapping_fragments_wins() -> None:
    payload = bytes(UDP(sport=1, dport=2) / Raw(LARGE[:1600]))
    first, second = payload[:800], payload[800:]
    liar = b"X" * 400 + second  # covers the end of the first fragment again, and all that follows
    head = IP(src="10.0.0.1", dst="10.0.0.2", id=3, proto=17)
    frames = [bytes(head.copy() / Raw(first)), bytes(head.copy() / Raw(second)), bytes(head.copy() / Raw(liar))]
    for index, (offset, more) in enumerate([(0, 1), (100, 0), (50, 0)]):
        packet = IP(frames[index])
        packet.frag, packet.flags, packet.chksum = offset, more, None
        frames[index] = bytes(packet)
    assert messages(pcap([frames[0], frames[2]], 101)) == [LARGE[:1600]]
    assert messages(pcap([frames[0], frames[1]], 101)) == [LARGE[:1600]]


@pytest.mark.parametrize("version", [4, 6])
def test_fragments_wait_as_long_as_in_linux_and_no_longer(version: int) -> None:
    *first, last = fragments_of(datagram(LARGE)) if version == 4 else fragments6_of(LARGE)
    start = 1_700_000_000
    for seconds, found in ((FRAGMENT_TIMEOUT, [LARGE]), (FRAGMENT_TIMEOUT + 1, [])):
        counters = Counters()
        data = pcap(first, 101, start=start) + pcap([last], 101, start=start + seconds)[24:]
        assert messages(data, counters=counters) == found, f"the last fragment comes after {seconds} seconds"
        assert counters.reassembled == len(found)
        assert counters.incomplete == (0 if found else 2), "what came first, and the late one, which stays alone"


def test_a_late_fragment_does_not_wait_for_another_datagrams_of_the_same_number() -> None:
    old, new = fragments_of(datagram(LARGE)), fragments_of(datagram(LARGE[::-1]))
    data = pcap(old[:3], 101, start=1000) + pcap(new, 101, start=1000 + FRAGMENT_TIMEOUT + 1)[24:]
    counters = Counters()
    assert messages(data, ports=[7280], counters=counters) == [LARGE[::-1]]
    assert counters.incomplete == 1


def numbered(piece: bytes, ident: int) -> bytes:
    """A fragment as if it were of another datagram."""
    return piece[:4] + struct.pack(">H", ident) + piece[6:]


@pytest.mark.parametrize(
    ("bound", "ident", "found"),
    [
        ("number", 0, []),
        ("number", 1, []),
        ("number", 3, [LARGE]),
        ("number", 11, [LARGE]),
        ("bytes", 0, []),
        ("bytes", 3, []),  # what comes of it takes the room of others, and then its own
        ("bytes", 11, [LARGE]),
    ],
)
def test_waiting_fragments_are_bounded(
    monkeypatch: pytest.MonkeyPatch, bound: str, ident: int, found: list[bytes]
) -> None:
    """Of twelve datagrams that wait, no more than ten are kept, the latest."""
    first, *rest = fragments_of(datagram(LARGE))
    if bound == "number":
        monkeypatch.setattr(reassembly, "MOST_WAITING", 10)
    else:
        monkeypatch.setattr(reassembly, "MOST_WAITING_BYTES", 10 * (len(first) - 20 + PACKET_COST + PIECE_COST))
    frames = [numbered(first, number) for number in range(12)]
    counters = Counters()
    whole = pcap([*frames, *(numbered(piece, ident) for piece in rest)], 101)
    assert messages(whole, counters=counters) == found
    assert counters.reassembled == len(found)
    assert counters.incomplete == 12 - len(found) + (not found), "all are accounted for"


def test_a_message_cut_by_the_snap_length_is_said_to_be_cut() -> None:
    frame = bytes(datagram(LARGE))[:300]
    data = pcap([], 101) + struct.pack("<IIII", 1, 2, len(frame), len(bytes(datagram(LARGE)))) + frame
    (found,) = read_messages(io.BytesIO(data))
    assert [each.code for each in found.findings] == ["cut"]
    assert (found.message, found.error) == (None, None), "nobody can tell what a node would say"
    assert found.values()["type"] == "Syn"
    assert found.values()["digest"], "the entries before the cut are shown"
    assert b'"type":"Syn"' in found.as_json()
    assert repr(found) == "<CapturedMessage Syn V0, 10.0.0.1:7280 > 10.0.0.2:7281, 272 bytes, frame 1, cut>"


@pytest.mark.parametrize("kept", [0, 2, 3, 4, 5, 30])
def test_what_a_cut_took_away_is_no_error(kept: int) -> None:
    """Header, type, lengths, strings: whatever the capture lacks, a node had it."""
    whole = bytes(datagram(SYN))
    frame = whole[: 28 + kept]
    data = pcap([], 101) + struct.pack("<IIII", 1, 2, len(frame), len(whole)) + frame
    (found,) = read_messages(io.BytesIO(data), ports=[7280])
    assert [(each.code, each.severity) for each in found.findings] == [("cut", "warning")]
    assert (found.message, found.error) == (None, None)


def test_what_a_cut_left_may_still_be_wrong() -> None:
    whole = bytes(datagram(b"\x53\xb1" + SYN[2:]))
    data = pcap([], 101) + struct.pack("<IIII", 1, 2, 40, len(whole)) + whole[:40]
    (found,) = read_messages(io.BytesIO(data), ports=[7280])
    assert [each.code for each in found.findings] == ["cut", "bad-magic"]
    assert repr(found).startswith("<CapturedMessage no message, ")
    assert repr(found).endswith(" 12 bytes, frame 1, refused: bad-magic>")


def test_our_own_limit_is_not_said_to_be_a_nodes_refusal() -> None:
    delta = [NodeOp(node_id="n"), *(KeyValueOp(key="k", value="v" * 60000, version=i + 1) for i in range(5))]
    data = pcap([bytes(datagram(bytes(Chitchat() / ChitchatAck(delta=delta))))], 101)
    (found,) = read_messages(io.BytesIO(data), limit=100_000)
    assert (found.message, found.error) == (None, None)
    assert [each.code for each in found.findings] == ["stream-limit"]
    assert b'"error"' not in found.as_json()


def test_formats_compressions_and_resolutions(tmp_path: Path) -> None:
    frame = datagram()
    frame.time = 1700000000.123456
    PcapNgWriter(str(tmp_path / "a.pcapng")).write(frame)
    PcapWriter(str(tmp_path / "b.pcap"), linktype=101, nano=True).write(frame)
    (tmp_path / "c.pcap.gz").write_bytes(gzip.compress(pcap([bytes(frame)], 101)))
    found = [(each.data, each.time_text[:17]) for each in read_messages(sorted(tmp_path.iterdir()))]
    assert found == [(SYN, "1700000000.123456")] * 3
    nano = next(iter(read_messages(tmp_path / "b.pcap")))
    assert len(nano.time_text.partition(".")[2]) == 9


@pytest.mark.parametrize("keep", [1, 8, 15, 17, 40])
def test_a_capture_cut_off_gives_what_came_before_and_then_says_so(keep: int) -> None:
    data = pcap([bytes(datagram())] * 3, 101)
    record = 16 + len(bytes(datagram()))
    found = read_messages(io.BytesIO(data[: 24 + 2 * record + keep]))
    assert [next(found).data, next(found).data] == [SYN, SYN]
    with pytest.raises(CaptureError, match="cut off behind frame 2"):
        next(found)


def test_a_cut_gzip_file_says_so(tmp_path: Path) -> None:
    whole = gzip.compress(pcap([random.Random(i).randbytes(200) for i in range(200)], 101))
    path = tmp_path / "cut.pcap.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CaptureError, match="cut off"):
        list(read_messages(path))


def test_a_cut_pcapng_says_so(tmp_path: Path) -> None:
    path = tmp_path / "cut.pcapng"
    writer = PcapNgWriter(str(path))
    for _ in range(3):
        writer.write(datagram())
    writer.close()
    path.write_bytes(path.read_bytes()[:-10])
    found = read_messages(path)
    assert [next(found).data, next(found).data] == [SYN, SYN]
    with pytest.raises(CaptureError, match="behind frame 2"):
        next(found)


@pytest.mark.parametrize("content", [b"", b"\xd4", b"GIF89a" * 10, b"\x1f\x8bnot gzip", b"\xd4\xc3\xb2\xa1"])
def test_what_is_no_capture_is_refused_with_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "strange"
    path.write_bytes(content)
    with pytest.raises(CaptureError, match="strange: no pcap or pcapng capture"):
        list(read_messages(path))


def test_a_missing_file_is_refused_with_its_name() -> None:
    with pytest.raises(CaptureError, match=r"nowhere\.pcap: No such file"):
        list(read_messages("nowhere.pcap"))


def test_messages_are_known_by_their_header_on_any_port_and_by_the_port_where_it_is_named() -> None:
    frames = [bytes(datagram(sport=1234, dport=4321)), bytes(datagram(b"something else", 1234, 4321))]
    assert messages(pcap(frames, 101)) == [SYN]
    assert messages(pcap(frames, 101), ports=[4321]) == [SYN, b"something else"]
    assert messages(pcap(frames, 101), ports=[7280]) == []


def test_the_same_packet_captured_twice_is_dropped_on_request() -> None:
    first = datagram()
    routed: Packet = first.copy()
    routed.ttl = 3
    frames = [bytes(CookedLinuxV2(proto=0x0800) / each) for each in (first, routed, datagram(LARGE[:900]))]
    assert len(messages(pcap(frames, 276))) == 3
    counters = Counters()
    assert len(messages(pcap(frames, 276), drop_duplicates=True, counters=counters)) == 2
    assert counters.duplicates == 1


def test_garbage_frames_never_raise() -> None:
    chooser = random.Random(4)
    frames = [bytes(Ether() / datagram()) for _ in range(200)]
    for linktype in (0, 1, 101, 108, 113, 228, 276):
        broken = []
        for frame in frames:
            data = bytearray(frame[: chooser.randrange(len(frame) + 1)])
            for _ in range(chooser.randrange(6)):
                if data:
                    data[chooser.randrange(len(data))] = chooser.randrange(256)
            broken.append(bytes(data))
        for _ in read_messages(io.BytesIO(pcap(broken, linktype))):
            pass


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
@pytest.mark.parametrize("name", ["v0-large-fragmented.pcap.gz", "v0-ipv6.pcap", "v0-bad-cluster.pcap"])
def test_datagrams_are_those_that_wireshark_puts_together(name: str) -> None:
    command = ["tshark", "-r", str(PCAPS / name), "-Y", "udp", "-T", "fields"]
    fields = ["-e", "frame.number", "-e", "udp.srcport", "-e", "udp.dstport", "-e", "udp.payload"]
    lines = subprocess.run([*command, *fields], capture_output=True, text=True, check=True).stdout.splitlines()
    ours = [
        f"{each.frame}\t{each.datagram.source_port}\t{each.datagram.destination_port}\t{each.data.hex()}"
        for each in read_messages(PCAPS / name)
    ]
    assert ours == lines
