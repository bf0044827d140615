# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages chosen by time, place and what they say: shown as rows, and written as they were captured."""

from __future__ import annotations

import csv
import io
import json
import struct
import sys
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from scapy.layers.inet import IP, UDP, fragment
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from scapy_chitchat import Chitchat, ChitchatAck, KeyValueOp, NodeOp
from scapy_chitchat.capture import CaptureFile, Counters, DatagramReader, Frame
from scapy_chitchat.capture.ends import matches
from scapy_chitchat.cli import main
from tests.support import PCAPS
from tests.support.wrapped import SYN, inner4, mac

THREE = PCAPS / "v0-three-nodes.pcap"
IPV6 = PCAPS / "v0-ipv6.pcap"
RESETS = PCAPS / "v0-gc-resets.pcap.gz"


class Done(NamedTuple):
    """What came of a command."""

    returncode: int
    stdout: str
    stderr: str


def run(*arguments: object, given: bytes = b"") -> Done:
    """The command line, in this process: starting one takes longer than most of these tests."""
    streams = [io.TextIOWrapper(io.BytesIO(each), encoding="utf-8", newline="") for each in (given, b"", b"")]
    names = ("argv", "stdin", "stdout", "stderr")
    before = [getattr(sys, name) for name in names]
    code = 0
    try:
        for name, value in zip(names, [["scapy-chitchat", *map(str, arguments)], *streams], strict=True):
            setattr(sys, name, value)
        main()
    except SystemExit as done:
        code = int(done.code or 0)
    finally:
        for name, value in zip(names, before, strict=True):
            setattr(sys, name, value)
    for each in streams[1:]:
        each.flush()
    out, err = (each.buffer.getvalue().decode() for each in streams[1:])
    return Done(code, out, err)


