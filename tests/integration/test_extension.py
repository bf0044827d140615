# SPDX-License-Identifier: GPL-2.0-or-later
"""The package as a Scapy extension: each in a Scapy of its own, started afresh."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import scapy

from tests.support import ROOT

LOADED = """
from scapy.all import *
conf.exts.load("scapy-chitchat")
load_contrib("chitchat")
"""


def run(text: str, folder: Path, **environment: str) -> str:
    """What Python prints when it runs this in a folder that is not ours."""
    done = subprocess.run(
        [sys.executable, "-c", text],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


CHECKS = {
    "the layers come into the session": """
        assert bytes(Chitchat()/ChitchatAck())
        assert "ChitchatSession" in globals() or hasattr(__builtins__, "ChitchatSession")
    """,
    "it is a module of Scapy's": """
        from scapy.contrib.chitchat import *
        import scapy.contrib.chitchat, scapy_chitchat
        assert set(scapy.contrib.chitchat.__all__) == set(scapy_chitchat.__all__)
    """,
    "there is one class of each": """
        import scapy.contrib.chitchat, scapy_chitchat.wire.layers
        assert scapy.contrib.chitchat.Chitchat is scapy_chitchat.wire.layers.Chitchat is Chitchat
        names = [layer.__name__ for layer in conf.layers]
        assert names.count("Chitchat") == names.count("NodeOp") == names.count("Malformed") == 1
    """,
    "each is bound once": """
        bound = [str(fields) for fields, layer in UDP.payload_guess if layer is Chitchat]
        assert bound and len(set(bound)) == len(bound), bound
        bodies = [fields for fields, layer in Chitchat.payload_guess]
        assert len(bodies) == 4, bodies
    """,
    "packets of its ports are dissected": """
        frame = bytes(Ether()/IP()/UDP(dport=7280)/Chitchat()/ChitchatSyn(cluster_id="c"))
        assert Ether(frame)[ChitchatSyn].cluster_id == "c"
    """,
    "packets can be pickled": """
        import pickle
        packet = IP()/UDP()/Chitchat()/ChitchatSyn(cluster_id="c", digest=[NodeDigest(node_id="n")])
        assert bytes(pickle.loads(pickle.dumps(packet))) == bytes(packet)
    """,
    "loading it twice changes nothing": """
        before = len(conf.layers), len(UDP.payload_guess)
        conf.exts.load("scapy-chitchat")
        load_contrib("chitchat")
        from scapy_chitchat import *
        assert before == (len(conf.layers), len(UDP.payload_guess))
    """,
}


def test_loaded_as_an_extension(tmp_path: Path) -> None:
    text = LOADED
    for name, lines in CHECKS.items():
        text += f"print({name!r})\n" + "\n".join(line.strip() for line in lines.splitlines()) + "\n"
    assert run(text, tmp_path).splitlines() == list(CHECKS)


@pytest.mark.long
def test_explore_and_ls_list_the_layers(tmp_path: Path) -> None:
    shown = run(LOADED + 'explore("chitchat")\nls("KeyValue")\nls(ChitchatSyn)', tmp_path)
    assert "Packets contained in scapy.contrib.chitchat" in shown
    for layer in ("Chitchat", "ChitchatSyn", "ChitchatBadCluster", "NodeDigest", "KeyValueOp", "Block"):
        assert sum(line.split("|")[0].strip() == layer for line in shown.splitlines()) == 1
    assert "WirePacket" not in shown
    assert "KeyValueOp : KeyValueOp" in shown
    assert "cluster_id : StringField" in shown


@pytest.mark.parametrize("start", [LOADED, "from scapy.all import *\nfrom scapy_chitchat import *\n"])
def test_the_list_behind_the_graphical_explore_is_not_broken(start: str, tmp_path: Path) -> None:
    shown = run(start + "print([name for name, _ in conf.layers.layers()])", tmp_path)
    assert "scapy.layers.inet" in shown
    assert ("scapy.contrib.chitchat" in shown) == (start is LOADED)


@pytest.mark.long
def test_it_works_from_an_installed_wheel(tmp_path: Path) -> None:
    wheels, installed = tmp_path / "wheels", tmp_path / "installed"
    source = tmp_path / "source"
    shutil.copytree(ROOT / "scapy_chitchat", source / "scapy_chitchat", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    built = subprocess.run(
        [*pip, "wheel", "--no-deps", "-w", wheels, source], capture_output=True, text=True, check=False
    )
    if built.returncode:
        if "CI" in os.environ:
            pytest.fail(built.stderr)
        pytest.skip("no wheel can be built here: its build wants setuptools 77 from a package index")
    (wheel,) = wheels.iterdir()
    subprocess.run([*pip, "install", "--no-deps", "--target", installed, wheel], check=True)
    others = Path(scapy.__file__).parent.parent  # where what it depends on is
    where = run(
        LOADED + "import scapy_chitchat, sys\nexplore('chitchat')\nprint(scapy_chitchat.__file__)",
        tmp_path,
        PYTHONPATH=os.pathsep.join((str(installed), str(others))),
    )
    assert where.splitlines()[-1] == str(installed / "scapy_chitchat" / "__init__.py")
    assert "ChitchatSyn" in where
