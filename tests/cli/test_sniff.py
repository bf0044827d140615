# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat sniff`` on loopback and in namespaces of its own."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP, fragment
from scapy.packet import Raw

from scapy_chitchat import (
    Block,
    Chitchat,
    ChitchatAck,
    ChitchatSyn,
    KeyValueOp,
    NodeDigest,
    NodeOp,
    read_messages,
)
from scapy_chitchat.capture import CaptureError, CaptureFile
from scapy_chitchat.capture.live import Interface, udp_filter
from scapy_chitchat.cli import capturing
from scapy_chitchat.cli import sniff as command
from scapy_chitchat.cli.common import CommandFailed
from scapy_chitchat.cli.exporting import Metrics
from scapy_chitchat.cli.options import MessageOptions
from scapy_chitchat.wire.protocol import BlockType
from tests import live
from tests.live import SNIFF, sniffing
from tests.support.legacy import legacy_frame
from tests.support.namespaces import linked
from tests.support.peers import PATIENCE, eventually, free_port, why_no_peer
from tests.support.wrapped import inner4, mac, tunnels

FAULTS = Path(__file__).parents[1] / "capture" / "faults"
SYN = bytes(Chitchat() / ChitchatSyn(cluster_id="c", digest=[NodeDigest(node_id="a")]))
ACK = bytes(Chitchat(version=1) / ChitchatAck(delta=[NodeOp(node_id="b"), KeyValueOp(key="k", value="v" * 50_000)]))

NO_PEER = why_no_peer()
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="capturing on an interface needs root")


