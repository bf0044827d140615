# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line, as a person and as a script use it."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw
from scapy.utils import wrpcap

from scapy_chitchat import Chitchat, ChitchatAck, ChitchatSyn, KeyValueOp, NodeDigest, NodeOp
from tests.support import PCAPS

FAULTS = Path(__file__).parents[1] / "capture" / "faults"
THREE = PCAPS / "v0-three-nodes.pcap"
COMMAND = [sys.executable, "-c", "from scapy_chitchat.cli import main; main()"]


def run(*arguments: object, given: bytes = b"") -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*COMMAND, *map(str, arguments)], input=given, capture_output=True, check=False)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def lines_of(*arguments: object) -> list[str]:
    done = run("read", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_version_and_help() -> None:
    assert re.fullmatch(r"scapy-chitchat \d+\.\d+\.\d+\n", run("--version").stdout)
    assert "Example" in run("-h").stdout
    assert "Examples" in run("read", "-h").stdout


def test_a_line_a_message() -> None:
    lines = lines_of(THREE)
    assert len(lines) == 564
    assert re.search(
        r"^ +3  2026-11-24T06:24:56.380576Z  127.0.0.1:7280 > 127.0.0.3:7280  SynAck +V0 +260 B  "
        r"digest=2  delta=1 nodes/5 keys$",
        lines[2],
    )


def test_json_has_the_keys_of_the_interface_and_the_time_of_the_capture() -> None:
    first, *_, last = (json.loads(line) for line in lines_of("--json", THREE))
    assert list(first) == [
        "frame", "time", "source", "destination", "length", "version", "type", "cluster_id", "digest", "findings",
    ]  # fmt: skip
    assert '"time":1795501496.380437,' in lines_of("--json", THREE)[0]
    assert last["frame"] == 564


@pytest.mark.long
def test_filters_keep_what_they_say() -> None:
    every = [json.loads(line) for line in lines_of("--json", THREE)]
    of_type = [json.loads(line) for line in lines_of("--json", "--type", "Ack", "--type", "Syn", THREE)]
    assert of_type == [each for each in every if each["type"] in ("Ack", "Syn")]
    about = [json.loads(line) for line in lines_of("--json", "--node", "node-2", THREE)]
    assert 0 < len(about) < len(every)
    assert all('"node_id": "node-2"' in json.dumps(each) for each in about)
    with_key = [json.loads(line) for line in lines_of("--json", "--key", "key-*", THREE)]
    assert with_key == [
        each for each in every if any(op.get("key", "").startswith("key-") for op in each.get("delta", []))
    ]
    assert lines_of("--cluster", "prod", THREE) == lines_of(THREE)
    assert "another" not in run("read", "--cluster", "another", THREE).stdout


@pytest.mark.long
def test_a_cluster_is_told_from_the_last_syn_between_two_nodes() -> None:
    lines = lines_of("--json", PCAPS / "v0-bad-cluster.pcap")
    clusters = {json.loads(line).get("cluster_id") for line in lines} - {None}
    assert len(clusters) == 2
    kept = [len(lines_of("--cluster", name, PCAPS / "v0-bad-cluster.pcap")) for name in clusters]
    assert sum(kept) == len(lines)
    assert min(kept) > 0


def test_the_columns_of_one_list_match() -> None:
    for line in lines_of("--fields", "delta.op,delta.node_id,delta.key", THREE):
        operations, nodes, keys = (column.split(",") for column in line.split("\t"))
        assert len(operations) == len(nodes) == len(keys)
        if operations != [""]:
            assert all(nodes)
            assert [bool(key) for key in keys] == [operation == "KeyValue" for operation in operations]


def test_chosen_fields_are_columns() -> None:
    line = lines_of("--fields", "frame,type,digest.node_id,delta.key", THREE)[2]
    assert line == "3\tSynAck\tnode-0,node-2\tkey-0,key-1,key-2,key-3,key-4"


def test_the_tree() -> None:
    done = run("read", "-v", "--type", "SynAck", THREE)
    assert "###[ ChitchatSynAck ]###" in done.stdout
    assert "node_id   = 'node-0'" in done.stdout


def test_tables() -> None:
    out = run("read", "--summary", "--stats", THREE).stdout
    assert re.search(r"SynAck +V0 +188", out)
    assert re.search(r"prod +188", out)
    assert re.search(r"messages +564", out)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["read", "nowhere.pcap"], 1, "nowhere.pcap: No such file or directory"),
        (["read", __file__], 1, "no pcap or pcapng capture"),
        (["read", "/"], 1, "no captures in this folder"),
        (["read", "--type", "Sin", THREE], 2, "there is no type 'Sin'; there are Syn, SynAck, Ack, BadCluster"),
        (["read", "--bogus", THREE], 2, "No such option"),
        (["read", "--json", "-v", THREE], 2, "choose one"),
        (["read", "--fields", "time,nosuch", THREE], 2, "there is no 'nosuch'; there are frame, time, "),
        (["read", "--fields", "delta.nosuch", THREE], 2, "there are delta.from_version_excluded, "),
        (["reed"], 2, "No such command"),
        (["probe", "127.0.0.1:9", "--cluster", "\udcff"], 2, "cluster_id: 'utf-8' codec can't encode"),
        (["probe", "127.0.0.1:9", "--cluster", "x" * 65536], 2, "cluster_id: 65,536 is more than"),
        (["replay", THREE, "--to", "127.0.0.1:9", "--cluster-id", "\udcff"], 2, "cluster_id: 'utf-8' codec"),
        (["fuzz", "generate", "--json", "--cluster-id", "\udcff"], 2, "cluster_id: 'utf-8' codec"),
        (["fuzz", "generate", "--json", "--receiver", "n,1,10.0.0.1"], 2, "is not ID,GENERATION,IP:PORT"),
        (["fuzz", "generate", "--json", "--receiver", "n,-1,10.0.0.1:1"], 2, "is not ID,GENERATION,IP:PORT"),
    ],
)
def test_bad_input_gets_one_line_and_the_right_exit_code(arguments: list[object], code: int, says: str) -> None:
    done = run(*arguments)
    assert done.returncode == code
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.long
def test_odd_standard_streams_are_no_error() -> None:
    def shell(text: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = f"{' '.join(map(_quoted, COMMAND))} {text}"
        return subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, env={**os.environ, **environment}
        )

    assert shell(f"read {THREE} >&-").stderr == ""
    assert shell("read - <&-").stderr == "scapy-chitchat: standard input: no pcap or pcapng capture\n"
    assert shell("--version >/dev/full").stderr == "scapy-chitchat: No space left on device\n"
    tree = shell(f"read -v {THREE} | tail -n 3", PYTHONIOENCODING="ascii")
    assert tree.stderr == ""
    assert tree.stdout.isascii()


