# SPDX-License-Identifier: GPL-2.0-or-later
"""What a campaign sends, and how often it takes which strategy, against a target made of a few lines."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scapy_chitchat import DecodeError, decode, encode
from scapy_chitchat.fuzz import STRATEGIES, Context, campaign
from scapy_chitchat.fuzz.building import entry, syn_ack
from scapy_chitchat.fuzz.campaign import LEAST_WEIGHT, Campaign, Plan
from scapy_chitchat.fuzz.target import Failure, Target
from scapy_chitchat.records.identity import ChitchatId

AWAY = "192.0.2.7:7280"


class QuietTarget(Target):
    """Takes everything; what it gets is told to ``heard``, which says how it fails, if it does."""

    def __init__(self, heard: Callable[[tuple[bytes, ...]], Failure | None]) -> None:
        super().__init__(("127.0.0.1", 9), cluster_id="c")
        self.context = Context("c", ChitchatId("own", 7, "127.0.0.1:9"))
        self._heard = heard
        self._failure: Failure | None = None

    def start(self) -> None:
        """It is always there."""

    def send(self, messages: Any, patience: float | None = None) -> None:
        """Nothing goes out."""
        self._failure = self._heard(tuple(messages))

    def probe(self) -> None:
        """It is not asked."""

    def failure(self, patience: float | None = None, *, asked: bool = False) -> Failure | None:
        """What the last messages did."""
        return self._failure


def far_away(data: bytes) -> bool:
    """Whether a node that reads this would gossip to another machine."""
    try:
        message: Any = decode(data)
    except DecodeError:
        return False
    return any(each.gossip_advertise_addr == AWAY for each in getattr(message, "digest", ()))


@pytest.mark.parametrize("allow_remote", [False, True])
def test_only_a_campaign_that_may_names_other_machines(tmp_path: Path, allow_remote: bool) -> None:
    sent: list[bytes] = []
    captured = [encode(syn_ack([entry(ChitchatId(f"n{index}", 1, AWAY))], ())) for index in range(4)]
    target = QuietTarget(lambda messages: sent.extend(messages))
    plan = Plan(strategies=("mutation",), cases=200, rate=1e9, allow_remote=allow_remote)
    running = Campaign(target, plan, tmp_path, captured=captured)
    running.run()
    target.close()
    assert running.progress.cases == 200, "what is kept back does not count"
    assert running.progress.messages == len(sent) >= 200
    assert any(map(far_away, sent)) is allow_remote
    assert (running.progress.kept_back > 0) is not allow_remote


PAIR = ("order", "strings")
"""Two strategies that make messages quickly."""


def share_of(name: str, folder: Path, *, failing: bool) -> float:
    """What share of the batches one of two strategies gets, when it makes a failure in each batch or none."""
    batches: Counter[str] = Counter()

    def heard(_: tuple[bytes, ...]) -> Failure | None:
        batches[running.progress.doing] += 1
        return Failure("panicked", "a-1.0/src/b.rs:3") if failing and running.progress.doing == name else None

    target = QuietTarget(heard)
    running = Campaign(
        target, Plan(strategies=PAIR, rate=1e9, cases=sys.maxsize), folder, watch=lambda: enough(batches)
    )
    with pytest.raises(EnoughError):
        running.run()
    target.close()
    assert len(running.progress.findings) == int(failing)
    return batches[name] / batches.total()


class EnoughError(Exception):
    """Enough batches were run."""


def enough(batches: Counter[str]) -> None:
    if batches.total() >= 1200:
        raise EnoughError


def test_a_strategy_that_only_makes_a_known_failure_is_taken_seldom_but_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However fast the machine is: batches are counted, and which strategy has the next is drawn from a seed."""
    monkeypatch.setattr(campaign, "LARGEST_BATCH", 1)
    for name in PAIR:
        shares = {each: STRATEGIES[each].share * 100 for each in PAIR}
        total = sum(shares.values())
        assert share_of(name, tmp_path / "well", failing=False) == pytest.approx(shares[name] / total, abs=0.05)
        least = LEAST_WEIGHT / (total - shares[name] + LEAST_WEIGHT)
        assert share_of(name, tmp_path / "fails", failing=True) == pytest.approx(least, abs=0.05)
