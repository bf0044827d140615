# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables of what was met: what is listed, and from which row on it is summed up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scapy_chitchat import Chitchat, ChitchatAck, ChitchatSyn, NodeDigest, NodeOp, read_messages
from scapy_chitchat.capture.writing import CaptureWriter
from scapy_chitchat.cli.common import console
from scapy_chitchat.cli.tables import MOST_CLUSTERS, MOST_PAIRS, WIDEST, Summary, print_table
from scapy_chitchat.net.packets import Endpoints


def printed(path: Path, kinds: int, capsys: pytest.CaptureFixture[str]) -> str:
    """The tables of a capture in which each of so many nodes gossips in a cluster of its own, the first the most."""
    with CaptureWriter(path) as out:
        for index in range(kinds):
            for _ in range(kinds - index):
                data = bytes(Chitchat() / ChitchatSyn(cluster_id=f"cluster-{index}"))
                out.datagram(Endpoints("127.0.0.1", 20000 + index, "127.0.0.1", 7280), data, 10**18)
    summary = Summary()
    for captured in read_messages(path):
        summary.add(captured)
    summary.print(stderr=False)
    return capsys.readouterr().out


@pytest.mark.parametrize("more", [0, 1, 3])
def test_what_does_not_fit_a_table_is_summed_up(tmp_path: Path, capsys: pytest.CaptureFixture[str], more: int) -> None:
    assert MOST_CLUSTERS == MOST_PAIRS == 20
    text = printed(tmp_path / "many.pcapng", 20 + more, capsys)
    clusters, pairs = text[text.index("Clusters") : text.index("Node pairs")], text[text.index("Node pairs") :]
    assert len(set(re.findall(r"cluster-\d+", clusters))) == 20
    assert len(set(re.findall(r"127\.0\.0\.1:2\d{4}", pairs))) == 20
    rest = more * (more + 1) // 2
    assert re.findall(r"(\d+) more clusters +(\d+)", clusters) == ([(str(more), str(rest))] if more else [])
    assert re.findall(r"(\d+) more pairs +(\d+)", pairs) == ([(str(more), str(rest))] if more else [])


def test_sizes_are_summed_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(tmp_path / "few.pcapng", 2, capsys)
    size = len(bytes(Chitchat() / ChitchatSyn(cluster_id="cluster-0")))
    assert re.search(rf"Syn +V0 +3 +{3 * size} +{size} +{size}\b", text)
    assert re.search(rf"127\.0\.0\.1:20000 +127\.0\.0\.1:7280 +2 +{2 * size} +{size} +{size}\b", text)


def test_findings_are_shown_by_pair_and_by_receiver(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reset = bytes(Chitchat() / ChitchatAck(delta=[NodeOp(node_id="n", last_gc_version=4)]))
    twice = bytes(Chitchat() / ChitchatSyn(digest=[NodeDigest(node_id="a")] * 2))
    summary = Summary()
    path = tmp_path / "findings.pcapng"
    with CaptureWriter(path) as out:
        for source, destination, data in [(1, 9, reset), (1, 9, reset), (2, 9, reset), (2, 8, twice + b"x")]:
            out.datagram(Endpoints("10.0.0.1", source, "10.0.0.2", destination), data, 10**18)
    for captured in read_messages(path):
        summary.add(captured)
    summary.print(stderr=False)
    text = capsys.readouterr().out
    pairs, receivers = text[text.index("Findings by pair") :].split("Findings by receiver")
    assert re.findall(r"^ +([a-z-]+) +10.0.0.1:(\d) +10.0.0.2:(\d) +(\d+)", pairs, re.MULTILINE) == [
        ("reset", "1", "9", "2"),
        ("duplicate-digest", "2", "8", "1"),
        ("reset", "2", "9", "1"),
        ("trailing-bytes", "2", "8", "1"),
    ]
    assert re.findall(r"^ +([a-z-]+) +10.0.0.2:(\d) +(\d+)", receivers, re.MULTILINE) == [
        ("reset", "9", "3"),
        ("duplicate-digest", "8", "1"),
        ("trailing-bytes", "8", "1"),
    ]


@pytest.mark.parametrize("more", [0, 2])
def test_findings_of_many_pairs_are_summed_up(tmp_path: Path, capsys: pytest.CaptureFixture[str], more: int) -> None:
    data = bytes(Chitchat() / ChitchatSyn()) + b"x"
    summary = Summary()
    with CaptureWriter(tmp_path / "many.pcapng") as out:
        for index in range(MOST_PAIRS + more):
            out.datagram(Endpoints("10.0.0.1", 100 + index, "10.0.0.2", 7280), data, 10**18)
    for captured in read_messages(tmp_path / "many.pcapng"):
        summary.add(captured)
    summary.print(stderr=False)
    text = capsys.readouterr().out
    pairs, receivers = text[text.index("Findings by pair") :].split("Findings by receiver")
    assert pairs.count("trailing-bytes") == MOST_PAIRS
    assert re.findall(r"(\d+) more pairs +(\d+)", pairs) == ([(str(more), str(more))] if more else [])
    assert re.findall(r"trailing-bytes +10.0.0.2:7280 +(\d+)", receivers) == [str(MOST_PAIRS + more)]


def test_one_long_value_does_not_make_every_row_as_long(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [[f"key-{number}", "v", "7"] for number in range(300)] + [["long", "x" * 65_480, "8"]]
    print_table(console(), "Keys", ["key", "value"], ["version"], rows)
    text = capsys.readouterr().out
    assert text.count("x") == 65_480
    assert max(map(len, text.splitlines())) <= WIDEST
    assert len(text) < 700 * WIDEST + 100_000
