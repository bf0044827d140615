# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether ``scapy-chitchat sniff`` keeps up: a sender at a known rate on loopback, tcpdump beside it.

    sudo python -m benchmarks.sniff [--rate 20000] [--seconds 10] [--options="--json"]
    sudo python -m benchmarks.sniff --metrics [--rounds 3]

The messages are small real ones. The sniffer has one core to itself; the sender and tcpdump have the others, where
there are any. Printed is what was offered, what each of the two saw, what the kernel dropped before it, and how much of
its core each took. Nothing leaves the machine: a socket of our own listens at the port.

With --metrics the same is run by turns without and with ``sniff --metrics``, which is scraped once a second and whose
answers must be valid. What the metrics cost is the ratio of the seconds of CPU.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from scapy_chitchat import read_messages
from tests.live import SNIFF, has_packet_socket
from tests.support import ROOT
from tests.support.peers import eventually, free_port

CAPTURE = ROOT / "pcaps" / "v0-gc-resets.pcap.gz"
SETTLE = 1.0
"""Seconds given to both for reading what is left."""


def small_messages() -> list[bytes]:
    """Real messages of 100 to 260 bytes."""
    return [each.data for each in read_messages(CAPTURE) if 100 <= len(each.data) < 260]


def send(messages: list[bytes], address: tuple[str, int], rate: int, seconds: float) -> tuple[int, float]:
    """Send at this rate, in portions of a millisecond. Gives how many went out, and in how many seconds."""
    total, sent = int(rate * seconds), 0
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        started = time.perf_counter()
        while sent < total:
            due = min(total, int((time.perf_counter() - started) * rate) + 1)
            for index in range(sent, due):
                sender.sendto(messages[index % len(messages)], address)
            sent = due
            time.sleep(0.001)
        return sent, time.perf_counter() - started


@dataclass
class Seen:
    """What a watcher saw, and what it took."""

    messages: int
    dropped: int
    cpu: float


class Watcher:
    """A process that captures."""

    def __init__(self, command: list[str], core: int | None, output: Path) -> None:
        pinned = ["taskset", "-c", str(core), *command] if core is not None and shutil.which("taskset") else command
        self.output = output.open("wb")
        self.process = subprocess.Popen(pinned, stdout=self.output, stderr=subprocess.PIPE)
        if not eventually(lambda: has_packet_socket(self.process)):
            sys.exit(f"{command[0]} does not capture: {self.stop()[0]}")

    def stop(self) -> tuple[str, float]:
        """End it. Gives what it said, and its seconds of CPU."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.process.send_signal(signal.SIGINT)
        said = self.process.communicate(timeout=60)[1].decode()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.output.close()
        return said, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def count_of(said: str, pattern: str) -> int:
    """The number in what a watcher said; 0 where it does not say it."""
    found = re.search(pattern, said)
    return int(found[1].replace(",", "")) if found else 0


def run(rate: int, seconds: float, options: list[str], folder: Path) -> tuple[int, float, Seen, Seen | None]:
    """One run: offered, how fast, and what each saw."""
    messages = small_messages()
    cores = sorted(os.sched_getaffinity(0))
    with socket.socket(type=socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        address = listening.getsockname()
        port = str(address[1])
        sniffer = Watcher([*SNIFF, "-i", "lo", "--port", port, *options], cores[-1], folder / "sniffed")
        beside = None
        if shutil.which("tcpdump"):
            tcpdump = ["tcpdump", "-i", "lo", "-n", "-w", str(folder / "beside.pcap"), "udp", "port", port]
            beside = Watcher(tcpdump, cores[0], folder / "said")
        if len(cores) > 1:
            os.sched_setaffinity(0, cores[:-1])
        sent, took = send(messages, address, rate, seconds)
        time.sleep(SETTLE)
        os.sched_setaffinity(0, cores)
        said, cpu = sniffer.stop()
        with (folder / "sniffed").open("rb") as lines:
            shown = sum(1 for _ in lines)
        ours = Seen(shown, count_of(said, r"the kernel dropped +([\d,]+)"), cpu)
        theirs = None
        if beside:
            said, cpu = beside.stop()
            theirs = Seen(count_of(said, r"(\d+) packets? captured"), count_of(said, r"(\d+) packets? dropped"), cpu)
        return sent, took, ours, theirs


class Scraper:
    """Asks for the metrics once a second, and reads them as Prometheus does."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/metrics"
        self.valid = self.invalid = 0
        self.slowest = 0.0
        self._done = Event()
        self._thread = Thread(target=self._run)

    def _run(self) -> None:
        while not self._done.wait(1.0):
            began = time.perf_counter()
            try:
                with urlopen(self.url, timeout=10) as answer:
                    text = answer.read().decode()
            except OSError:
                continue  # it has not begun yet, or is done
            self.slowest = max(self.slowest, time.perf_counter() - began)
            try:
                told = {each.name for each in text_string_to_metric_families(text)}
            except ValueError:
                told = set()
            self.valid += "chitchat_messages" in told
            self.invalid += "chitchat_messages" not in told

    def __enter__(self) -> Scraper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def compare(rate: int, seconds: float, rounds: int) -> int:
    """``sniff`` without and with metrics by turns, for each way to show messages; gives the exit code."""
    failed = 0
    for shown, alone, beside in (
        ("lines, then none", [], []),
        ("--fields", ["--fields", "type"], ["--fields", "type"]),
        ("--json", ["--json"], ["--json"]),
        ("no lines", ["--stats"], ["--stats"]),
    ):
        cpu, dropped, scrapes, slowest = [0.0, 0.0], [0, 0], 0, 0.0
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                ours = run(rate, seconds, alone, Path(folder))[2]
            port = free_port()
            with tempfile.TemporaryDirectory() as folder, Scraper(port) as scraper:
                metered = run(rate, seconds, [*beside, "--metrics", str(port)], Path(folder))[2]
            for place, seen in enumerate((ours, metered)):
                cpu[place] += seen.cpu
                dropped[place] += seen.dropped
            failed += scraper.invalid
            scrapes, slowest = scrapes + scraper.valid, max(slowest, scraper.slowest)
        print(
            f"{shown:<16}  {cpu[0]:6.1f} s alone, {dropped[0]:,} dropped; {cpu[1]:6.1f} s with metrics, "
            f"{dropped[1]:,} dropped: {cpu[1] / cpu[0]:.2f} times; {scrapes} valid answers, the slowest in "
            f"{slowest:.2f} s"
        )
        failed += dropped[1] > dropped[0]
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=20_000, help="messages a second")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--options", default="", help="more options for sniff, as in --options='--json'")
    parser.add_argument("--metrics", action="store_true", help="compare sniff without and with --metrics")
    parser.add_argument("--rounds", type=int, default=3, help="with --metrics: how often each is run")
    chosen = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("capturing needs root")
    if chosen.metrics:
        return compare(chosen.rate, chosen.seconds, chosen.rounds)
    with tempfile.TemporaryDirectory() as folder:
        sent, took, ours, theirs = run(chosen.rate, chosen.seconds, chosen.options.split(), Path(folder))
    print(f"offered         {sent:>9,}  in {took:.1f} s: {sent / took:,.0f} a second")
    for name, seen in (("scapy-chitchat", ours), ("tcpdump", theirs)):
        if seen:
            print(
                f"{name:<14}  {seen.messages:>9,}  captured, {seen.dropped:,} dropped; {seen.cpu:.1f} s of one core, "
                f"{seen.cpu / took:.0%}"
            )
    return 0 if ours.messages == sent and not ours.dropped else 1


if __name__ == "__main__":
    sys.exit(main())
