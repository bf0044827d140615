# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables of what was met: what is listed, and from which row on it is summed up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scapy_chitchat import Chitchat, ChitchatSyn, read_messages
from scapy_chitchat.capture.writing import CaptureWriter
from scapy_chitchat.cli.tables import MOST_CLUSTERS, MOST_PAIRS, Summary
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
