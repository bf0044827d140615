# SPDX-License-Identifier: GPL-2.0-or-later
"""``sniff --metrics``: what it serves, shows and says."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from scapy_chitchat import Chitchat, ChitchatSyn, NodeDigest
from tests.cli.sniffed import SYN, needs_root, send
from tests.live import PROGRAM, SNIFF, sniffing
from tests.support.peers import PATIENCE, eventually, free_port, running, why_no_peer

NO_PEER = why_no_peer()

WITHOUT = f"import sys; sys.modules['prometheus_client'] = None; {PROGRAM}"
"""The command where prometheus_client is not installed."""


def scraped(port: int, by: str = "type") -> dict[tuple[str, str], float]:
    """The samples by name and one of their labels; nothing while nobody answers."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
            text = answer.read().decode()
    except URLError:
        return {}
    return {
        (each.name, each.labels.get(by, "")): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


def syns(port: int) -> float:
    return scraped(port).get(("chitchat_messages_total", "Syn"), -1)


def failing(*arguments: str, program: str = PROGRAM) -> str:
    """What the command says when it cannot do what it is asked to."""
    command = [sys.executable, "-c", program, "sniff", "-i", "lo", "--seconds", "1", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode in (1, 2)
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@needs_root
@pytest.mark.parametrize("user", ["root", "nobody"])
def test_messages_are_counted_and_not_shown(user: str) -> None:
    port, served = free_port(), free_port()
    arguments = ["-i", "lo", "--port", str(port), "--metrics", str(served), "--user", user]
    with sniffing(*arguments, "--per-node") as process:
        assert eventually(lambda: syns(served) == 0)
        send(port, SYN, SYN, b"not gossip")
        assert eventually(lambda: syns(served) == 2)
        now = scraped(served)
        assert now["chitchat_messages_total", "unreadable"] == 1
        assert now["chitchat_bytes_total", "Syn"] == 2 * len(SYN)
        assert now["chitchat_clusters", ""] == 1
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, said) == (0, "", "")


@needs_root
def test_filters_and_lines_are_for_what_is_shown() -> None:
    port, served = free_port(), free_port()
    arguments = ["-i", "lo", "--port", str(port), "--metrics", f"127.0.0.1:{served}", "--fields", "type"]
    with sniffing(*arguments, "--type", "Ack") as process:
        send(port, SYN, bytes.fromhex("53b00002") + bytes(20), SYN)
        assert eventually(lambda: syns(served) == 2)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE)
    assert out.split() == ["Ack"]


@needs_root
def test_an_address_that_others_reach_is_said() -> None:
    port, served = free_port(), free_port()
    with sniffing("-i", "lo", "--port", str(port), "--metrics", f"0.0.0.0:{served}") as process:
        send(port, SYN)
        assert eventually(lambda: syns(served) == 1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
    assert said == f"scapy-chitchat: other machines can read the metrics, too: http://0.0.0.0:{served}/metrics\n"


@needs_root
def test_more_clusters_than_labels_are_said_once() -> None:
    port, served = free_port(), free_port()
    with sniffing("-i", "lo", "--port", str(port), "--metrics", str(served)) as process:
        messages = [
            bytes(Chitchat() / ChitchatSyn(cluster_id=f"c{n}", digest=[NodeDigest(node_id="a")])) for n in range(20)
        ]
        send(port, *messages)
        assert eventually(lambda: syns(served) == 20)
        assert syns(served) == 20
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
    assert said == "scapy-chitchat: 16 clusters have metrics of their own; those of all others are summed up\n"


def test_a_port_that_is_taken_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = failing("--metrics", str(taken.getsockname()[1]))
    assert "Address already in use" in said


def test_without_the_extra_a_line_says_how_to_get_it() -> None:
    said = failing("--metrics", "9117", program=WITHOUT)
    assert said == "scapy-chitchat: --metrics needs prometheus_client: pip install 'scapy-chitchat[metrics]'\n"


@needs_root
def test_without_the_extra_sniff_is_as_it_was() -> None:
    port = free_port()
    with sniffing("-i", "lo", "--port", str(port), "-c", "1", program=WITHOUT) as process:
        send(port, SYN)
        out, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out.count("\n"), said) == (0, 1, "")


def test_nothing_is_imported_for_metrics_unless_they_are_asked_for() -> None:
    script = "import sys, scapy_chitchat.cli.sniff; print('prometheus_client' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
    )


@pytest.mark.long
@pytest.mark.parametrize("wrong", ["localhost", "[::1]", ":9117", "127.0.0.1:99999", "1.2.3.4:x", "70000"])
def test_what_is_no_address_is_wrong_usage(wrong: str) -> None:
    assert "--metrics" in failing("--metrics", wrong)


def test_single_nodes_want_metrics() -> None:
    assert "--per-node wants --metrics" in failing("--per-node")


def test_the_help_says_where_and_what() -> None:
    done = subprocess.run([*SNIFF, "--help"], capture_output=True, text=True, check=True)
    assert "127.0.0.1" in done.stdout
    assert "--per-node" in done.stdout


@needs_root
@pytest.mark.skipif(bool(NO_PEER), reason=NO_PEER)
@pytest.mark.long
def test_a_real_cluster_is_counted_and_a_node_that_ends_is_missed() -> None:
    ports, served = [free_port() for _ in range(5)], free_port()
    nodes: list[dict[str, Any]] = [
        {"version": "0.13", "node_id": f"n{n}", "listen": f"127.0.0.1:{port}", "seeds": [f"127.0.0.1:{ports[0]}"]}
        for n, port in enumerate(ports)
    ]
    wanted = [word for port in ports for word in ("--port", str(port))]

    def members(state: str) -> float:
        return scraped(served, "state").get(("chitchat_members", state), -1)

    with sniffing("-i", "lo", *wanted, "--metrics", str(served)), running(*nodes[:4]) as lasting:
        with running(nodes[4]):
            assert eventually(lambda: members("alive") == 5)
            lasting.ask("n0", "set", key="k", value="v")
            assert eventually(lambda: scraped(served)["chitchat_propagation_seconds_count", ""] > 0)
            assert eventually(lambda: scraped(served)["chitchat_versions_behind", ""] == 0)
        assert eventually(lambda: members("dead") == 1)
        assert members("alive") == 4
        assert scraped(served)["chitchat_deaths_total", ""] > 0
        assert scraped(served)["chitchat_predicted_ratio", ""] > 0.99
