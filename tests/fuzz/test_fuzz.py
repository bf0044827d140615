# SPDX-License-Identifier: GPL-2.0-or-later
"""Campaigns: what is found, told and kept; against made-up targets and real nodes."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scapy_chitchat import decode, encode
from scapy_chitchat.fuzz import Context, case, trial
from scapy_chitchat.fuzz.building import ack, entry, section, syn_ack
from scapy_chitchat.fuzz.campaign import Campaign, Plan
from scapy_chitchat.fuzz.draw import PEOPLE
from scapy_chitchat.fuzz.finding import CampaignFinding, as_python, built, read_finding, write_finding
from scapy_chitchat.fuzz.target import Process, Target, TargetDownError, panic_in
from scapy_chitchat.fuzz.trial import addressed
from scapy_chitchat.records.classes import Ack
from scapy_chitchat.records.identity import ChitchatId
from tests.fuzz.commands import COMMAND, CONTEXT, run
from tests.support.peers import PATIENCE, free_port

# --- what is found ---


def some_finding(messages: tuple[bytes, ...]) -> CampaignFinding:
    return CampaignFinding(
        group="a-1.0/src/b.rs:3",
        symptom="panicked: \u202e\x1b[31m",
        strategy="order",
        seed=1,
        first_case=2,
        to="127.0.0.1:7280",
        spawn="node",
        cluster_id="c",
        receiver=CONTEXT.receiver,
        messages=messages,
        stderr="text",
    )


def test_a_finding_comes_back_from_its_folder(tmp_path: Path) -> None:
    messages = (case("order", 1, 1, CONTEXT).messages[0], b"\x00broken", b"", case("blocks", 1, 3, CONTEXT).messages[0])
    finding = some_finding(messages)
    write_finding(finding, tmp_path / "one")
    assert read_finding(tmp_path / "one") == finding.__class__(**{**_fields(finding), "stderr": ""})
    assert "\x1b" not in (tmp_path / "one" / "README.txt").read_text()
    done = subprocess.run([sys.executable, tmp_path / "one" / "case.py"], capture_output=True, text=True, check=True)
    assert [bytes.fromhex(line) for line in done.stdout.split("\n")[:-1]] == list(messages)
    with pytest.raises(ValueError, match="no folder of a finding"):
        read_finding(tmp_path)


def _fields(finding: CampaignFinding) -> dict[str, Any]:
    return {name: getattr(finding, name) for name in finding.__struct_fields__}


@pytest.mark.long
def test_cases_are_written_as_the_layers_that_build_them() -> None:
    for name in ("order", "lengths", "blocks", "strings"):
        for number in range(8):
            (message,) = case(name, 3, number, CONTEXT).messages
            text = as_python((message,), "x")
            expression = text[text.index("[\n") + 2 : text.rindex(",\n]")].strip()
            assert built(expression) == message or expression.startswith("bytes.fromhex(")
    assert "ChitchatAck(" in as_python((encode(ack(section(PEOPLE[0], []))),), "x")


def test_messages_for_another_target_get_its_ids() -> None:
    own = CONTEXT.receiver
    data = encode(syn_ack([entry(own)], section(own._replace(generation_id=8), [])))
    there = Context("d", ChitchatId("own", 1000, "127.0.0.1:7280"))
    (changed,) = addressed((data,), some_finding(()), there)
    message: Any = decode(changed)
    assert (message.digest[0].generation_id, message.delta[0].generation_id) == (1000, 1001)


def test_panics_are_read_from_standard_error() -> None:
    new = "thread 'x' (12) panicked at /there/chitchat-0.13.0/src/state.rs:237:9:\nassertion failed: a >= b\nstack"
    assert panic_in(f"log line\n{new}") == ("chitchat-0.13.0/src/state.rs:237", "assertion failed: a >= b")
    assert panic_in("thread 'main' panicked at 'oh', src/main.rs:2:5") == ("src/main.rs:2", "oh")
    assert panic_in("all is well") is None


# --- running: against made-up targets ---

FAKE = """
import os, socket, sys, time
opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
opened.bind(("127.0.0.1", int(sys.argv[1])))
while True:
    data, peer = opened.recvfrom(65536)
    if data[3:4] == b"\\2":
        if sys.argv[2] == "exit":
            sys.exit(7)
        if sys.argv[2] == "kill":
            os.kill(os.getpid(), 40)
        time.sleep(1000)
    if data[:4] == b"\\x53\\xb0\\0\\0":
        opened.sendto(b"\\x53\\xb0\\0\\1\\0\\0\\0", peer)