def test_a_capture_cut_in_the_middle_prints_what_came_before() -> None:
    done = run("read", "-", given=THREE.read_bytes()[:50_000])
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 276
    assert done.stderr == "scapy-chitchat: standard input: the capture is cut off behind frame 276\n"


def test_one_bad_file_does_not_keep_the_others_from_being_read() -> None:
    done = run("read", "nowhere.pcap", THREE)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 564


def test_no_messages_are_explained(tmp_path: Path) -> None:
    path = tmp_path / "other.pcap"
    wrpcap(str(path), [IP() / UDP(sport=53, dport=53) / Raw(b"hello")])
    done = run("read", path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "1 UDP datagram;" in done.stderr
    assert "--port" in done.stderr


def test_a_key_and_a_node_are_looked_for_in_one_section() -> None:
    path = FAULTS / "key-of-another-node.pcap"
    for more in ([], ["--node", "b"]):
        message, row = run("read", "--key", "y", *more, path).stdout.splitlines()
        assert message.split()[4:6] == ["10.0.0.2:7280", "Ack"], message
        assert row.split() == ["b", "y", "=", '"2"', "version", "2", "Set"]
    assert run("read", "--key", "y", "--node", "a", path).stdout == ""


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--node", "x"], "--node x: node ids here are node-0, node-1, node-2"),
        (["--type", "badcluster"], "--type BadCluster: types here are Ack, Syn, SynAck"),
        (["--cluster", "x"], "--cluster x: cluster_ids here are prod"),
        (["--findings"], "--findings: 0 of them with findings"),
        (
            ["--node", "x", "--key", "k"],
            "--node x --key k: node ids here are node-0, node-1, node-2; there are no keys of x here",
        ),
        (["--status", "DeleteAfterTtl", "--type", "Syn"], "--type Syn --status DeleteAfterTtl: types here are Ack"),
        (["--from", "1.2.3.4"], "--from 1.2.3.4: senders here are 127.0.0.1:"),
        (["--to", "1.2.3.4"], "--to 1.2.3.4: receivers here are 127.0.0.1:"),
        (["--since", "2100-01-01"], "--since 2100-01-01: times here are 17"),
        (
            ["--until", "0", "--node", "*"],
            "--node * --until 0: node ids here are node-0, node-1, node-2; times here are 17",
        ),
        (["--node", "*"], None),
    ],
)
def test_filters_that_nothing_passes_are_explained(options: list[str], line: str | None) -> None:
    done = run("read", *options, THREE)
    assert done.returncode == 0
    assert bool(done.stdout) == (line is None)
    assert done.stderr.startswith("" if line is None else f"scapy-chitchat: 0 of 564 messages pass {line}")
    assert done.stderr.count("\n") == (line is not None)


