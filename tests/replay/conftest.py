# SPDX-License-Identifier: GPL-2.0-or-later
"""A sink and a real node for each test of replay that wants one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.replay.targets import Node, Sink


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.socket.close()


@pytest.fixture(params=["0.10", "0.13"])
def node(peer: Path, request: pytest.FixtureRequest) -> Iterator[Node]:
    made = Node(peer, request.param)
    yield made
    made.close()
