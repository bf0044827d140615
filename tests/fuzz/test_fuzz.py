# SPDX-License-Identifier: GPL-2.0-or-later
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from scapy_chitchat import DecodeError, decode, encode, read_messages
from scapy_chitchat.fuzz import STRATEGIES, Context, case, cases, trial
from scapy_chitchat.fuzz.building import ack, entry, section, syn_ack
from scapy_chitchat.fuzz.campaign import Campaign, Plan
from scapy_chitchat.fuzz.draw import PEOPLE, Draw
from scapy_chitchat.fuzz.finding import CampaignFinding, as_python, built, read_finding, write_finding
from scapy_chitchat.fuzz.target import Process, Target, TargetDownError, panic_in
from scapy_chitchat.fuzz.trial import addressed
from scapy_chitchat.records.classes import Ack, NodeOp
from scapy_chitchat.records.identity import ChitchatId
from scapy_chitchat.replay.reach import names_elsewhere
from scapy_chitchat.replay.rewrite import canonical_address
from scapy_chitchat.wire.protocol import MAX_DATAGRAM
from tests.support import PCAPS
from tests.support.peers import PATIENCE, free_port

COMMAND = [sys.executable, "-c", "from scapy_chitchat.cli import main; main()", "fuzz"]
CONTEXT = Context("c", ChitchatId("own", 7, "127.0.0.1:7280"))


def run(*arguments: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=300, **more)


# --- cases ---


def test_the_same_seed_gives_the_same_cases() -> None:
    assert list(islice(cases(3, (), CONTEXT), 200)) == list(islice(cases(3, (), CONTEXT), 200))
    assert list(islice(cases(3, (), CONTEXT), 200)) != list(islice(cases(4, (), CONTEXT), 200))
    later = next(cases(3, (), CONTEXT, first=150))
    assert later == list(islice(cases(3, (), CONTEXT), 151))[150] == case(*later[:3], CONTEXT)


@pytest.mark.long
def test_neither_hashing_nor_what_ran_before_changes_a_case() -> None:
    digests = set()
    for hash_seed in ("1", "2"):
        done = run("generate", "-n", "300", "--seed", "9", "--json", env={**os.environ, "PYTHONHASHSEED": hash_seed})
        digests.add(hashlib.sha256(done.stdout.encode()).hexdigest())
    assert len(digests) == 1


def test_a_draw_is_the_same_in_every_python() -> None:
    draw = Draw(1, CONTEXT)
    drawn = [draw.below(1000), draw.number(), draw.text(), *draw.pick(PEOPLE), *map(tuple, draw.some(PEOPLE, 4))]
    drawn.append(draw.data(5))
    assert hashlib.sha256(repr(drawn).encode()).hexdigest()[:16] == "3e71903eb43ae2a7"


@pytest.mark.long
@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_makes_messages_that_fit_into_a_datagram(name: str) -> None:
    count = 12 if name == "limit" else 100
    for number in range(count):
        made = case(name, 1, number, CONTEXT)
        assert made.messages
        assert all(len(message) <= MAX_DATAGRAM for message in made.messages)


@pytest.mark.long
@pytest.mark.parametrize("name", [each.name for each in STRATEGIES.values() if each.structured])
def test_structured_cases_get_past_header_and_digest(name: str) -> None:
    count = 12 if name == "limit" else 200
    past = total = 0
    for message in (message for number in range(count) for message in case(name, 2, number, CONTEXT).messages):
        total += 1
        try:
            decode(message)
            past += 1
        except DecodeError as error:
            past += "digest" in error.partial or error.stream == "delta"
    assert past >= 0.6 * total


def test_a_message_is_cut_at_every_byte() -> None:
    sizes = {len(case("truncation", 1, number, CONTEXT).messages[0]) for number in range(256)}
    assert sizes == set(range(max(sizes) + 1))


def test_captured_messages_are_changed() -> None:
    captured = tuple(each.data for each in islice(read_messages(PCAPS / "v0-three-nodes.pcap"), 20))
    made = [case("mutation", 1, number, Context("prod", captured=captured)).messages[0] for number in range(100)]
    assert sum(b"node-0\x3e" in data or b"node-1" in data or b"prod" in data for data in made) > 40


def test_the_receivers_own_id_is_used() -> None:
    made = b"".join(b"".join(case("receiver", 1, number, CONTEXT).messages) for number in range(50))
    assert b"own" in made


def test_cases_that_would_make_a_node_gossip_elsewhere_are_known() -> None:
    for address, elsewhere in {
        "10.0.0.1:1": True,
        "8.8.8.8:1": True,
        "[2001:db8::1]:1": True,
        "[::ffff:8.8.8.8]:1": True,
        "239.1.1.1:1": True,
        "224.0.1.1:1": True,
        "224.1.0.1:1": True,
        "[ff03::1]:1": True,
        "[ff05::2]:1": True,
        "[ff0e::1]:1": True,
        "[ff15::1]:1": True,
        "0.0.0.0:0": True,
        "0.0.0.0:7280": True,
        "[::]:7280": True,
        "[::ffff:0.0.0.0]:7280": True,
        "255.255.255.255:1": True,
        "224.0.0.1:1": True,
        "[ff01::1]:1": True,
        "[ff02::1]:1": True,
        "[fe80::1]:1": True,
        "169.254.1.1:1": True,
        "[::10.0.0.1]:1": True,
        "[64:ff9b::a00:1]:1": True,
        "127.3.2.1:1": False,
        "[::1]:1": False,
        "[::ffff:127.0.0.1]:1": False,
    }.items():
        node = ChitchatId("n", 1, canonical_address(address))
        assert names_elsewhere(encode(syn_ack([entry(node)], ()))) is elsewhere, address
        delta = (NodeOp(*node, last_gc_version=0, from_version_excluded=0),)
        assert names_elsewhere(encode(Ack(delta=delta))) is elsewhere, address


@pytest.mark.long
def test_generated_cases_as_a_capture_and_as_json(tmp_path: Path) -> None:
    path = tmp_path / "cases.pcapng"
    assert run("generate", "--seed", "4", "-n", "40", "-w", path).returncode == 0
    lines = [json.loads(line) for line in run("generate", "--seed", "4", "-n", "40", "--json").stdout.splitlines()]
    assert len(lines) == 40
    wanted = [bytes.fromhex(message) for line in lines for message in line["messages"]]
    assert [each.data for each in read_messages(path, [7280])] == wanted
    first = lines[0]
    several = len(first["messages"])
    name = f"{first['strategy']} seed=4 case=0" + (f" message=1/{several}" if several > 1 else "")
    assert name.encode() in path.read_bytes()
    assert "sequences" in run("list").stdout


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
