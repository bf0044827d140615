# SPDX-License-Identifier: GPL-2.0-or-later
"""The rights of ``scapy-chitchat sniff``: what it wants, and what it gives up."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from scapy_chitchat import (
    Block,
    Chitchat,
    ChitchatAck,
    ChitchatSyn,
    NodeOp,
    read_messages,
)
from scapy_chitchat.cli import capturing
from scapy_chitchat.cli import sniff as command
from scapy_chitchat.cli.common import CommandFailed
from scapy_chitchat.cli.exporting import Metrics
from scapy_chitchat.cli.options import MessageOptions
from scapy_chitchat.wire.protocol import BlockType
from tests.cli.sniffed import ACK, SYN, lines_of, needs_root, send
from tests.live import SNIFF, sniffing
from tests.support.legacy import legacy_frame
from tests.support.peers import PATIENCE, free_port


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
