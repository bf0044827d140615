# SPDX-License-Identifier: GPL-2.0-or-later
"""Putting the dissector where Wireshark finds it, as root and as an ordinary user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scapy_chitchat.cli.application import application
from scapy_chitchat.cli.common import CommandFailed
from scapy_chitchat.wireshark import install as setup
from tests.support import ROOT
from tests.support.tsharks import DISSECTOR, NOBODY, Tshark, every_tshark_in_a_folder

PCAP = ROOT / "pcaps" / "v1-five-nodes.pcap"


def run(*arguments: str) -> str:
    """What a command says; what it raises is raised here."""
    result = CliRunner().invoke(application(), ["wireshark", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path


def test_generate_writes_the_file_of_the_repository(tmp_path: Path) -> None:
    assert run("generate") == DISSECTOR.read_text()
    target = tmp_path / "chitchat.lua"
    assert "written" in run("generate", "-o", str(target))
    assert "up to date" in run("generate", "-o", str(target))
    assert target.read_text() == DISSECTOR.read_text()


@pytest.mark.long
def test_install_and_uninstall(home: Path) -> None:
    said = run("install", "--colors", "--filters")
    installed = next(home.rglob("chitchat.lua"))
    assert str(installed) in said
    assert installed.read_text() == DISSECTOR.read_text()
    assert "chitchat.reset" in said
    assert "(installed)" in run("where")
    said = run("uninstall")
    assert str(installed) in said
    assert not list(home.rglob("chitchat.*"))
    assert "nothing to remove" in run("uninstall")


@pytest.mark.long
def test_a_file_of_somebody_else_stays(tmp_path: Path) -> None:
    target = tmp_path / "chitchat.lua"
    target.write_text("-- mine")
    for command in ("install", "uninstall"):
        with pytest.raises(CommandFailed, match="--force"):
            run(command, "--folder", str(tmp_path))
        assert target.read_text() == "-- mine"
    run("install", "--folder", str(tmp_path), "--force")
    assert target.read_text() == DISSECTOR.read_text()


def test_an_older_version_of_ours_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "chitchat.lua"
    target.write_text(DISSECTOR.read_text() + "-- an old line\n")
    assert "replaced" in run("install", "--folder", str(tmp_path))
    assert target.read_text() == DISSECTOR.read_text()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandFailed, match="file"):
        run("install", "--folder", str(tmp_path / "file"))


def test_without_tshark_the_rule_of_the_platform_holds(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home))
    assert setup.folders().personal == home / ".local/lib/wireshark/plugins"
    assert "no tshark" in run("where")
    assert "Help, About" in run("install")
    with pytest.raises(CommandFailed, match="--folder"):
        run("install", "--global")


def test_on_windows_the_rule_is_another(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home))
    monkeypatch.setenv("APPDATA", str(home / "Roaming"))
    monkeypatch.setattr(sys, "platform", "win32")
    assert setup.folders().personal == home / "Roaming" / "Wireshark" / "plugins"


@pytest.mark.long
def test_colouring_rules_are_valid_filters() -> None:
    if not shutil.which("tshark"):
        pytest.skip("there is no tshark on PATH")
    tshark = Tshark()
    for condition in [each[1] for each in setup.COLOURS] + [each[0] for each in setup.FILTERS]:
        tshark.run(PCAP, "-c", "3", "-Y", condition)


# --- real plugin folders, in folders that have a system of their own ---

Install = Callable[[Path, Path], Path]


def plugin_folders(tshark: Tshark, home: str) -> dict[str, Path]:
    """Wireshark's plugin folders inside its folder."""
    assert tshark.folder
    command = ["chroot", str(tshark.folder), "env", f"HOME={home}", "tshark", "-G", "folders"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
    return {name: tshark.folder / names[f"{name} Lua Plugins"].strip()[1:] for name in ("Personal", "Global")}


@every_tshark_in_a_folder
@pytest.mark.parametrize("user", ["root", "ordinary"])
@pytest.mark.parametrize("where", ["Personal", "Global"])
def test_it_works_for_everybody_from_every_plugin_folder(tshark: Tshark, user: str, where: str) -> None:
    assert tshark.folder
    home = tshark.folder / "tmp" / f"home-{user}"
    home.mkdir(exist_ok=True)
    shutil.chown(home, NOBODY if user == "ordinary" else 0)
    target = plugin_folders(tshark, f"/tmp/home-{user}")[where] / "chitchat.lua"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(DISSECTOR, target)
    target.chmod(0o644)
    try:
        identity = [f"--userspec={NOBODY}:{NOBODY}"] if user == "ordinary" else []
        command = ["chroot", *identity, str(tshark.folder), "env", f"HOME=/tmp/home-{user}", "tshark"]
        shown = subprocess.run([*command, "-r", tshark.path_of(PCAP), "-c", "1"], capture_output=True, text=True).stdout
    finally:
        target.unlink()
    loaded = "Syn V1, cluster=prod, digest=1" in shown
    # from 4.4 on Wireshark loads no personal plugins for root; install says so and names --global
    assert loaded == (not (user == "root" and where == "Personal" and tshark.version() >= (4, 4))), shown


def test_an_ordinary_user_of_this_machine(tmp_path: Path) -> None:
    if os.geteuid() != 0 or not shutil.which("tshark") or not shutil.which("setpriv"):
        pytest.skip("needs root, tshark and setpriv")
    plugins = tmp_path / ".local/lib/wireshark/plugins"
    setup.write(plugins / setup.FILE_NAME, DISSECTOR.read_text())
    for folder in [*reversed(tmp_path.parents), tmp_path, *tmp_path.rglob("*")]:
        if folder.is_relative_to("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o055)
    command = [
        "setpriv",
        f"--reuid={NOBODY}",
        f"--regid={NOBODY}",
        "--clear-groups",
        "env",
        f"HOME={tmp_path}",
        "tshark",
    ]
    copy = tmp_path / PCAP.name
    shutil.copy(PCAP, copy)
    copy.chmod(0o644)
    shown = subprocess.run([*command, "-r", str(copy), "-c", "1"], capture_output=True, text=True).stdout
    assert "Syn V1, cluster=prod, digest=1" in shown
