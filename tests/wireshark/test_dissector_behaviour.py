# SPDX-License-Identifier: GPL-2.0-or-later
"""What makes the dissector a good citizen: preferences, heuristic, Decode As, Info, responses, data sources."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.packet import Packet, Raw
from scapy.utils import wrpcap

from scapy_chitchat import (
    Block,
    Chitchat,
    ChitchatAck,
    ChitchatBadCluster,
    ChitchatSyn,
    ChitchatSynAck,
    KeyValueOp,
    NodeDigest,
    NodeOp,
)
from tests.support import PCAPS
from tests.support.tsharks import EVERY_DATAGRAM, Tshark, every_tshark, write_capture

SYN = bytes(Chitchat() / ChitchatSyn(cluster_id="prod", digest=[NodeDigest(node_id="a")]))


def column(tshark: Tshark, capture: Path, *fields: str, options: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The values of some fields, a tuple a frame."""
    wanted = [word for field in fields for word in ("-e", field)]
    output = tshark.run(capture, "-T", "fields", "-E", "separator=\x1f", *wanted, *options)
    return [tuple(line.split("\x1f")) for line in output.split("\n")[:-1]]


# --- which datagrams ---


@pytest.mark.long
@every_tshark
@pytest.mark.parametrize(
    ("port", "data", "options", "expected"),
    [
        (7280, SYN, (), True),
        (10000, SYN, (), True),
        (7280, b"something else", (), False),
        (10000, b"something else", (), False),
        (7280, b"\x53\xb0\x09", (), True),
        (7280, b"something else", ("-o", "chitchat.ports:7280"), True),
        (7280, b"signed: " + SYN, (), False),
        (7280, b"signed: " + SYN, ("-o", "chitchat.skip_bytes:8"), True),
        (4444, b"signed: " + SYN, ("-o", "chitchat.skip_bytes:8"), True),
        (7280, b"signed: ", ("-o", "chitchat.skip_bytes:8"), False),
        (4444, SYN, (), True),
        (4444, b"\x53\xb0\x02\x00" + bytes(20), (), False),
        (4444, b"\x53\xb0\x00\x04" + bytes(20), (), False),
        (4444, b"\x53\xb0\x00", (), False),
        (4444, SYN, ("--disable-heuristic", "chitchat_udp"), False),
        (4444, b"something else", ("-o", "chitchat.ports:4444"), True),
        (7280, b"something else", ("-o", "chitchat.ports:4444"), False),
        (7280, b"something else", ("-o", "chitchat.ports:"), False),
        (4444, b"something else", ("-d", "udp.port==4444,chitchat"), True),
        (5353, SYN, (), False),
        (5353, SYN, ("-d", "udp.port==5353,chitchat"), True),
    ],
)
def test_which_datagrams_are_taken(
    tshark: Tshark, tmp_path: Path, port: int, data: bytes, options: tuple[str, ...], expected: bool
) -> None:
    capture = write_capture(tmp_path / "one.pcap", [data], port=port)
    ((protocols,),) = column(tshark, capture, "frame.protocols", options=options)
    assert ("chitchat" in protocols.split(":")) == expected


@every_tshark
def test_behind_a_message_the_conversation_is_known(tshark: Tshark, tmp_path: Path) -> None:
    capture = write_capture(tmp_path / "two.pcap", [SYN, b"\x53\xb0\x02\x00"], port=4444)
    assert column(tshark, capture, "chitchat.bad_version")[1] != ("",)


@every_tshark
def test_a_message_quoted_by_an_icmp_error_is_not_called_malformed(tshark: Tshark, tmp_path: Path) -> None:
    entries = [NodeDigest(node_id=f"node-{index:02d}") for index in range(20)]
    sent: Packet = IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=7280, dport=7280)
    sent = sent / Chitchat() / ChitchatSyn(digest=entries, cluster_id="prod")
    error = IP(src="10.0.0.2", dst="10.0.0.1") / ICMP(type=3, code=3) / Raw(bytes(sent)[:548])
    capture = tmp_path / "icmp.pcap"
    wrpcap(str(capture), [sent, error], linktype=101)
    fields = ("chitchat.type", "chitchat.string_short", "chitchat.field_short", "chitchat.cut", "_ws.lua.error")
    assert [row[1:3] for row in column(tshark, capture, *fields)] == [("", ""), ("", "")]
    assert column(tshark, capture, *fields)[1][0] == "0"


# --- the packet list ---


@every_tshark
def test_info_says_what_is_in_a_message(tshark: Tshark, tmp_path: Path) -> None:
    delta = [NodeOp(node_id="a"), *(KeyValueOp(version=version) for version in range(1, 8)), NodeOp(node_id="b")]
    messages = {
        SYN: "Syn V0, cluster=prod, digest=1",
        bytes(Chitchat(version=1) / ChitchatSynAck(digest=[NodeDigest()] * 5, delta=delta)):
            "SynAck V1, digest=5, delta=2 nodes/7 keys",
        bytes(Chitchat(version=1) / ChitchatAck()): "Ack V1, delta=0 nodes/0 keys",
        bytes(Chitchat() / ChitchatBadCluster()): "BadCluster V0",
        SYN[:-1]: "Syn V0, digest=1 [Malformed: string-short]",
        b"nonsense": "Chitchat [Malformed: bad-magic]",
        b"\x53": "Chitchat [Malformed: too-short]",
        bytes(Chitchat() / ChitchatSyn(cluster_id="a\x1b[2J\n\u202eb\\")):
            r"Syn V0, cluster=a\x1b[2J\x0a\xe2\x80\xaeb\, digest=0",
        bytes(Chitchat() / ChitchatSyn(cluster_id="日本")): "Syn V0, cluster=日本, digest=0",
        bytes(Chitchat() / ChitchatSyn(cluster_id="x" * 79 + "日本")): f"Syn V0, cluster={'x' * 79}…, digest=0",
    }  # fmt: skip
    capture = write_capture(tmp_path / "info.pcap", messages)
    name = "_ws.col.Info" if tshark.version() < (4, 4) else "_ws.col.info"
    infos = [info for (info,) in column(tshark, capture, name, options=EVERY_DATAGRAM)]
    assert [info.replace("\\\\", "\\") for info in infos] == list(messages.values())