def lines_of(*arguments: object) -> list[str]:
    done = run("read", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def messages(*arguments: object) -> list[dict[str, Any]]:
    return [json.loads(line, parse_float=Decimal) for line in lines_of("--json", *arguments)]


# --- when ---


def test_a_period_has_both_its_ends_and_nothing_else() -> None:
    every = messages(THREE)
    since, until = every[100]["time"], every[200]["time"]
    expected = [each for each in every if since <= each["time"] <= until]
    assert 100 < len(expected) < len(every)
    first = every[0]["time"]
    dates = [datetime.fromtimestamp(float(each), timezone.utc).isoformat() for each in (since, until)]
    for named in ([since, until], dates, [f"+{since - first}", f"+{until - first}"]):
        assert messages("--since", named[0], "--until", named[1], THREE) == expected
    # what counts is the first message of all, not the first that passes
    assert messages("--type", "Ack", "--since", f"+{since - first}", "--until", f"+{until - first}", THREE) == [
        each for each in expected if each["type"] == "Ack"
    ]


def test_no_time_is_said() -> None:
    done = run("read", "--since", "yesterday", THREE)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "'yesterday' is no time: write 2026" in done.stderr


# --- between whom ---


@pytest.mark.parametrize("who", ["node-1", "127.0.0.2", "127.0.0.2:7280", "127.0.0.2:*", "*-1"])
def test_who_is_named_by_node_id_address_or_pattern(who: str) -> None:
    every = messages(THREE)
    assert messages("--from", who, THREE) == [each for each in every if each["source"] == "127.0.0.2:7280"]
    # a receiver's node_id is not known before some digest has told it
    kept = messages("--to", who, THREE)
    expected = [each for each in every if each["destination"] == "127.0.0.2:7280"]
    assert kept == expected[len(expected) - len(kept) :]
    assert len(expected) - len(kept) <= 1


def test_an_address_in_brackets_is_no_pattern() -> None:
    source = messages(IPV6)[0]["source"]
    assert source.startswith("[")
    assert messages("--from", source, IPV6) == [each for each in messages(IPV6) if each["source"] == source]
    assert matches("[::1]:72?0", "[::1]:7280")
    assert not matches("[::1]:7280", ":")
    assert not matches("*", None)


def test_all_that_is_asked_for_must_hold() -> None:
    kept = messages("--from", "node-0", "--to", "node-2", "--type", "SynAck", "-c", "7", THREE)
    assert len(kept) == 7
    assert {(each["source"], each["destination"], each["type"]) for each in kept} == {
        ("127.0.0.1:7280", "127.0.0.3:7280", "SynAck")
    }


def test_who_stops_early_has_lost_no_fragments() -> None:
    large = PCAPS / "v0-large-fragmented.pcap.gz"
    assert len(lines_of("-c", "1", large)) == 1  # and nothing is said
    counters = Counters()
    with CaptureFile(large) as frames:
        reader = DatagramReader(counters)
        assert any(counters.fragments > counters.reassembled > 0 for frame in frames if reader.read(frame) is None)


# --- what they say ---


def operations(capture: Path, status: str, key: str = "") -> list[tuple[int, dict[str, Any]]]:
    """The key-values of a capture that are of this status, with their frames."""
    return [
        (each["frame"], row)
        for each in messages(capture)
        for row in each.get("delta", ())
        if row.get("status") == status and key in row["key"]
    ]


def test_a_status_is_chosen_in_any_case() -> None:
    found = operations(RESETS, "Delete")
    assert found
    kept = messages("--status", "delete", RESETS)
    assert [each["frame"] for each in kept] == list(dict.fromkeys(frame for frame, _ in found))
    done = run("read", "--status", "Deleted", RESETS)
    assert "there is no status 'Deleted'; there are Set, Delete, DeleteAfterTtl" in done.stderr


def test_key_node_and_status_are_of_one_row() -> None:
    ack = [NodeOp(node_id="a"), KeyValueOp(key="k"), NodeOp(node_id="b"), KeyValueOp(key="k", status="Delete")]
    capture = pcap(IP(src="10.0.0.1") / UDP(sport=7280, dport=7280) / Raw(bytes(Chitchat() / ChitchatAck(delta=ack))))
    for node, status, count in (("b", "Delete", 1), ("a", "Set", 1), ("a", "Delete", 0), ("b", "Set", 0)):
        done = run("read", "--key", "k", "--node", node, "--status", status, "-", given=capture)
        assert (done.returncode, done.stdout.count("Ack")) == (0, count)


def test_the_rows_of_a_key_stand_below_their_message() -> None:
    lines = lines_of("--key", "key-1", "--node", "node-0", "-c", "1", THREE)
    assert len(lines) == 2
    assert lines[1] == '        node-0  key-1 = "shard{"a":1}hééqueue="  version 2  Set'


def test_rows_are_one_for_each_operation_that_is_meant() -> None:
    names = "frame,delta.key,delta.version"
    rows = [line.split("\t") for line in lines_of("--rows", "--fields", names, "--status", "Delete", RESETS)]
    assert rows == [[str(frame), row["key"], str(row["version"])] for frame, row in operations(RESETS, "Delete")]
    nodes = lines_of("--rows", "--fields", "digest.node_id", "--node", "node-1", THREE)
    assert set(nodes) == {"node-1"}
    assert len(nodes) == sum(each["node_id"] == "node-1" for one in messages(THREE) for each in one.get("digest", ()))


def test_joined_values_can_be_taken_apart() -> None:
    values = ["plain", "a,b", 'a "quoted" one', '"', "", ","]
    delta = [NodeOp(node_id="n"), *(KeyValueOp(key=f"k{place}", value=value) for place, value in enumerate(values))]
    capture = pcap(IP(src="10.0.0.1") / UDP(sport=7280, dport=7280) / Raw(bytes(Chitchat() / ChitchatAck(delta=delta))))
    line = run("read", "--fields", "delta.value", "-", given=capture).stdout.rstrip("\n")
    assert next(csv.reader([line])) == values
    one = run("read", "--rows", "--fields", "type,delta.value", "-", given=capture).stdout
    assert one.splitlines() == [f"Ack\t{value}" for value in values]


@pytest.mark.parametrize("fields", [[], ["--fields", "time"], ["--fields", "delta.key,digest.node_id"]])
def test_rows_want_one_list(fields: list[str]) -> None:
    done = run("read", "--rows", *fields, THREE)
    assert (done.returncode, done.stdout) == (2, "")
    assert "columns of one list" in done.stderr


# --- written as they were ---


def pcap(*packets: Packet, linktype: int = 101) -> bytes:
    """A capture of packets, a millisecond after each other."""
    head = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, linktype)
    frames = enumerate(map(bytes, packets))
    return head + b"".join(struct.pack("<IIII", 9, at * 1000 + 7, len(one), len(one)) + one for at, one in frames)


