# SPDX-License-Identifier: GPL-2.0-or-later
"""Record captures of real nodes, in network namespaces of their own, with the truth beside them.

    sudo python -m tests.record story pcaps/story.pcap.gz
    sudo python -m tests.record my-scenario.json capture.pcap --seconds 20
    sudo python -m tests.record judged FOLDER

A scenario is one of tests/recording/scenarios.py, or a JSON file of the same form (tests/recording/scenario.py says
what it may have). Nodes at one end are on a loopback of MTU 1500, captured there; at two they are joined by a veth pair
and captured on it: what nodes of one end say to each other is not seen. Where they talk through a tunnel, ``.inside``
beside the capture is what tcpdump saw in it. ``judged`` makes, one after the other, all
captures by which the cluster engine is judged. Beside a capture, ``.jsonl`` is the truth, compressed where the capture
is; tests/recording/recorder.py describes it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from scapy_chitchat import read_messages
from tests.live import tcpdump
from tests.recording.recorder import Recorder
from tests.recording.scenario import Scenario
from tests.recording.scenarios import JUDGED, SCENARIOS, STORIES
from tests.support.namespaces import TUNNEL, VETH, NoNamespaces, add_tunnel, linked, namespace
from tests.support.peers import PATIENCE, NoPeer

OUTER = ("10.78.0.1", "10.78.0.2")
"""The addresses between which a tunnel leads."""


@contextmanager
def network(scenario: Scenario) -> Iterator[tuple[list[list[str]], str]]:
    """Where the nodes of each end run, and the interface to capture on."""
    ends = scenario.ends
    if len(ends) == 1:
        with namespace("recorded") as within:
            yield [within], "lo"
        return
    addresses = [[f"{node['listen'].rpartition(':')[0]}/24" for node in nodes] for nodes in ends]
    if not scenario.tunnel:
        with linked(*addresses) as inside:
            yield inside, VETH
        return
    with linked(*([f"{each}/24"] for each in OUTER)) as inside:
        add_tunnel(inside, scenario.tunnel, OUTER, addresses)
        yield inside, VETH


def record(scenario: Scenario, capture: Path, seconds: float) -> None:
    """Run a scenario; write what was captured, and the truth beside it. Raises NoNamespaces or NoPeer."""
    with tempfile.TemporaryDirectory() as folder:
        raw, within_tunnel = Path(folder) / "capture.pcap", Path(folder) / "inside.pcap"
        with ExitStack() as opened:
            inside, interface = opened.enter_context(network(scenario))
            opened.enter_context(tcpdump(interface, raw, inside[0]))
            if scenario.tunnel:
                opened.enter_context(tcpdump(TUNNEL, within_tunnel, inside[0]))
            recorder = Recorder(scenario, inside)
            opened.callback(settled, [raw, within_tunnel])
            opened.callback(recorder.stop)
            recorder.run(seconds)
        packed = capture.suffix == ".gz"
        written = {capture: raw, **({beside(capture, "inside.pcap"): within_tunnel} if scenario.tunnel else {})}
        for path, recorded in written.items():
            data = recorded.read_bytes()
            path.write_bytes(gzip.compress(data, mtime=0) if packed else data)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in recorder.truth).encode()
    beside(capture, "jsonl").write_bytes(gzip.compress(lines, mtime=0) if packed else lines)


def settled(captures: list[Path]) -> None:
    """Wait until tcpdump, which writes once a second, has written all that came."""
    sizes: list[int] = []
    for _ in range(PATIENCE):
        before, sizes = sizes, [each.stat().st_size for each in captures if each.exists()]
        if before == sizes:
            return
        time.sleep(1.5)


def beside(capture: Path, suffix: str) -> Path:
    """What is written beside a capture: compressed where that is."""
    name = str(capture).removesuffix(".gz").removesuffix(".pcap")
    return Path(f"{name}.{suffix}.gz" if capture.suffix == ".gz" else f"{name}.{suffix}")


def report(capture: Path) -> str:
    """What a capture has."""
    messages = list(read_messages(capture))
    versions = sorted({each.message.version for each in messages if each.message})
    return (
        f"{capture}: {len(messages):,} messages of V{' and V'.join(map(str, versions))}, the largest of "
        f"{max(len(each.data) for each in messages):,} bytes; {capture.stat().st_size:,} bytes"
    )


def wanted(name: str, place: Path) -> Iterator[tuple[Scenario, Path]]:
    """The scenarios to run, and where each is to be written. Ends with one clear line where there is none."""
    if name == "judged":
        place.mkdir(parents=True, exist_ok=True)
        yield from ((scenario, place / f"{each}.pcap.gz") for each, scenario in {**JUDGED, **STORIES}.items())
    elif name in SCENARIOS:
        yield SCENARIOS[name], place
    else:
        try:
            yield msgspec.json.decode(Path(name).read_bytes(), type=Scenario), place
        except (OSError, msgspec.MsgspecError) as wrong:
            sys.exit(f"{name} is neither a scenario by name nor a file of one: {wrong}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", help=f"a JSON file, ``judged``, or one of {', '.join(SCENARIOS)}")
    parser.add_argument("capture", type=Path, help="where to write it, .gz compresses it; with ``judged``, the folder")
    parser.add_argument("--seconds", type=float, help="instead of the scenario's own")
    options = parser.parse_args()
    for scenario, capture in wanted(options.scenario, options.capture):
        cuts = any(step.do == "cut" for step in scenario.steps)
        for tool, package in (("tcpdump", "tcpdump"), *((("nft", "nftables"),) if cuts else ())):
            if not shutil.which(tool):
                sys.exit(f"there is no {tool}: install the package {package}")
        try:
            record(scenario, capture, options.seconds or scenario.seconds)
        except (NoNamespaces, NoPeer) as missing:
            sys.exit(str(missing))
        print(report(capture), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