def send(port: int, *messages: bytes, host: str = "127.0.0.1") -> None:
    """Send datagrams to a port of this machine."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for message in messages:
            sender.sendto(message, (host, port))


def lines_of(process: subprocess.Popen[str], count: int) -> list[str]:
    """The next lines of output; waits for them."""
    assert process.stdout
    return [process.stdout.readline().rstrip("\n") for _ in range(count)]


@needs_root
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_messages_are_shown_as_they_come(host: str) -> None:
    port = free_port(host)
    with sniffing("-i", "lo", "--port", str(port)) as process:
        send(port, SYN, host=host)
        (line,) = lines_of(process, 1)
        assert f":{port}  Syn         V0" in line
        assert line.endswith("cluster=c  digest=1")
        send(port, ACK, host=host)
        (line,) = lines_of(process, 1)
        assert "Ack         V1" in line
        assert line.endswith("delta=1 nodes/1 keys")


@needs_root
def test_a_message_on_loopback_is_seen_once_and_others_not_at_all() -> None:
    port = free_port()
    with sniffing("-i", "lo", "--port", str(port), "--json") as process:
        send(free_port(), SYN)
        send(port, SYN, b"not gossip", ACK)
        first, second, third = map(json.loads, lines_of(process, 3))
    assert [each["frame"] for each in (first, second, third)] == [1, 2, 3]
    assert (first["type"], second["error"]["code"], third["type"]) == ("Syn", "bad-magic", "Ack")
    assert abs(first["time"] - time.time()) < 60


@needs_root
@pytest.mark.parametrize("interface", ["lo", "any"])
def test_any_port_knows_messages_by_their_header(interface: str) -> None:
    port = free_port()
    message = bytes(Chitchat() / ChitchatSyn(cluster_id=f"at {port}"))
    seen = threading.Event()

    def send_until_seen() -> None:
        while not seen.wait(0.1):
            send(port, b"something else", message)

    with sniffing("-i", interface, "--any-port", "--fields", "destination,cluster_id") as process:
        sender = threading.Thread(target=send_until_seen)
        sender.start()
        try:
            lines = iter(lambda: lines_of(process, 1)[0], "")  # of others too: whatever passes
            assert f"127.0.0.1:{port}\tat {port}" in lines, process.stderr and process.stderr.read()
        finally:
            seen.set()
            sender.join()


@needs_root
@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly_with_all_that_came_before(way: signal.Signals, tmp_path: Path) -> None:
    port, kept = free_port(), tmp_path / "kept.pcapng"
    arguments = ["-i", "lo", "--port", str(port), "--json", "--summary", "--stats", "--user", "root", "-w", str(kept)]
    with sniffing(*arguments, output=(tmp_path / "out").open("w")) as process:
        send(port, *[SYN, ACK] * 100)
        process.send_signal(way)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    shown = (tmp_path / "out").read_text().splitlines()
    assert len(shown) == 200
    assert all(json.loads(line) for line in shown)
    assert "Node pairs" in said
    assert re.search(r"lost: frames that the kernel dropped +0 ", said)
    assert [each.data for each in read_messages(kept)] == [SYN, ACK] * 100
    assert [each.as_json().decode() for each in read_messages(kept)] == shown


@needs_root
def test_it_stops_after_so_many_messages() -> None:
    port = free_port()
    with sniffing("-i", "lo", "--port", str(port), "-c", "2", "--type", "Syn") as process:
        send(port, SYN, ACK, SYN, SYN)
        out, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (0, "")
    assert len(out.splitlines()) == 2


@needs_root
def test_it_stops_in_time_and_says_what_to_try_when_there_was_nothing() -> None:
    done = subprocess.run(
        [*SNIFF, "-i", "lo", "--port", str(free_port()), "--seconds", "0.2"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert "--any-port looks at all" in done.stderr
    assert done.stderr.count("\n") == 1


@needs_root
def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    port = free_port()
    with sniffing("-i", "lo", "--port", str(port)) as process:
        assert process.stdout
        send(port, SYN)
        lines_of(process, 1)
        process.stdout.close()

        def ended() -> bool:
            send(port, SYN)
            return process.poll() is not None

        assert eventually(ended)
        assert process.returncode == 0
        assert process.stderr
        assert process.stderr.read() == ""
        process.stdout = None


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["-i", "nothing0"], 1, "no such interface; there are"),
        (["-i", "lo", "--port", "1", "--any-port"], 2, "--port and --any-port"),
        (["-i", "lo", "-w", "-"], 2, "-w wants a file"),
        ([], 2, "--interface"),
    ],
)
def test_bad_usage_is_one_line(arguments: list[str], code: int, says: str) -> None:
    extra = ["--json"] if not arguments else []
    done = subprocess.run([*SNIFF, *arguments, *extra], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


# --- rights ---


@needs_root
@pytest.mark.parametrize(("sudo", "option", "uid"), [("", [], None), ("1", [], 1), ("1", ["--user", "bin"], 2)])
def test_once_it_captures_it_has_no_rights_left(
    sudo: str, option: list[str], uid: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_UID", sudo)
    wanted = pwd.getpwnam("nobody").pw_uid if uid is None else uid
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:  # those of pytest are root's alone
        Path(folder).chmod(0o777)
        kept = Path(folder) / "kept.pcapng"
        arguments = ["-i", "lo", "--port", str(port), "--summary", "-v", "-w", str(kept), *option]
        with sniffing(*arguments) as process:
            send(port, SYN)
            lines_of(process, 1)
            status = Path(f"/proc/{process.pid}/status").read_text()
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=PATIENCE)[1]
        assert process.returncode == 0, said
        assert re.findall(r"Uid:\t(\d+)\t(\d+)\t(\d+)", status) == [(str(wanted),) * 3]
        assert set(re.findall(r"Cap(?:Prm|Eff|Inh):\t(\w+)", status)) == {"0" * 16}
        assert kept.stat().st_uid == wanted
        assert len(list(read_messages(kept))) == 1


TELLS_WHAT_IT_IMPORTS = """
import atexit, sys
from scapy_chitchat.cli import main, sniff

def and_tell_later(user, give_up=sniff.give_up):
    give_up(user)
    before = set(sys.modules)
    atexit.register(lambda: print(*("imported " + each for each in set(sys.modules) - before), file=sys.stderr))

sniff.give_up = and_tell_later
main()
"""


def legacy_ack() -> bytes:
    """An Ack with a block of zstd 0.7, which another library reads than all others."""
    items = Chitchat(bytes(Chitchat() / ChitchatAck(delta=[NodeOp(node_id="a")]))).delta_blocks[0].data
    block = Block(type=BlockType.Compressed, data=legacy_frame(items))
    return bytes(Chitchat() / ChitchatAck(delta_blocks=[block, Block(type=BlockType.NoMoreBlocks)]))


@needs_root
@pytest.mark.parametrize("options", ["", "-v", "--json", "--fields cluster_id,delta.key,error", "--summary --stats"])
def test_without_the_rights_of_root_nothing_is_imported(options: str) -> None:
    """Where Python lies in a home of root's, nobody else can read it."""
    odd = bytes(Chitchat() / ChitchatSyn(cluster_id="\x1b[2J\u202e\x85 日本 \U0001f525 [red]"))
    port = free_port()
    with sniffing(
        "-i", "lo", "--port", str(port), "-c", "6", *options.split(), program=TELLS_WHAT_IT_IMPORTS
    ) as process:
        send(port, SYN, odd, ACK, ACK[:-5], b"no gossip", legacy_ack())
        shown, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert shown
    assert "imported" not in said