def tunnelled() -> list[Packet]:
    """A message in fragments, each in a VXLAN packet that is fragmented again, first ones last."""
    inside = IP(src="10.244.1.5", dst="10.244.2.7", id=7) / UDP(sport=7280, dport=7280) / Raw(SYN + bytes(4000))
    made: list[Packet] = []
    for number, part in enumerate(fragment(inside, 1400)):  # type: ignore[no-untyped-call]
        outer = IP(src="192.168.1.10", dst="192.168.1.11", id=number) / UDP(sport=999, dport=4789)
        whole = outer / VXLAN(vni=5, flags=8) / Ether() / part
        made += [mac() / each for each in fragment(whole, 800)]  # type: ignore[no-untyped-call]
    return made[::-1]


def test_the_frames_of_what_passes_are_written_as_they_were(tmp_path: Path) -> None:
    wanted, other = tunnelled(), mac() / IP(src="10.0.0.9") / UDP(sport=7280, dport=7280) / Raw(SYN)
    noise = mac() / IP(src="10.0.0.8") / UDP(sport=5353, dport=53) / Raw(b"no gossip")
    mixed = [each for one in wanted for each in (one, other, noise)]
    (tmp_path / "ethernet.pcap").write_bytes(pcap(*mixed, linktype=1))
    (tmp_path / "raw.pcap").write_bytes(pcap(inner4(), inner4() / Raw(b"x")))
    out = tmp_path / "out.pcapng"
    both = (tmp_path / "ethernet.pcap", tmp_path / "raw.pcap")
    assert len(lines_of("--as-given", "--from", "10.244.*", "-w", out, *both)) == 3
    with CaptureFile(out) as read:
        kept = list(read)
    given = {bytes(frame): place * 3000 + 7 for place, frame in enumerate(wanted)}
    fragments = [each for each in kept if each.linktype == 1]
    assert sorted(each.data for each in fragments) == sorted(given)
    assert all((each.time, each.decimals) == (9 * 10**9 + given[each.data], 9) for each in fragments)
    assert [each.data for each in kept if each.linktype == 101] == [bytes(inner4()), bytes(inner4() / Raw(b"x"))]
    assert [each["tunnel"] for each in messages("--port", "7280", out)[:1]] == [["vxlan 5 192.168.1.10 > 192.168.1.11"]]


def test_a_frame_that_was_cut_stays_cut(tmp_path: Path) -> None:
    whole = bytes(inner4())
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 50, 101)
    cut = head + struct.pack("<IIII", 9, 7, 50, len(whole)) + whole[:50]
    out = tmp_path / "out.pcapng"
    run("read", "-w", out, "-", given=cut)
    with CaptureFile(out) as read:
        assert list(read) == [Frame(1, 9_000_007, 6, 101, whole[:50], len(whole))]


@pytest.mark.long
def test_kept_frames_of_fragments_are_bounded() -> None:
    counters = Counters()
    reader = DatagramReader(counters, keep_frames=True)
    padding = bytes(60_000)
    for number in range(1, 3000):
        part = IP(src="10.0.0.1", dst="10.0.0.2", id=number, flags="MF") / UDP() / Raw(bytes(8))
        reader.read(Frame(number, 0, 6, 1, bytes(mac() / part) + padding, 0))
    assert counters.fragments == 2999
    assert counters.incomplete > 1000


def test_what_is_read_is_not_written_over(tmp_path: Path) -> None:
    capture = tmp_path / "capture.pcap"
    capture.write_bytes(THREE.read_bytes())
    done = run("read", "-w", capture, tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "write another file" in done.stderr
    assert capture.read_bytes() == THREE.read_bytes()


def test_a_capture_of_all_is_the_capture(tmp_path: Path) -> None:
    out = tmp_path / "out.pcapng"
    lines_of("-w", out, THREE)
    with CaptureFile(out) as written, CaptureFile(io.BytesIO(THREE.read_bytes())) as given:
        assert list(written) == list(given)
