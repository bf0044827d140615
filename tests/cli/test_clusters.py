# SPDX-License-Identifier: GPL-2.0-or-later
"""``state``, ``timeline`` and ``follow``, as a person and as a script use them."""

from __future__ import annotations

import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from scapy_chitchat import read_messages
from scapy_chitchat.cli.moments import parse_moment
from scapy_chitchat.cli.sentences import SENTENCES
from scapy_chitchat.cli.timeline import KINDS
from tests.cli.test_cli import COMMAND, FAULTS, THREE, run
from tests.support import PCAPS, ROOT

TWO_CLUSTERS = PCAPS / "v0-bad-cluster.pcap"
STORY = PCAPS / "story.pcap.gz"
DOCUMENTED = (ROOT / "docs" / "cluster.md").read_text()
ALL = [["state"], ["timeline"], ["follow", "*"]]


def objects(*arguments: object) -> list[dict[str, Any]]:
    done = run(*arguments, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def section(title: str) -> str:
    return DOCUMENTED.split(f"\n## {title}\n")[1].split("\n## ")[0]


# --- JSON ---


def test_state_has_the_names_of_the_page() -> None:
    (state,) = objects("state", THREE)
    assert list(state) == ["cluster_id", "time", "messages", "predicted", "nodes", "observers"]
    node = state["nodes"][0]
    assert list(node) == [
        "node_id", "generation_id", "gossip_advertise_addr", "run", "heartbeat", "last_gc_version", "max_version",
        "complete", "key_values", "first_seen", "last_seen", "last_spoke", "heartbeat_rate", "stuck", "rules",
    ]  # fmt: skip
    observer = state["observers"][0]
    assert list(observer) == ["node_id", "generation_id", "gossip_advertise_addr", "replicas"]
    assert {name for each in observer["replicas"] for name in each} - {"presumed"} == {
        "node_id", "generation_id", "gossip_advertise_addr", "heartbeat", "last_gc_version", "max_version", "alive",
        "phi", "in_digest", "key_values", "unknown_versions",
    }  # fmt: skip
    key_value = next(iter(node["key_values"].values()))
    assert list(key_value) == ["value", "version", "status", "since", "certain"]
    for name in (*state, *node, *observer["replicas"][0], *key_value):
        assert re.search(rf"`\.?{name}(\[\])?`", section("The JSON of state")), name
    assert any(run_of(each) == run_of(observer) for each in observer["replicas"]), "its own run is among them"


def run_of(part: dict[str, Any]) -> tuple[Any, ...]:
    return part["node_id"], part["generation_id"], part["gossip_advertise_addr"]


@pytest.mark.long
def test_times_are_epoch_seconds_with_the_decimals_of_the_capture() -> None:
    first = next(iter(read_messages(THREE)))
    assert f'"time":{first.time_text},' in run("timeline", "--json", THREE).stdout.splitlines()[0]
    assert re.search(r'"since":\d{10}\.\d{6}[,}]', run("state", "--json", THREE).stdout)
    assert re.search(r'"time":\d{10}\.\d{6},"since":\d{10}\.\d{6},', run("follow", "key-1", "--json", THREE).stdout)


@pytest.mark.long
def test_each_event_has_what_the_page_says_that_its_kind_adds() -> None:
    adds: dict[str, set[str]] = {}
    for line in section("Events").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            added = set(re.findall(r"`(\w+)`", cells[2])) - {"subject", "observer"}
            adds.update((kind, added) for kind in re.findall(r"`([\w-]+)`", cells[0]))
    assert adds.keys() == set(KINDS) == SENTENCES.keys()
    common = {"time", "frame", "event", "cluster_id", "observer", "observer_generation_id", "node_id", "generation_id"}
    seen = set()
    for event in objects("timeline", STORY):
        assert common - {"observer_generation_id"} <= event.keys()
        assert event.keys() - common == adds[event["event"]], event
        seen.add(event["event"])
    assert len(seen) > 12


def test_follow_has_the_names_of_the_page() -> None:
    step = objects("follow", "key-*", THREE)[0]
    assert list(step) == [
        "cluster_id", "node_id", "generation_id", "gossip_advertise_addr", "key", "value", "version", "status", "time",
        "since", "observers",
    ]  # fmt: skip
    assert {name for each in step["observers"] for name in each} == {
        "node_id", "generation_id", "gossip_advertise_addr", "time", "seconds", "why",
    }  # fmt: skip
    for name in (*step, *step["observers"][0]):
        assert f"`{name}`" in section("The JSON of follow"), name
    for each in step["observers"]:
        assert each["seconds"] == pytest.approx(each["time"] - step["time"], abs=1e-6)


# --- times and filters ---


@pytest.mark.long
def test_a_moment_can_be_named_in_three_ways() -> None:
    first = next(iter(read_messages(THREE))).time
    from_start = objects("state", "--at", "+3", THREE)
    assert 0 < from_start[0]["messages"] < 564
    assert objects("state", "--at", str(first + 3), THREE) == from_start
    date = subprocess.run(["date", "-u", "-d", f"@{first + 3}", "+%Y-%m-%dT%H:%M:%S.%6NZ"], capture_output=True)
    assert objects("state", "--at", date.stdout.decode().strip(), THREE) == from_start
    assert parse_moment("2026-11-25T16:30:00+02:00") == parse_moment("2026-11-25T14:30:00Z")
    assert parse_moment("2026-11-25T14:30:00.25Z").nanoseconds % 10**9 == 250_000_000


@pytest.mark.long
def test_a_span_of_the_timeline() -> None:
    everything = objects("timeline", THREE)
    first = everything[0]["time"]
    span = objects("timeline", "--from", "+5", "--to", "+15", THREE)
    assert span
    ends = {"alive", "dead"}  # the verdicts of the last rounds are known when the span ends
    assert [each for each in span if each["event"] not in ends] == [
        each for each in everything if first + 5 <= each["time"] <= first + 15 and each["event"] not in ends
    ]


@pytest.mark.long
def test_times_are_shown_as_they_are_wanted() -> None:
    line = run("timeline", THREE).stdout.splitlines()[0]
    assert line.split()[0] == "+0.000"
    assert run("timeline", "--utc", THREE).stdout.startswith("2026-11-24 06:24:56.380Z")
    command = [*COMMAND, "timeline", "--local", str(THREE)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TZ": "Asia/Kolkata"})
    assert done.stdout.startswith("2026-11-24 11:54:56.380 ")


@pytest.mark.long
def test_filters_keep_what_they_say() -> None:
    everything = objects("timeline", THREE)
    assert objects("timeline", "--kind", "changed,joined", "--kind", "Deleted", THREE) == [
        each for each in everything if each["event"] in ("changed", "joined", "deleted")
    ]
    assert objects("timeline", "--node", "*-1", THREE) == [each for each in everything if each["node_id"] == "node-1"]
    assert objects("timeline", "--key", "key-1*", THREE) == [
        each for each in everything if (each.get("key") or "").startswith("key-1")
    ]
    assert objects("timeline", "--observer", "node-2", THREE) == [
        each for each in everything if each["observer"] == "node-2"
    ]
    assert len(everything) > len(objects("timeline", "--node", "node-1", THREE)) > 0


@pytest.mark.long
def test_a_state_of_some_nodes_keys_and_observers() -> None:
    (whole,) = objects("state", THREE)
    (state,) = objects("state", "--node", "node-1", "--key", "key-1*", "--observer", "node-[02]", THREE)
    assert [each["node_id"] for each in state["nodes"]] == ["node-1"]
    assert [each["node_id"] for each in state["observers"]] == ["node-0", "node-2"]
    (node,) = (each for each in whole["nodes"] if each["node_id"] == "node-1")
    kept = {key: value for key, value in node["key_values"].items() if key.startswith("key-1")}
    assert 0 < len(kept) < len(node["key_values"])
    assert state["nodes"][0]["key_values"] == kept
    assert [[one["node_id"] for one in each["replicas"]] for each in state["observers"]] == [["node-1"]] * 2


@pytest.mark.long
def test_one_cluster_of_two() -> None:
    names = {each["cluster_id"] for each in objects("state", TWO_CLUSTERS)}
    assert len(names) == 2
    for name in names:
        assert [each["cluster_id"] for each in objects("state", "--cluster", name, TWO_CLUSTERS)] == [name]
        assert {each["cluster_id"] for each in objects("timeline", "--cluster", name, TWO_CLUSTERS)} == {name}


@pytest.mark.long
def test_differences_are_what_owners_and_most_observers_do_not_say() -> None:
    (whole,) = objects("state", "--cluster", "prod", "--at", "+29", STORY)
    (state,) = objects("state", "--cluster", "prod", "--differences", "--at", "+29", STORY)
    has = {run_of(each): each["max_version"] for each in whole["nodes"]}
    true = {
        (observer["node_id"], one["node_id"])
        for observer in whole["observers"]
        for one in observer["replicas"]
        if one["max_version"] < has[run_of(one)]
    }
    shown = {(each["node_id"], one["node_id"]) for each in state["observers"] for one in each["replicas"]}
    assert true <= shown
    assert len(shown) < len(true) + 5


@pytest.mark.long
def test_of_a_node_that_is_not_known_nothing_is_shown() -> None:
    for arguments in (["state", "--node"], ["state", "--observer"], ["timeline", "--node"]):
        done = run(*arguments, "nobody", THREE)
        assert (done.returncode, done.stdout) == (0, "")
        assert re.fullmatch(r"scapy-chitchat: no.* in 564 messages\n", done.stderr)


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["state", "nowhere.pcap"], 1, "nowhere.pcap: No such file or directory"),
        (["timeline", __file__], 1, "no pcap or pcapng capture"),
        (["follow", "k", "nowhere.pcap"], 1, "nowhere.pcap: No such file"),
        (["state", "--at", "yesterday", THREE], 2, "'yesterday' is no time: write 2026-11-25T16:30:00Z, seconds"),
        (["state", "--at", "+-1", THREE], 2, "is no time"),
        (["state", "--at", "", "--utc", "--local", THREE], 2, "choose one of --utc and --local"),
        (["state", "--at", "2020-01-01", THREE], 0, "no message by then: the first one came at 2026-11-24 06:24:56"),
        (["timeline", "--from", "x", THREE], 2, "is no time"),
        (["timeline", "--from", "+20", "--to", "+10", THREE], 2, "--from +20 is after --to +10"),
        (["timeline", "--kind", "died", THREE], 2, "there is no kind 'died'; there are joined, restarted"),
        (["timeline", "--json", "--summary", THREE], 2, "choose one of --json and --summary"),
        (["timeline", "--from", "+999", THREE], 0, "no event that passes the filters in 564 messages"),
        (["state", "--rules", "0.8", THREE], 2, "there are no rules '0.8'; there are 0.9, 0.10.0, 0.10.1"),
        (["state", "--cluster", "no", THREE], 0, "nothing of cluster 'no' in 564 messages"),
        (["follow", "no", THREE], 0, "nothing of key 'no' in 564 messages"),
        (["follow", "--last", "0", "k", THREE], 2, "--last"),
    ],
)
def test_one_line_says_what_is_wrong(arguments: list[object], code: int, says: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def pcap(path: Path, messages: list[tuple[bytes, str, str]]) -> Path:
    """A capture of raw IP with these datagrams, 50 ms apart: data, and the last numbers of source and destination."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 101))
        for number, (data, source, destination) in enumerate(messages):
            udp = struct.pack(">HHHH", 7280, 7280, 8 + len(data), 0) + data
            ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0)
            frame = ip + bytes(map(int, source.split("."))) + bytes(map(int, destination.split("."))) + udp
            second, rest = divmod(50_000 * number, 10**6)
            file.write(struct.pack("<IIII", 1_800_000_000 + second, rest, len(frame), len(frame)) + frame)
    return path


@pytest.mark.parametrize("command", ALL)
def test_a_capture_without_a_message_is_explained(tmp_path: Path, command: list[str]) -> None:
    path = pcap(tmp_path / "other.pcap", [(b"hello", "10.0.0.1", "10.0.0.2")])
    done = run(*command, path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "no chitchat messages in" in done.stderr


@pytest.mark.parametrize("command", ALL)
def test_what_was_lost_is_said(command: list[str]) -> None:
    done = run(*command, "--json", FAULTS / "port-filtered-first-fragments.pcap")
    assert "2 datagrams whose later fragments are not in the capture" in done.stderr


@pytest.mark.long
@pytest.mark.parametrize("command", ALL)
def test_a_capture_that_is_cut_off_shows_what_came_before(command: list[str]) -> None:
    done = run(*command, "-", given=THREE.read_bytes()[:50_000])
    assert done.returncode == 1
    assert done.stdout
    assert done.stderr.startswith("scapy-chitchat: standard input: the capture is cut off behind frame 276\n")


@pytest.mark.long
def test_parts_of_a_capture_are_read_in_order(tmp_path: Path) -> None:
    data = THREE.read_bytes()
    at, cuts = 24, [24]
    while at < len(data):
        at += 16 + struct.unpack_from("<I", data, at + 8)[0]
        cuts.append(at)
    middle = cuts[len(cuts) // 2]
    (tmp_path / "a.pcap").write_bytes(data[:24] + data[middle:])
    (tmp_path / "b.pcap").write_bytes(data[:middle])
    parts = objects("state", tmp_path / "a.pcap", tmp_path / "b.pcap")
    assert parts == objects("state", THREE)
    assert parts == objects("state", tmp_path)


def test_after_the_last_message_nobody_is_heard() -> None:
    done = run("state", "--at", "+1000", THREE)
    assert done.returncode == 0
    assert "Cluster prod at +1000.000: 564 messages" in done.stdout
    assert re.fullmatch(r"scapy-chitchat: the last message came at \+\d+\.\d+: nobody is heard after it\n", done.stderr)


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{sys.executable} -m scapy_chitchat timeline {THREE} | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)


@pytest.mark.long
@pytest.mark.parametrize("command", ALL)
def test_ctrl_c_shows_what_is_known_until_then(command: list[str]) -> None:
    process = subprocess.Popen(
        [*COMMAND, *command, "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a job in the background has none
    )
    assert process.stdin is not None
    process.stdin.write(THREE.read_bytes())
    process.stdin.flush()
    while not _waits_for_input(process.pid):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert process.stdout is not None
    assert process.stderr is not None
    out, error = process.stdout.read().decode(), process.stderr.read().decode()
    process.stdin.close()
    assert "interrupted" in error
    assert "Traceback" not in error
    whole = run(*command, THREE).stdout
    assert out.splitlines()[:3] == whole.splitlines()[:3]
    assert len(out) > len(whole) * 0.9


def _waits_for_input(pid: int) -> bool:
    """Whether a process sleeps in a read of standard input, which is a pipe."""
    syscall = Path(f"/proc/{pid}/syscall").read_text().split()
    return syscall[0] in ("0", "63") and int(syscall[1], 16) == 0  # of x86-64, and of others
