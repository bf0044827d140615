# SPDX-License-Identifier: GPL-2.0-or-later
"""The recipe for captures: that what is to happen to nodes happens, is captured, and stands in the truth."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scapy_chitchat import read_messages
from scapy_chitchat.capture import Counters
from tests.judging.traffic import time_of
from tests.record import main, record
from tests.recording.scenario import Scenario, Step
from tests.recording.scenarios import SCENARIOS, again, asleep, cut_off, on_loopback
from tests.support.peers import why_no_peer
from tests.support.truth import Truth, read_truth

NO_PEER = why_no_peer()
recording = [
    pytest.mark.skipif(bool(NO_PEER), reason=NO_PEER),
    pytest.mark.usefixtures("namespaces"),
    pytest.mark.skipif(not shutil.which("tcpdump"), reason="there is no tcpdump to record with"),
]


def recorded(scenario: Scenario, capture: Path, seconds: float) -> Truth:
    """The truth of a scenario that was recorded."""
    record(scenario, capture, seconds)
    return read_truth(capture.with_suffix(".jsonl"))


class TestRecording:
    pytestmark = [*recording, pytest.mark.long]

    def test_a_mixed_cluster_on_a_wire(self, tmp_path: Path) -> None:
        path, counters = tmp_path / "mixed.pcap", Counters()
        truth = recorded(SCENARIOS["mixed-fragmented"], path, 4)
        messages = list(read_messages(path, counters=counters))
        assert {each.message.version for each in messages if each.message} == {0, 1}
        assert all(each.source.startswith("10.77.0.") for each in messages)
        assert counters.reassembled > 3
        assert {run.node_id for run in truth.runs} == {f"node-{n}" for n in range(1, 5)}
        assert truth.states[0].nodes.keys() == truth.runs.keys()

    def test_a_node_that_is_killed_paused_and_changed(self, tmp_path: Path) -> None:
        nodes = on_loopback("0.13", "0.12/1", "0.9", interval=100)
        steps = [*again("node-2", 1, 1.5), *asleep("node-1", (2, 3)), Step(1, "set", "node-0", key="k", value="v")]
        truth = recorded(Scenario([nodes], steps=steps, changes=0), tmp_path / "deeds.pcap", 4)
        assert [deed["ev"] for deed in truth.deeds] == ["kill", "pause", "wake"]
        assert sorted(run.node_id for run in truth.runs) == ["node-0", "node-1", "node-2", "node-2"]
        [change] = truth.changes
        assert change[1:] == (change.run, 0, "k", "v", 1)
        pause, wake = (deed["t"] for deed in truth.deeds[1:])
        spoken = [time_of(each) for each in read_messages(tmp_path / "deeds.pcap") if each.source == "127.0.0.2:7280"]
        assert min(spoken) < pause
        assert max(spoken) > wake
        assert not [time for time in spoken if pause + 0.01 < time < wake]

    @pytest.mark.skipif(not shutil.which("nft"), reason="there is no nft (nftables) to cut nodes off with")
    def test_a_node_that_is_not_heard(self, tmp_path: Path) -> None:
        nodes = on_loopback("0.13", "0.13", interval=100)
        truth = recorded(Scenario([nodes], steps=cut_off("node-1", 1, 2), changes=0), tmp_path / "cut.pcap", 3)
        cut, mend = (deed["t"] for deed in truth.deeds)
        said = {"127.0.0.1:7280": 0, "127.0.0.2:7280": 0}
        for each in read_messages(tmp_path / "cut.pcap"):
            if cut + 0.05 < time_of(each) < mend and each.message and each.message.type != "Syn":
                said[each.source] += 1
        assert said["127.0.0.2:7280"] > 3, "it hears the other, and answers"
        assert said["127.0.0.1:7280"] == 0, "nobody answers what nobody hears"


@pytest.mark.parametrize(
    ("steps", "wrong"),
    [
        ([Step(1, "start", "node-0"), Step(2, "start", "node-0")], "needs node-0 to be away"),
        ([Step(1, "wake", "node-0")], "needs node-0 to be asleep"),
        ([Step(1, "kill", "node-0"), Step(2, "set", "node-0")], "needs node-0 to be at work"),
        ([Step(1, "kill", "nobody")], "no node of this scenario"),
    ],
)
def test_a_step_that_cannot_be_done_is_said_before_anything_runs(steps: list[Step], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        Scenario([on_loopback("0.13")], steps=steps)


def test_a_scenario_that_is_none_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"ends": [[]], "stepps": []}')
    monkeypatch.setattr("sys.argv", ["record", str(path), str(tmp_path / "out.pcap")])
    with pytest.raises(SystemExit, match="stepps"):
        main()