"""
"""Answers Syns, until it gets an Ack."""


@pytest.mark.long
@pytest.mark.parametrize(
    ("how", "symptom"),
    [
        ("exit", "ended with exit code 7"),
        ("kill", "ended with signal 40"),
        pytest.param("hang", "no longer answers a Syn", marks=pytest.mark.long),
    ],
)
def test_a_target_that_ends_or_falls_silent_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, symptom: str
) -> None:
    monkeypatch.setattr(trial, "NARROW_PATIENCE", 0.4)
    fake = tmp_path / "fake.py"
    fake.write_text(FAKE)
    port = free_port()
    target = Target(("127.0.0.1", port), f"{sys.executable} {fake} {port} {how}", "c", patience=2.0)
    plan = Plan(seed=1, strategies=("order",), cases=300, stop_on_first=True, narrow_seconds=3.0)
    campaign = Campaign(target, plan, tmp_path / "found")
    try:
        campaign.run()
    finally:
        target.close()
    (finding,) = campaign.progress.findings
    assert finding.group == symptom
    assert finding.confirmed
    assert [message[3] for message in finding.messages] == [2]
    assert read_finding(Path(finding.folder)).messages == finding.messages


def test_a_panic_counts_only_if_a_case_may_have_made_it(tmp_path: Path) -> None:
    """A node may write of an earlier crash when it starts."""
    fake = tmp_path / "fake.py"
    says = 'print("panicked at /{}/a-1.0/src/{}.rs:7:1:", file=sys.stderr, flush=True)'
    source = FAKE.replace("opened =", f"{says.replace('{}', 'old')}\nopened =", 1)
    source = source.replace('if sys.argv[2] == "exit":', f"{says.replace('{}', 'new')}\n        if False:")
    fake.write_text(source.replace("time.sleep(1000)", "continue"))
    port = free_port()
    target = Target(("127.0.0.1", port), f"{sys.executable} {fake} {port} on", "c", patience=PATIENCE)
    try:
        target.start()
        assert target.failure() is None, "what was there before is no failure"
        target.send([encode(Ack())])
        failures = [target.failure(0.3) for _ in range(20)]
    finally:
        target.close()
    assert {each.group for each in failures if each} == {"a-1.0/src/new.rs:7"}


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[socket.socket, bytes, Any], None]], tuple[str, int]]]:
    """Starts a thread that handles datagrams, and gives its address."""
    opened = []

    def start(handle: Callable[[socket.socket, bytes, Any], None]) -> tuple[str, int]:
        listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listening.bind(("127.0.0.1", 0))
        opened.append(listening)

        def loop() -> None:
            try:
                while True:
                    handle(listening, *listening.recvfrom(65536))
            except OSError:
                return

        threading.Thread(target=loop, daemon=True).start()
        address: tuple[str, int] = listening.getsockname()
        return address

    yield start
    for each in opened:
        each.close()


def campaign_against(address: tuple[str, int], folder: Path, cases: int, **more: Any) -> Campaign:
    target = Target(address, cluster_id="c")
    campaign = Campaign(target, Plan(cases=cases, **more), folder)
    try:
        campaign.run()
    finally:
        target.close()
    return campaign


def test_an_echo_server_is_no_finding(serve: Any, tmp_path: Path) -> None:
    address = serve(lambda listening, data, peer: listening.sendto(data, peer))
    campaign = campaign_against(address, tmp_path, 1000)
    assert not campaign.progress.findings
    assert not campaign.target.is_node
    assert campaign.progress.cases == 1000


@pytest.mark.long
def test_a_slow_node_is_no_finding(serve: Any, tmp_path: Path) -> None:
    answer = encode(syn_ack((), ()))

    def slowly(listening: socket.socket, data: bytes, peer: Any) -> None:
        time.sleep(0.02 if len(data) > 20 else 0.25)
        if data[:4] == b"\x53\xb0\x00\x00":
            listening.sendto(answer, peer)

    campaign = campaign_against(serve(slowly), tmp_path, 12, strategies=("addresses", "truncation"))
    assert not campaign.progress.findings
    assert campaign.target.slowest > 0.2


def test_the_rate_is_bounded(serve: Any, tmp_path: Path) -> None:
    address = serve(lambda listening, data, peer: listening.sendto(data, peer))
    started = time.monotonic()
    campaign_against(address, tmp_path, 100, rate=100.0, strategies=("addresses",))
    assert time.monotonic() - started > 0.4


def test_nobody_there_is_said() -> None:
    target = Target(("127.0.0.1", free_port()), patience=0.3)
    with pytest.raises(TargetDownError, match="nothing answers"):
        target.start()
    target.close()
    failing = Target(("127.0.0.1", free_port()), f"{sys.executable} -c 'raise SystemExit(\"not today\")'")
    with pytest.raises(TargetDownError, match="ended at once, with exit code 1: not today"):
        failing.start()
    failing.close()
    with pytest.raises(TargetDownError, match="cannot start"):
        Process("/no/such/program")


def test_a_cluster_id_may_be_empty(peer: Path) -> None:
    port = free_port()
    command = f"{peer} node --version 0.13 --node-id own --listen 127.0.0.1:{port} --cluster-id="
    target = Target(("127.0.0.1", port), command, "")
    target.start()
    assert target.knows_cluster
    target.close()


def test_targets_off_this_machine_are_refused() -> None:
    done = run("run", "--to", "192.0.2.1:7280", "-n", "1")
    assert done.returncode == 2
    assert "--allow-remote" in done.stderr
    assert run("run", "--to", "127.0.0.1:1", "--strategy", "none").returncode == 2
    assert run("generate", "-n", "1").returncode == 2


# --- running: against real nodes ---


def spawn_command(peer: Path, version: str, port: int) -> str:
    return f"{peer} node --version {version} --node-id own --listen 127.0.0.1:{port} --cluster-id unguessable"


@pytest.mark.long
@pytest.mark.parametrize("version", ["0.10", "0.13"])
def test_a_real_node_is_stopped_and_the_case_reproduces(peer: Path, tmp_path: Path, version: str) -> None:
    port = free_port()
    to = f"127.0.0.1:{port}"
    strategies = ["--strategy", "order", "--strategy", "strings"]
    done = run(
        "run", "--to", to, "--spawn", spawn_command(peer, version, port), *strategies,
        "-n", "4000", "--stop-on-first", "-o", tmp_path / "found",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "1 finding," in done.stdout
    assert "reproduced 5 of 5" in done.stdout
    (folder,) = (each.parent for each in (tmp_path / "found").rglob("finding.json"))
    finding = read_finding(folder)
    assert finding.group.startswith(f"chitchat-{version}")
    assert finding.cluster_id == "unguessable"
    assert sum(map(len, finding.messages)) < 400
    again = run("reproduce", folder, "-n", "2")
    assert again.returncode == 1
    assert "failed 2 of 2 times" in again.stdout
    smaller = run("minimize", folder, "--time", "2")
    assert smaller.returncode == 0, smaller.stderr
    assert read_finding(folder).confirmed


@pytest.mark.long
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_stopped_reports_and_leaves_no_process(peer: Path, tmp_path: Path, stop: signal.Signals) -> None:
    port = free_port()
    command = spawn_command(peer, "0.13", port)
    words = ["run", "--to", f"127.0.0.1:{port}", "--spawn", command, "--strategy", "truncation", "-o", str(tmp_path)]
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + PATIENCE
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.1)
        while time.monotonic() < until:
            probe.sendto(b"\x53\xb0\x00\x00\x00\x00\x00\x00", ("127.0.0.1", port))
            try:
                probe.recv(100)
                break
            except (TimeoutError, ConnectionRefusedError):
                continue
    time.sleep(0.5)
    process.send_signal(stop)
    try:
        out, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 130
    assert " cases, " in out
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", port))


@pytest.mark.long
def test_a_node_without_spawn_is_only_watched(peer: Path, tmp_path: Path) -> None:
    port = free_port()
    process = Process(spawn_command(peer, "0.13", port))
    target = Target(("127.0.0.1", port), patience=1.0)
    campaign = Campaign(target, Plan(strategies=("strings",), cases=3000), tmp_path)
    said = ""
    try:
        campaign.run()
    except TargetDownError as error:
        said = str(error)
    finally:
        target.close()
        stderr, exit_code = process.stderr(), process.exit_code
        process.end()
    assert (target.is_node, target.knows_cluster, exit_code) == (True, True, None), stderr
    assert "panicked" in stderr
    assert "see --spawn" in said
    (finding,) = campaign.progress.findings
    assert finding.tries == 0
    assert isinstance(decode(encode(ack(()))), Ack)
    assert read_finding(Path(finding.folder)).messages == finding.messages
