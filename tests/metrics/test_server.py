# SPDX-License-Identifier: GPL-2.0-or-later
"""The metrics over HTTP."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from scapy_chitchat.capture import Counters
from scapy_chitchat.metrics import server as module
from scapy_chitchat.metrics.families import families
from scapy_chitchat.metrics.server import Server
from scapy_chitchat.metrics.tally import Tally
from tests.support.peers import PATIENCE


@pytest.fixture
def server() -> Iterator[Server]:
    with Server("127.0.0.1", 0) as made:
        made.start()
        yield made
        made.shutdown()


def get(server: Server, path: str = "/metrics", method: str = "GET") -> tuple[int, str, str]:
    """Status, content type and text of an answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=PATIENCE)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read().decode()


class Answering(threading.Thread):
    """What the reader of messages does: it answers when it comes to it."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        self.done = threading.Event()
        self.made = 0

    def run(self) -> None:
        while not self.done.wait(0.01):
            self.server.questions.answer(self._make)

    def _make(self) -> list[Family]:
        self.made += 1
        return families(Tally(), Counters(), 0, 0)

    def __enter__(self) -> Answering:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.join()


def test_the_metrics_are_where_prometheus_looks_and_nowhere_else(server: Server) -> None:
    with Answering(server):
        status, content, text = get(server)
        assert (status, content.partition(";")[0]) == (200, "text/plain")
        assert any(each.name == "chitchat_clusters" for each in text_string_to_metric_families(text))
        assert get(server, "/metrics?x=1")[0] == 200
        assert get(server, "/") == (404, "text/plain; charset=utf-8", "the metrics are at /metrics\n")
        assert get(server, method="POST")[0] == 501


def test_nothing_is_worked_out_while_nobody_asks(server: Server) -> None:
    with Answering(server) as reader:
        get(server)
        made = reader.made
    server.questions.answer(reader._make)
    assert reader.made == made == 1


def test_who_is_not_answered_in_time_is_told_so(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    status, _, text = get(server)
    assert status == 503
    assert text.count("\n") == 1


@pytest.mark.long
def test_there_are_never_more_connections_than_may_be(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    address = ("127.0.0.1", server.server_port)
    idle = [socket.create_connection(address) for _ in range(module.MOST_AT_ONCE)]
    try:
        with socket.create_connection(address, timeout=PATIENCE) as further:
            assert further.recv(1) == b"", "closed without a word"
    finally:
        for each in idle:
            each.close()


def test_a_reader_who_breaks_off_is_no_news(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port)) as asking:
        asking.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    with Answering(server):
        assert get(server)[0] == 200
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("host", "loopback"), [("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)])
def test_whether_others_can_read_it_is_known(host: str, loopback: bool) -> None:
    with Server(host, 0) as made:
        assert made.is_loopback is loopback
        assert made.url.endswith(f":{made.server_port}/metrics")


def test_ipv6_is_served_too() -> None:
    with Server("::1", 0) as made:
        assert made.url.startswith("http://[::1]:")