@needs_root
def test_who_may_not_write_is_told_so(tmp_path: Path) -> None:
    for arguments, says in (
        (["-w", str(tmp_path / "kept.pcapng"), "--user", "nobody"], "nobody may not write there; --user names another"),
        (["--user", "no-such-user"], "there is no user no-such-user"),
    ):
        done = subprocess.run([*SNIFF, "-i", "lo", *arguments], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert says in done.stderr
        assert done.stderr.count("\n") == 1


# --- without the right to capture ---


@pytest.mark.skipif(not shutil.which("setpriv") or os.geteuid() != 0, reason="setpriv takes the right from root only")
def test_without_privileges_there_is_one_line() -> None:
    taken = ["setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw"]
    done = subprocess.run([*taken, *SNIFF, "-i", "lo"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("scapy-chitchat: capturing needs the right to (CAP_NET_RAW): ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("there", "privileged", "remedy"),
    [
        ({"tcpdump", "sudo"}, True, "tcpdump -i eth9 -w - udp | scapy-chitchat read -"),
        ({"tcpdump", "sudo"}, False, "run it with sudo"),
        ({"tcpdump"}, False, f"setcap cap_net_raw=ep {os.path.realpath(sys.executable)}"),
        (set(), False, "as root"),
    ],
)
def test_the_remedy_is_one_that_is_there(
    monkeypatch: pytest.MonkeyPatch, there: set[str], privileged: bool, remedy: str
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError

    monkeypatch.setattr(capturing, "Interface", refuse)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if name in there else None)
    monkeypatch.setattr(capturing, "_may_capture", lambda _: privileged)
    with pytest.raises(CommandFailed, match="CAP_NET_RAW") as caught:
        command.sniff(command.Capture("eth9"), MessageOptions(), Metrics())
    assert remedy in str(caught.value)
    assert "\n" not in str(caught.value)


# --- in namespaces ---


def in_namespace(within: list[str], text: str) -> None:
    """Run a few lines of Python in a namespace."""
    subprocess.run([*within, sys.executable, "-c", text], check=True)


@pytest.mark.long
@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize(("addresses", "target"), [
    ((["10.77.0.1/24"], ["10.77.0.2/24"]), "10.77.0.2"),
    ((["fd77::1/64", "10.77.0.1/24"], ["fd77::2/64"]), "fd77::2"),
])  # fmt: skip
def test_fragments_on_a_wire_are_put_together(addresses: tuple[list[str], list[str]], target: str) -> None:
    data = bytes(Chitchat() / ChitchatSyn(cluster_id="c", digest=[NodeDigest(node_id=f"n{i:04}") for i in range(1000)]))
    with linked(*addresses) as (here, there), sniffing("-i", "gossip", "--json", within=there) as process:
        text = f"""
import socket, time
family = socket.AF_INET6 if ":" in {target!r} else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as sender:
    for attempt in range(100):  # an IPv6 address is not usable at once
        try:
            sender.bind(("fd77::1" if family == socket.AF_INET6 else "10.77.0.1", 0))
            break
        except OSError:
            time.sleep(0.1)
    for _ in range(20):
        sender.sendto(bytes.fromhex({data.hex()!r}), ({target!r}, 7280))
        time.sleep(0.05)
"""
        in_namespace(here, text)
        message = json.loads(lines_of(process, 1)[0])
    assert message["length"] == len(data)
    assert len(message["digest"]) == 1000
    assert message["frame"] > 30


@pytest.mark.usefixtures("namespaces")
def test_an_interface_that_goes_down_is_said() -> None:
    with linked(["10.77.0.1/24"], ["10.77.0.2/24"]) as (_, there), sniffing("-i", "gossip", within=there) as process:
        subprocess.run([*there, "ip", "link", "set", "gossip", "down"], check=True)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "gossip: Network is down" in said


@pytest.mark.long
@pytest.mark.usefixtures("namespaces")
@pytest.mark.skipif(not shutil.which("tcpdump"), reason="there is no tcpdump to compare with")
@pytest.mark.skipif(bool(NO_PEER), reason=NO_PEER)
def test_all_that_tcpdump_sees_of_a_real_cluster_is_shown_and_decoded(tmp_path: Path) -> None:
    figures = live.run(4, tmp_path)
    assert (figures.missing, figures.refused, figures.dropped) == (0, 0, 0)
    assert figures.by_tcpdump > 300
    assert figures.largest > 50_000
    assert figures.fragments > 500


@needs_root
def test_an_interface_counts_what_it_gave() -> None:
    port = free_port()
    with Interface("lo", [port]) as interface:
        send(port, SYN, SYN)
        frames = iter(interface)
        seen = [next(frames) for _ in range(3)]
        assert [frame is None for frame in seen] == [False, False, True]
        assert interface.statistics() == (2, 0)
        assert interface.statistics() == (2, 0)


def test_no_such_interface_is_a_capture_error() -> None:
    with pytest.raises(CaptureError, match="nothing0: no such interface"):
        Interface("nothing0")


# --- tunnels ---


def put_on_wire(within: list[str], frames: list[bytes]) -> None:
    """Send frames as they are, from the interface of this end."""
    sending = """
import socket, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
    out.bind(("gossip", 0))
    for line in sys.stdin:
        out.send(bytes.fromhex(line))
"""
    lines = "".join(f"{frame.hex()}\n" for frame in frames)
    subprocess.run([*within, sys.executable, "-c", sending], input=lines, text=True, check=True)


@contextmanager
def on_link(*arguments: str) -> Iterator[tuple[list[str], subprocess.Popen[str]]]:
    """``sniff`` at one end of a link; what runs a command at the other."""
    with (
        linked(["10.77.0.1/24"], ["10.77.0.2/24"]) as (here, there),
        sniffing("-i", "gossip", *arguments, within=there) as process,
    ):
        yield here, process


PLAIN = bytes(mac() / inner4())
LAST = bytes(mac() / IP(src="10.9.9.9") / UDP(sport=7280, dport=7280) / Raw(SYN))
"""A message on a usual port from an address that nothing else comes from: behind it nothing more is sent."""
FRAMED = [each for each in tunnels() if each.linktype == 1]


def sniffed(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """All messages up to the last."""
    found: list[dict[str, Any]] = []
    while not found or found[-1]["source"] != "10.9.9.9:7280":
        found.append(json.loads(lines_of(process, 1)[0]))
    return found[:-1]


@pytest.mark.long
@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize("ports", [[], ["--port", "7280"], ["--any-port"]], ids=" ".join)
def test_every_tunnel_passes_the_kernel_when_asked(ports: list[str]) -> None:
    with on_link("--tunnels", "--json", *ports) as (here, process):
        put_on_wire(here, [each.frame for each in FRAMED] + [LAST])
        found = sniffed(process)
    assert [tuple(each.get("tunnel", ())) for each in found] == [each.tunnel for each in FRAMED]


@pytest.mark.usefixtures("namespaces")
def test_without_being_asked_for_tunnels_stay_outside_and_fragments_come() -> None:
    pieces = [bytes(mac() / each) for each in fragment(inner4() / Raw(bytes(4000)), 1400)]  # type: ignore[no-untyped-call]
    with on_link("--json") as (here, process):
        put_on_wire(here, [*(each.frame for each in FRAMED if "v4" in each.name or "vxlan" in each.name), *pieces])
        put_on_wire(here, [LAST])
        found = sniffed(process)
    assert [(each["length"], "tunnel" in each) for each in found] == [(len(SYN) + 4000, False)]


@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize("frames", [[PLAIN], [FRAMED[0].frame]], ids=["none", "one"])
def test_it_is_said_that_there_were_no_tunnels(frames: list[bytes]) -> None:
    with on_link("--tunnels", "-c", "1") as (here, process):
        put_on_wire(here, frames)
        _, said = process.communicate(timeout=PATIENCE)
    assert ("no tunnels on gossip" in said) == (frames == [PLAIN])


@pytest.mark.usefixtures("namespaces")
def test_a_message_behind_a_flood_of_fragments_is_shown() -> None:
    with CaptureFile(FAULTS / "dos-fragments.pcap.gz") as read:
        flood = [frame.data for frame in read]
    with on_link("--json") as (here, process):
        put_on_wire(here, [*flood, LAST])
        assert [each for each in sniffed(process) if each["source"] == "10.9.9.9:7280"] == []
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
    assert "dropped" not in said


@pytest.mark.parametrize("tunnels", [False, True])
@pytest.mark.parametrize("count", [0, 1, 50, 51])
def test_a_filter_of_many_ports_can_be_written(count: int, tunnels: bool) -> None:
    assert len(udp_filter(range(1, count + 1), tunnels=tunnels)) % 8 == 0