def test_of_many_names_a_few_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "many.pcap"
    frame = IP() / UDP(sport=7280, dport=7280) / Chitchat()
    entries = [NodeDigest(node_id=f"n{index}\x1b" + "x" * 100) for index in range(9)]
    wrpcap(str(path), [frame / ChitchatSyn(digest=entries[:8]), frame / ChitchatSyn(digest=entries)])
    said = run("read", "--node", "x", path).stderr
    assert said.startswith("scapy-chitchat: 0 of 2 messages pass --node x: node ids here are n0")
    assert (said.count(", n"), said.count("x…"), said.endswith(" …\n")) == (7, 8, True)
    assert "\x1b" not in said


def test_what_was_lost_is_said_at_the_end_whatever_is_asked_for() -> None:
    done = run("read", "--json", FAULTS / "port-filtered-first-fragments.pcap")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 4
    assert "2 datagrams whose later fragments are not in the capture" in done.stderr


def test_a_file_of_a_link_type_that_cannot_be_read_is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "usb.pcap"
    path.write_bytes(struct.pack("<IHHiIIIIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 189, 1, 0, 4, 4) + b"abcd")
    done = run("read", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "1 frame of link type 189 (USB)" in done.stderr


def test_tunnels_are_shown_on_request() -> None:
    path = FAULTS / "gre-ip.pcap"
    assert run("read", "-v", path).stdout.count("        in gre 192.168.1.10 > 192.168.1.11\n") == 4
    assert run("read", "--fields", "tunnel", path).stdout == "gre 192.168.1.10 > 192.168.1.11\n" * 4


def test_a_port_with_nothing_on_it_is_explained() -> None:
    done = run("read", "--port", 9, THREE)
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing from or to port 9 among 564 UDP datagrams: leave out --port" in done.stderr
    assert run("read", "--port", 99999, THREE).returncode == 2


EVIL = "\x1b[31mred\x07\u202egnp.exe\n\x7f\x85\u2067"


def strange_capture(path: Path) -> Path:
    """Two messages whose strings try to take over a terminal, and one that no node takes."""
    frame = IP() / UDP(sport=7280, dport=7280)
    wrpcap(
        str(path),
        [
            frame / Chitchat() / ChitchatSyn(cluster_id=EVIL, digest=[NodeDigest(node_id=EVIL)]),
            frame / Chitchat() / ChitchatAck(delta=[NodeOp(node_id=EVIL), KeyValueOp(key=EVIL, value=EVIL)]),
            frame / Raw(bytes(Chitchat() / ChitchatSyn(cluster_id=EVIL))[:-2]),
        ],
    )
    return path


@pytest.mark.parametrize(
    "options", [[], ["-v"], ["--findings"], ["--summary"], ["--json"], ["--fields", "cluster_id,delta.key"]]
)
def test_nothing_off_the_wire_reaches_a_terminal_raw(tmp_path: Path, options: list[str]) -> None:
    out = run("read", *options, strange_capture(tmp_path / "strange.pcap")).stdout
    assert out
    for char in ("\x1b", "\x07", "\x7f", "\x85", "\u202e", "\u2067"):
        assert char not in out


@pytest.mark.long
def test_a_tree_of_too_many_items_is_cut_with_a_word(tmp_path: Path) -> None:
    path = tmp_path / "many.pcap"
    digest = [NodeDigest(node_id=f"n{number}") for number in range(5)]
    wrpcap(str(path), [IP() / UDP(sport=7280, dport=7280) / Chitchat() / ChitchatSyn(digest=digest)])
    assert "a tree of 5 items is not shown: --limit 0" in run("read", "-v", "--limit", "4", path).stdout
    for limit in ("5", "0"):
        assert run("read", "-v", "--limit", limit, path).stdout.count("###[ NodeDigest ]###") == 5


def test_what_json_escapes_is_read_as_it_was(tmp_path: Path) -> None:
    first = json.loads(run("read", "--json", strange_capture(tmp_path / "strange.pcap")).stdout.splitlines()[0])
    assert first["cluster_id"] == first["digest"][0]["node_id"] == EVIL


def test_names_of_files_are_escaped_in_errors(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[31m\n\u202e.pcap"
    path.write_bytes(b"no capture at all")
    for words in (["read", path], ["read", tmp_path / "not\x1bthere"], ["replay", "-w", os.devnull, path]):
        done = run(*words)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert not {"\x1b", "\u202e"} & set(done.stderr)


def test_tables_show_text_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "marked.pcap"
    name = ":fire: [red]x[/red] [/]"
    wrpcap(str(path), [IP() / UDP(sport=7280, dport=7280) / Chitchat() / ChitchatSyn(cluster_id=name)])
    assert name in run("read", "--summary", path).stdout


def test_a_refused_message_shows_what_was_read_and_why(tmp_path: Path) -> None:
    path = strange_capture(tmp_path / "strange.pcap")
    refused = json.loads(run("read", "--json", path).stdout.splitlines()[2])
    assert refused["error"]["code"] == "string-short"
    assert list(refused["error"]) == ["code", "offset", "text", "detail"]
    assert refused["type"] == "Syn"
    assert [each["code"] for each in refused["findings"]] == ["string-short"]
    assert len(run("read", "--findings", path).stdout.splitlines()) == 2


def test_colours_are_for_terminals() -> None:
    assert "\x1b" not in run("read", THREE).stdout
    master, slave = pty.openpty()
    process = subprocess.Popen([*COMMAND, "read", str(PCAPS / "v0-bad-cluster.pcap")], stdout=slave, stderr=slave)
    os.close(slave)
    seen = b""
    while b"\n" not in seen:
        seen += os.read(master, 4096)
    process.kill()
    process.wait()
    os.close(master)
    assert b"\x1b[" in seen


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{' '.join(map(_quoted, COMMAND))} read {THREE} | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1


def _quoted(word: str) -> str:
    return f"'{word}'"


def test_ctrl_c_keeps_what_was_read() -> None:
    process = subprocess.Popen(
        [*COMMAND, "read", "--json", "--stats", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(THREE.read_bytes()[:50_000])
    out = b""
    while out.count(b"\n") < 100:
        out += process.stdout.read(4096)
    process.send_signal(signal.SIGINT)
    rest, error = process.communicate(timeout=60)
    assert process.returncode == 130
    lines = (out + rest).splitlines()
    assert json.loads(lines[-1])["frame"] == len(lines), "nothing is lost, nothing half written"
    assert b"messages" in error
    assert b"Traceback" not in error