@every_tshark
def test_names_of_values_can_be_filtered_by(tshark: Tshark) -> None:
    named = tshark.run(PCAPS / "v0-bad-cluster.pcap", "-Y", 'chitchat.type == "BadCluster" && chitchat.version == "V0"')
    assert named == tshark.run(PCAPS / "v0-bad-cluster.pcap", "-Y", "chitchat.type == 3")
    assert named


@every_tshark
def test_a_filter_sees_what_only_a_compressed_block_holds(tshark: Tshark, tmp_path: Path) -> None:
    delta = [NodeOp(node_id="a"), *(KeyValueOp(key=f"key-{index:04d}", version=index + 1) for index in range(2000))]
    message = bytes(Chitchat() / ChitchatAck(delta=delta))
    assert b"key-1999" not in message
    capture = write_capture(tmp_path / "packed.pcap", [message, SYN])
    for condition in (
        'chitchat.key_value_op.key == "key-1999"',
        "chitchat.key_value_op",
        "chitchat.node_op.ip == 127.0.0.1",
    ):
        assert len(tshark.run(capture, "-Y", condition).splitlines()) == 1, condition


@every_tshark
def test_what_a_stream_holds_is_a_data_source_of_its_own(tshark: Tshark, tmp_path: Path) -> None:
    delta = [NodeOp(node_id="a"), KeyValueOp(key="straddling", value="v" * 20000), KeyValueOp(key="end", version=2)]
    capture = write_capture(tmp_path / "packed.pcap", [bytes(Chitchat() / ChitchatAck(delta=delta))])
    assert "\nDecompressed delta (" in tshark.run(capture, "-V", "-x")
    assert column(tshark, capture, "chitchat.key_value_op.value_len") == [("20000,0",)]


# --- requests and answers ---


def conversation(path: Path) -> Path:
    """Between A and B: Syn, Syn, SynAck, Ack, BadCluster; from C: a SynAck that nothing asked for."""
    syn_ack, ack = bytes(Chitchat() / ChitchatSynAck()), bytes(Chitchat() / ChitchatAck())
    sent = [
        (1, 2, 0, SYN), (1, 2, 1, SYN), (2, 1, 3_000_001, syn_ack), (1, 2, 4_000_000, ack),
        (2, 1, 1_000_000_000, bytes(Chitchat() / ChitchatBadCluster())), (3, 1, 1_000_000_001, syn_ack),
    ]  # fmt: skip
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 101))
        for source, target, nanoseconds, data in sent:
            size = 28 + len(data)
            ip = struct.pack(">BBHHHBBHII", 0x45, 0, size, 0, 0, 64, 17, 0, 0x0A000000 + source, 0x0A000000 + target)
            frame = ip + struct.pack(">HHHH", 7280, 7280, 8 + len(data), 0) + data
            file.write(struct.pack("<IIII", 1800000000 + nanoseconds // 10**9, nanoseconds % 10**9, size, size) + frame)
    return path


@every_tshark
def test_answers_are_paired_with_the_oldest_unanswered_message(tshark: Tshark, tmp_path: Path) -> None:
    capture = conversation(tmp_path / "conversation.pcap")
    fields = ("chitchat.response_in", "chitchat.response_to", "chitchat.response_time")
    two_passes = column(tshark, capture, *fields, options=("-2",))
    assert two_passes == [
        ("3", "", ""), ("5", "", ""), ("4", "1", "0.003000001"),
        ("", "3", "0.000999999"), ("", "2", "0.999999999"), ("", "", ""),
    ]  # fmt: skip
    one_pass = column(tshark, capture, *fields)
    assert [row[1:] for row in one_pass] == [row[1:] for row in two_passes]


@every_tshark
def test_every_captured_handshake_is_paired(tshark: Tshark) -> None:
    rows = column(
        tshark, PCAPS / "v1-five-nodes.pcap", "chitchat.type", "chitchat.response_to", "chitchat.response_time"
    )
    answers = [row for row in rows if row[0] != "0"]
    assert answers
    assert all(row[1] and 0 <= float(row[2]) < 1 for row in answers)


# --- broken and expensive input ---


@pytest.mark.long
@every_tshark
def test_a_stream_that_grows_without_end_is_read_to_the_limit(tshark: Tshark, tmp_path: Path) -> None:
    import zstandard

    bomb = Block(type=1, data=zstandard.ZstdCompressor(level=19).compress(bytes(65535)))
    message = Chitchat() / ChitchatAck(delta_blocks=[*[bomb] * 2800, Block(type=0)])
    assert len(bytes(message)) < 65507
    capture = write_capture(tmp_path / "bomb.pcap", [bytes(message)])
    assert column(tshark, capture, "chitchat.stream_limit", "_ws.lua.error") != [("", "")]
    held = tshark.run(capture, "-x").count("\n")
    assert held < 2 * 1024 * 1024 / 16
