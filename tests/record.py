# SPDX-License-Identifier: GPL-2.0-or-later
"""Record a capture of real nodes, in network namespaces of its own.

    sudo python -m tests.record mixed-fragmented pcaps/v0-v1-mixed.pcap.gz
    sudo python -m tests.record my-scenario.json capture.pcap --seconds 20

A scenario is one of those below, or a JSON file of the same form: nodes as tests/peer/README.md describes them, at one
end (on a loopback of MTU 1500, captured there) or at two (joined by a veth pair, captured on it: what nodes of one end
say to each other is not seen). Beside the capture, ``.jsonl`` is the truth: when which run of a node started, whom each
took for live and dead, once a second, and every node's whole state at the end.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from scapy_chitchat import read_messages
from tests.live import tcpdump
from tests.support.namespaces import VETH, NoNamespaces, linked, namespace
from tests.support.peers import NoPeer, RunningNodes

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/"


def on_loopback(*versions: str, cluster: str = "prod", **more: Any) -> list[dict[str, Any]]:
    """Nodes on 127.0.0.1, 127.0.0.2 and so on, of these versions."""
    return [
        {
            "version": version,
            "node_id": f"node-{number}",
            "listen": f"127.0.0.{number + 1}:7280",
            "cluster_id": cluster,
            "seeds": ["127.0.0.1:7280", "127.0.0.2:7280"],
            "workload": 2,
            **more,
        }
        for number, version in enumerate(versions)
    ]


def on_link(number: int, version: str, protocol: int) -> dict[str, Any]:
    """A node at 10.77.0.number."""
    return {
        "version": version,
        "protocol": protocol,
        "node_id": f"node-{number}",
        "listen": f"10.77.0.{number}:7280",
        "cluster_id": "prod",
        "seeds": [f"10.77.0.{other}:7280" for other in (1, 2, 3, 4) if other != number],
        "workload": 1,
    }


def on_ipv6(number: int) -> dict[str, Any]:
    """A node at a port of ::1."""
    seeds = ["[::1]:7280"]
    return {"version": "0.11", "node_id": f"node-{number}", "listen": f"[::1]:{7280 + number}", "seeds": seeds}


SCENARIOS: dict[str, dict[str, Any]] = {
    "three-nodes": {"ends": [on_loopback("0.13", "0.13", "0.13")]},
    "five-nodes-v1": {"ends": [on_loopback(*["0.13"] * 5, protocol=1)]},
    "garbage-collection": {"ends": [on_loopback("0.10", "0.10", "0.10", workload=20, grace=2000)]},
    "large-fragmented": {"ends": [on_loopback("0.10", "0.10", "0.10")], "large": [20, 2500]},
    "restart": {"ends": [on_loopback(*["0.13"] * 4, protocol=1)], "restart": "node-3"},
    "ipv6": {"ends": [[{**on_ipv6(number), "workload": 2} for number in range(4)]]},
    "bad-cluster": {"ends": [[*on_loopback("0.11", "0.11"), on_loopback("0.11", "0.11", "0.11", cluster="other")[2]]]},
    "mixed-fragmented": {
        "ends": [
            [on_link(1, "0.10", 0), on_link(3, "0.13", 1)],
            [on_link(2, "0.13", 0), on_link(4, "0.13", 1)],
        ],
        "large": [3, 3000],
    },
}
"""By name: nodes by end, and, where wanted, ``large``: how many keys of how many bytes each node is given, and
``restart``: a node that is killed and started again as a new run of itself."""


@contextmanager
def network(ends: list[list[dict[str, Any]]]) -> Iterator[tuple[list[list[str]], str]]:
    """Where the nodes of each end run, and the interface to capture on."""
    if len(ends) == 1:
        with namespace("recorded") as within:
            yield [within], "lo"
        return
    addresses = [[f"{node['listen'].rpartition(':')[0]}/24" for node in nodes] for nodes in ends]
    with linked(*addresses) as inside:
        yield inside, VETH


class Recording:
    """Nodes at work, each in a process of its own, and what is noted of them."""

    def __init__(self, scenario: dict[str, Any]) -> None:
        self.scenario = scenario
        self.events: list[dict[str, Any]] = []
        self.within: dict[str, list[str]] = {}
        self.described: dict[str, dict[str, Any]] = {}
        self.at_work: dict[str, RunningNodes] = {}

    def run(self, path: Path, seconds: float) -> None:
        """Run the scenario and capture it."""
        ends = self.scenario["ends"]
        with ExitStack() as opened:
            inside, interface = opened.enter_context(network(ends))
            opened.enter_context(tcpdump(interface, path, inside[0]))
            opened.callback(self._stop_all)
            for nodes, within in zip(ends, inside, strict=True):
                for node in nodes:
                    self.described[node["node_id"]] = node
                    self.within[node["node_id"]] = within
            for name in self.described:
                self._start(name)
            self._set_large_keys(*self.described)
            self._watch(seconds / 2)
            again = self.scenario.get("restart")
            if again:
                self.at_work.pop(again).stop()
                self._note("kill", again)
                self._watch(seconds / 4)
                self._start(again)
            self._set_large_keys(next(iter(self.described)))  # and once more, when everybody knows everybody
            self._watch(seconds / 4 if again else seconds / 2)
            for name in self.at_work:
                self._note("state", name, **self._state(name))

    def _start(self, name: str) -> None:
        node = {"interval": 500, "generation": time.time_ns(), **self.described[name]}
        self.at_work[name] = RunningNodes([node], self.within[name])
        self._note(
            "start", name, generation_id=node["generation"], gossip_advertise_addr=self.at_work[name].address[name]
        )

    def _stop_all(self) -> None:
        for nodes in self.at_work.values():
            nodes.stop()

    def _watch(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(1, left))
            for name in self.at_work:
                state = self._state(name)
                self._note("liveness", name, live=state["live"], dead=state["dead"])

    def _state(self, name: str) -> dict[str, Any]:
        state = self.at_work[name].ask(name, "state")
        return {key: state[key] for key in ("nodes", "live", "dead")}

    def _note(self, event: str, node: str, **details: Any) -> None:
        self.events.append({"time": time.time(), "event": event, "node": node, **details})

    def _set_large_keys(self, *names: str) -> None:
        """Give nodes keys whose values do not compress to less than three quarters."""
        count, size = self.scenario.get("large", (0, 0))
        choice = random.Random(size)
        for name in names:
            for number in range(count):
                value = "".join(choice.choices(LETTERS, k=size))
                self.at_work[name].ask(name, "set", key=f"large-{number}", value=value)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", help=f"a JSON file, or one of {', '.join(SCENARIOS)}")
    parser.add_argument("capture", type=Path, help="where to write it; .gz compresses it")
    parser.add_argument("--seconds", type=float, default=8)
    options = parser.parse_args()
    scenario = SCENARIOS.get(options.scenario) or json.loads(Path(options.scenario).read_bytes())
    if not shutil.which("tcpdump"):
        sys.exit("there is no tcpdump")
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "capture.pcap"
        try:
            recording = Recording(scenario)
            recording.run(raw, options.seconds)
        except (NoNamespaces, NoPeer) as missing:
            sys.exit(str(missing))
        data = raw.read_bytes()
    packed = options.capture.suffix == ".gz"
    options.capture.write_bytes(gzip.compress(data, mtime=0) if packed else data)
    truth = Path(str(options.capture).removesuffix(".gz").removesuffix(".pcap") + ".jsonl")
    truth.write_text("".join(json.dumps(event, ensure_ascii=False) + "\n" for event in recording.events))
    messages = list(read_messages(options.capture))
    versions = sorted({each.message.version for each in messages if each.message})
    print(
        f"{options.capture}: {len(messages):,} messages of V{' and V'.join(map(str, versions))}, the largest of "
        f"{max(len(each.data) for each in messages):,} bytes; {options.capture.stat().st_size:,} bytes"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
