# SPDX-License-Identifier: GPL-2.0-or-later
"""The metrics out of messages: that they are valid, true, harmless and bounded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from scapy_chitchat import read_messages
from scapy_chitchat.capture import CapturedMessage, Counters, Datagram
from scapy_chitchat.cluster import Cluster, ClusterState, NodeFigures
from scapy_chitchat.metrics import families as made
from scapy_chitchat.metrics import tally as tallied
from scapy_chitchat.metrics.families import families, state_of, written
from scapy_chitchat.metrics.labels import MOST_CLUSTERS, OTHER, ClusterLabels, label
from scapy_chitchat.metrics.table import TABLE, TROUBLES
from scapy_chitchat.metrics.tally import Tally
from tests.cluster.telling import A, B, C, Said, Telling, Who
from tests.support import PCAPS

STORY = PCAPS / "story.pcap.gz"
CAPTURES = sorted(PCAPS.glob("*.pcap*"))


class Counting(Telling):
    """What is told goes to a tally."""

    def __post_init__(self) -> None:
        self.tally = Tally()

    def take(self, message: CapturedMessage) -> None:
        self.tally.take(message)


def text_of(tally: Tally, counters: Counters | None = None, *, now: int = 0, per_node: bool = True) -> str:
    return written(families(tally, counters or Counters(), 7, now or tally.last, per_node=per_node))[1].decode()


def samples(text: str) -> Iterator[Sample]:
    for family in text_string_to_metric_families(text):
        yield from family.samples


def value(text: str, name: str, **labels: str) -> float:
    """The value of the one sample of this name and these labels."""
    (found,) = (each.value for each in samples(text) if each.name == name and each.labels == labels)
    return found


def counted(capture: object) -> tuple[Tally, Counters, list[CapturedMessage]]:
    tally, counters = Tally(), Counters()
    messages = list(read_messages(str(capture), counters=counters))
    for message in messages:
        tally.take(message)
    return tally, counters, messages


# --- valid ---


@pytest.mark.long
@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.name)
def test_what_is_told_is_what_the_table_has_and_no_sample_comes_twice(capture: object) -> None:
    tally, counters, _ = counted(capture)
    text = text_of(tally, counters)
    seen: Counter[tuple[str, str]] = Counter()
    for each in samples(text):
        base = re.sub(r"_(bucket|count|sum)$", "", each.name) if "propagation" in each.name else each.name
        assert set(each.labels) - {"le"} == set(TABLE[base].labels)
        seen[each.name, str(sorted(each.labels.items()))] += 1
    assert set(seen.values()) == {1}
    assert {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")} == set(TABLE)


def test_without_per_node_no_node_is_named() -> None:
    text = text_of(counted(STORY)[0], per_node=False)
    assert "node_id" not in text
    assert "indexer" not in text


def test_openmetrics_is_given_to_who_asks_for_it() -> None:
    content, text = written(families(Tally(), Counters(), 0, 1), "application/openmetrics-text; version=1.0.0")
    assert content.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


# --- true ---


def test_traffic_is_counted_by_type() -> None:
    tally, counters, messages = counted(STORY)
    text = text_of(tally, counters)
    for kind in ("Syn", "SynAck", "Ack", "BadCluster"):
        of_kind = [each for each in messages if each.message and each.message.type == kind]
        assert of_kind
        assert value(text, "chitchat_messages_total", type=kind) == len(of_kind)
        assert value(text, "chitchat_bytes_total", type=kind) == sum(len(each.data) for each in of_kind)
    assert value(text, "chitchat_last_message_timestamp_seconds") == pytest.approx(float(messages[-1].time))


def test_events_are_counted_as_timeline_tells_them() -> None:
    tally, counters, messages = counted(STORY)
    text = text_of(tally, counters)
    cluster = Cluster()
    events = [event for message in messages for event in cluster.feed(message)]
    told = Counter((event.event, event.cluster_id) for event in events)
    for kind, name in (("reset", "resets"), ("restarted", "restarts"), ("dead", "deaths"), ("not-read", "not_read")):
        assert told[kind, "prod"]  # type: ignore[index]
        assert value(text, f"chitchat_{name}_total", cluster="prod") == told[kind, "prod"]  # type: ignore[index]
    for kind in TROUBLES:
        assert value(text, "chitchat_troubles_total", cluster="staging", event=kind) == told[kind, "staging"]  # type: ignore[index]
    waited = Counter(event.type for event in events if event.event == "unanswered")
    assert value(text, "chitchat_unanswered_total", cluster="prod", type="SynAck") == waited["SynAck"]
    took = [event.seconds for event in events if event.event == "propagated"]
    name = "chitchat_propagation_seconds"
    assert value(text, f"{name}_count", cluster="prod") == len(took)
    for bound in (0.1, 1.0, 5.0):
        within = sum(isinstance(each, float) and each <= bound for each in took)
        assert value(text, f"{name}_bucket", cluster="prod", le=str(bound)) == within


@pytest.mark.long
@pytest.mark.parametrize("until", [500, 2500, 5000, 10**9])
def test_gauges_are_what_the_state_has(until: int) -> None:
    """Held against the engine's own state, which is worked out in another way."""
    tally, messages = Tally(), list(read_messages(str(STORY)))[:until]
    for message in messages:
        tally.take(message)
    states = tally.cluster.at()  # which judges the last round, too
    figures = {each.cluster_id: each for each in tally.cluster.figures()}
    (state,) = (each for each in states if each.cluster_id == "prod")
    ours = figures["prod"]
    spoke = {(n.node_id, n.generation_id): n.last_spoke or 0 for n in state.nodes if n.run == "current"}
    observers = [
        each for each in state.observers if tally.last - spoke.get((each.node_id, each.generation_id), 0) <= 10 * 10**9
    ]
    assert ours.observers == len(observers) > 0
    for node in ours.nodes:
        verdicts = [
            replica.alive
            for each in observers
            for replica in each.replicas
            if replica.node_id == node.node_id != each.node_id
            and (node.node_id, replica.generation_id) in spoke
            and replica.in_digest
        ]
        assert (node.alive, node.dead) == (verdicts.count(True), verdicts.count(False)), node.node_id
    assert {node.node_id for node in ours.nodes} <= {node_id for node_id, _ in spoke}
    assert ours.digest_bytes in {len(each.data) for each in messages if each.message and each.message.type == "Syn"}
    assert _plausible(state, ours.nodes)


