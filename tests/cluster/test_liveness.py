"""When an observer takes a subject for alive, and what the settings of its failure detector must have been."""

from __future__ import annotations

import pytest

from scapy_chitchat.cluster import Settings
from scapy_chitchat.cluster.initial import roundest
from scapy_chitchat.cluster.liveness import SECOND, Detector, Window
from tests.cluster.telling import A, B, Who, introduced

_DETECTOR = Detector.of(Settings())


def test_two_heartbeats_that_are_news_make_an_interval() -> None:
    window = Window()
    window.report(SECOND, _DETECTOR)
    assert window.verdict(SECOND, _DETECTOR) is False
    window.report(2 * SECOND, _DETECTOR)
    assert window.verdict(2 * SECOND, _DETECTOR) is True
    assert window.phi(4 * SECOND, _DETECTOR) == pytest.approx(2 * 6 / 26)


def test_death_comes_at_the_threshold_and_forgets_the_intervals() -> None:
    window = Window()
    for second in range(1, 12):
        window.report(second * SECOND, _DETECTOR)
    limit = 8 * (10 + 25) / 15
    assert window.verdict(11 * SECOND + int(limit * SECOND) - 1, _DETECTOR) is True
    assert window.verdict(11 * SECOND + int(limit * SECOND) + 1, _DETECTOR) is False
    window.die(30 * SECOND)
    assert (window.count, window.last, window.judged_dead) == (0, 11 * SECOND, 30 * SECOND)


def test_a_full_window_lets_the_oldest_interval_go() -> None:
    detector = Detector.of(Settings(window=3))
    window = Window()
    now = SECOND
    window.report(now, detector)
    for interval in (9, 1, 2, 3, 4):
        now += interval * SECOND
        window.report(now, detector)
    assert (window.count, window.total) == (3, (2 + 3 + 4) * SECOND)


def test_a_heartbeat_that_rose_unseen_was_heard() -> None:
    told = introduced()
    for turn in range(3):
        assert told.replica(B, A).alive is not True
        told.wait(1000)
        told.syn(B, A, {A: (10 + turn, 0, 1), B: (10 + 2 * turn, 0, 0)})
    told.cluster.finish()
    assert told.replica(B, A).alive is True


def test_what_was_never_read_was_no_sign_of_life() -> None:
    window = Window()
    for second in (1, 2, 4):
        window.report(second * SECOND, _DETECTOR)
    window.take_back(_DETECTOR)
    assert (window.count, window.total, window.last) == (1, SECOND, 2 * SECOND)


def test_a_heartbeat_that_did_not_rise_was_never_heard() -> None:
    phis = []
    for stated in (12, 30):
        told = introduced()
        for turn in range(3):
            told.wait(1000)
            told.syn(B, A, {A: (10 + turn, 0, 1), B: (10 + 2 * turn, 0, 0)})
        told.wait(1000)
        told.syn(A, B, {A: (30, 0, 1), B: (14, 0, 0)})
        told.wait(5000)
        told.syn(B, A, {A: (stated, 0, 1), B: (16, 0, 0)})  # a round, and one message read: was it that Syn?
        phis.append(told.replica(B, A).phi)
    unheard, heard = phis
    assert unheard is not None
    assert heard is not None
    assert unheard > heard


def test_intervals_over_the_longest_are_not_recorded() -> None:
    window = Window()
    window.report(SECOND, _DETECTOR)
    window.report(12 * SECOND, _DETECTOR)
    assert window.count == 0


def test_a_full_window_keeps_its_mean() -> None:
    window = Window()
    detector = Detector.of(Settings(window=10))
    for second in range(1, 100):
        window.report(second * SECOND, detector)
    assert (window.count, window.total) == (10, 10 * SECOND)


def test_a_late_capture_does_not_know_until_there_is_an_interval() -> None:
    window = Window(late=SECOND)
    assert window.verdict(2 * SECOND, _DETECTOR) is None
    window.report(2 * SECOND, _DETECTOR)
    window.report(3 * SECOND, _DETECTOR)
    assert window.verdict(4 * SECOND, _DETECTOR) is True
    assert window.verdict(30 * SECOND, _DETECTOR) is None, "with a thousand intervals of a second it would be dead"
    assert window.verdict(99 * SECOND, _DETECTOR) is False


@pytest.mark.parametrize(
    ("low", "high", "value"), [(0.7, 1.08, 1.0), (0.07, 0.48, 0.2), (3.76, 4.0068, 4.0), (1.999, 2.2, 2.0)]
)
def test_guesses_are_as_round_as_they_can_be(low: float, high: float, value: float) -> None:
    assert roundest(round(low * SECOND), round(high * SECOND)) == round(value * SECOND)


def test_a_subject_is_alive_after_the_round_that_judges_it() -> None:
    told = introduced()
    heartbeat = 3
    for turn in range(4):
        told.wait(1000)
        heartbeat += 2
        told.syn(A, B, {A: (heartbeat, 0, 1), B: (3 + 2 * turn, 0, 0)})
        told.syn_ack(B, A, {A: (heartbeat, 0, 1), B: (5 + 2 * turn, 0, 0)})
        told.syn(B, Who(9), {A: (heartbeat, 0, 1), B: (6 + 2 * turn, 0, 0)})
    alive = [event for event in told.of("alive") if event.node_id == "n1"]
    assert [event.observer and event.observer.node_id for event in alive] == ["n2"]
    assert told.replica(B, A).alive is True
    assert told.replica(A, A).alive is True