def _plausible(state: ClusterState, nodes: list[NodeFigures]) -> bool:
    """Whether no observer lacks more of a member than is said."""
    owned = {node.node_id: node.max_version for node in state.nodes if node.run == "current"}
    return all(0 <= node.behind <= owned[node.node_id] and node.behind <= node.behind_in_all for node in nodes)


def test_versions_behind_are_those_that_the_observer_lacks() -> None:
    told = Counting()
    for beat in range(2, 6):
        told.syn(A, B, {A: (beat, 0, 9), B: (1, 0, 4), C: (1, 0, 1)})
        told.syn(B, A, {A: (beat, 0, 2), B: (beat, 0, 4), C: (1, 0, 3)})
        told.wait(1000)
    text = text_of(told.tally)
    behind = {
        name: value(text, "chitchat_node_versions_behind", cluster="c", node_id=name) for name in ("n1", "n2", "n3")
    }
    assert behind == {"n1": 7, "n2": 0, "n3": 2}
    assert value(text, "chitchat_versions_behind", cluster="c") == 9
    assert value(text, "chitchat_versions_behind_max", cluster="c") == 7


def test_a_member_that_died_is_counted_as_dead_and_silence_makes_no_observer() -> None:
    told = Counting()
    for beat in range(2, 40):
        said: Said = {A: (beat, 0, 0), B: (beat, 0, 0)} | ({C: (beat, 0, 0)} if beat < 10 else {C: (9, 0, 0)})
        told.syn(A, B, said)
        told.syn(B, A, said)
        told.wait(1000)
    text = text_of(told.tally)
    states = {name: value(text, "chitchat_members", cluster="c", state=name) for name in ("alive", "dead", "unknown")}
    assert states == {"alive": 2, "dead": 1, "unknown": 0}
    assert value(text, "chitchat_node_observers", cluster="c", node_id="n3", verdict="dead") == 2
    later = text_of(told.tally, now=told.now + 60 * 10**9)
    assert value(later, "chitchat_observers", cluster="c") == 0
    assert value(later, "chitchat_members", cluster="c", state="alive") == 0


@pytest.mark.parametrize(
    ("alive", "dead", "state"), [(0, 0, "unknown"), (3, 1, "alive"), (2, 2, "dead"), (0, 1, "dead"), (1, 0, "alive")]
)
def test_most_of_those_that_can_tell_decide(alive: int, dead: int, state: str) -> None:
    assert state_of(NodeFigures("n", alive, dead, 0, 0, None)) == state


def test_what_never_became_a_message_is_told_by_reason() -> None:
    counters = Counters(incomplete=2, cut=3, short=4, unreadable=5, too_deep=6, other=8, duplicates=9)
    counters.unknown_inside = {"a": 1, "b": 1}
    text = text_of(Tally(), counters)
    lost = {each.labels["reason"]: each.value for each in samples(text) if each.name == "chitchat_lost_total"}
    assert lost == {"kernel": 7, "fragments": 2, "cut": 3, "short": 4, "link": 5, "tunnel": 2, "too-deep": 6}
    assert value(text, "chitchat_passed_over_total", reason="no-message") == 8
    assert value(text, "chitchat_passed_over_total", reason="doubled") == 9


def test_refusals_are_told_by_code() -> None:
    tally = Tally()
    for data in (b"not gossip", b"S\xb0\x00\x09", b"S\xb0\x00\x09"):
        tally.take(CapturedMessage(Datagram(1, 10**18, 9, "10.0.0.1", 1, "10.0.0.2", 7280, data, False)))
    text = text_of(tally)
    assert value(text, "chitchat_refused_total", code="bad-magic") == 1
    assert value(text, "chitchat_refused_total", code="bad-type") == 2
    assert value(text, "chitchat_refused_total", code="bad-utf8") == 0
    assert value(text, "chitchat_messages_total", type="unreadable") == 3


# --- harmless ---

HOSTILE = '<script>alert(1)</script>]]>\x1b[31m\u202e\u2066"\\\n{a="b"}\x00\x7f\x85'


def test_strings_off_the_wire_are_text_and_nothing_else() -> None:
    told = Counting()
    for beat in range(2, 8):
        said = {Who(n, name=f"{n}{HOSTILE}"): (beat, 0, beat) for n in (1, 2)}
        one, two = said
        told.syn(one, two, said, cluster_id=HOSTILE)
        told.syn(two, one, said, cluster_id=HOSTILE)
        told.wait(1000)
    text = text_of(told.tally)
    assert text.replace("\n", "").isprintable()
    nodes = {each.labels["node_id"] for each in samples(text) if "node_id" in each.labels}
    assert nodes == {label(f"{n}{HOSTILE}") for n in (1, 2)}
    assert {each.labels["cluster"] for each in samples(text) if "cluster" in each.labels} == {label(HOSTILE)}
    assert r"\x1b[31m\u202e" in label(HOSTILE)


def test_labels_are_short() -> None:
    assert len(label("x" * 60_000)) == len(label("\x00" * 60_000)) == 64


# --- bounded ---


def test_clusters_beyond_the_most_share_a_label() -> None:
    told = Counting()
    for number in range(MOST_CLUSTERS + 5):
        told.syn(A, B, {A: (number + 2, 0, 1)}, cluster_id=f"c{number}")
        told.syn_ack(B, A, {B: (number + 2, 0, 1)})
    text = text_of(told.tally)
    clusters = {each.labels["cluster"] for each in samples(text) if "cluster" in each.labels}
    assert clusters == {*(f"c{number}" for number in range(MOST_CLUSTERS)), OTHER}
    assert value(text, "chitchat_clusters") == MOST_CLUSTERS + 5


@pytest.mark.parametrize("second", [OTHER, "x" * 64 + "b"])
def test_two_clusters_never_have_the_same_label(second: str) -> None:
    labels = ClusterLabels()
    assert labels.of("x" * 64 + "a") != labels.of(second) == OTHER
    assert labels.overflowed


def test_nodes_beyond_the_most_are_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made, "MOST_NODES", 10)
    told = Counting()
    told.syn(A, B, {Who(1 + n % 200, generation=1, name=f"node-{n}"): (2, 0, 1) for n in range(13)} | {A: (2, 0, 0)})
    text = text_of(told.tally)
    named = {each.labels["node_id"] for each in samples(text) if each.name == "chitchat_node_versions_behind"}
    assert len(named) == 10
    assert value(text, "chitchat_nodes_left_out") == 4
    assert sum(each.value for each in samples(text) if each.name == "chitchat_members") == 14


@pytest.mark.parametrize("bound", ["MOST_KNOWN", "MOST_HELD"])
def test_too_much_is_forgotten_and_said(monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    monkeypatch.setattr(tallied, bound, 300)
    monkeypatch.setattr(tallied, "_EVERY", 50)
    told = Counting()
    told.tally._until_look = 50
    most = 0
    for number in range(2000):
        invented = Who(1 + number % 250, name=f"invented-{number}")
        told.syn(invented, B, {invented: (2, 0, 1), A: (2, 0, 0)})
        most = max(most, told.tally.cluster.known(), told.tally.cluster.held())
    assert most < 700
    text = text_of(told.tally)
    assert value(text, "chitchat_begun_anew_total") == told.tally.begun_anew > 3
    assert value(text, "chitchat_messages_total", type="Syn") == 2000


def test_days_of_restarts_end_in_the_same_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallied, "_EVERY", 50)
    told = Counting()
    told.tally._until_look = 50
    sizes = []
    for generation in range(1, 21):
        runs = [Who(number, generation) for number in range(1, 6)]
        for beat in range(2, 62):
            sender, to = runs[beat % 5], runs[(beat + 1) % 5]
            told.syn(sender, to, dict.fromkeys(runs, (beat, 0, generation)))
            told.wait(60_000)
        sizes.append(told.tally.cluster.held())
    assert max(sizes) <= 4 * 25, "four generations of five nodes that know each other; all would be twenty"
    assert told.tally.begun_anew == 0
