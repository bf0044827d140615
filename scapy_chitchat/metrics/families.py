# SPDX-License-Identifier: GPL-2.0-or-later
"""The metrics at one moment, as prometheus_client writes them: the counters as they stand, the gauges off the engine.

A counter is there with 0 as soon as its cluster is known, so that the first rise is seen as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate, product
from typing import TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from scapy_chitchat import __version__
from scapy_chitchat.capture import Counters
from scapy_chitchat.cluster import ClusterFigures, NodeFigures
from scapy_chitchat.metrics.labels import label
from scapy_chitchat.metrics.table import BUCKETS, TABLE, TROUBLES
from scapy_chitchat.metrics.tally import Propagation, Tally
from scapy_chitchat.records.checks import CODES
from scapy_chitchat.wire.protocol import MAX_DATAGRAM, MessageType

MOST_NODES = 1000
"""Members that get metrics of their own."""

Key = TypeVar("Key", bound=tuple[str, ...])
"""The values of a metric's labels."""

_REFUSALS = [(name,) for name, code in CODES.items() if code.severity == "error"]
_ASKING = (MessageType.Syn.name, MessageType.SynAck.name)


def families(tally: Tally, counters: Counters, dropped: int, now: int, *, per_node: bool = False) -> list[Family]:
    """All metrics at ``now``, in nanoseconds since the epoch.

    ``dropped``: frames that the kernel dropped; ``per_node``: also the metrics of single members.
    """
    figures = tally.cluster.figures(now)
    labels = [tally.labels.of(each.cluster_id) for each in figures]
    made = [*_traffic(tally, counters, dropped), *_happened(tally), *_now(labels, figures)]
    made += [
        _family("chitchat_digest_limit_bytes", {(): MAX_DATAGRAM}),
        _family("chitchat_clusters", {(): len(figures)}),
        _family("chitchat_last_message_timestamp_seconds", {(): tally.last / 1e9}),
        _family("chitchat_begun_anew_total", {(): tally.begun_anew}),
        _family("chitchat_exporter_info", {(__version__,): 1}),
    ]
    return [*made, *_per_node(labels, figures)] if per_node else made


class _Given(Collector):
    """Metrics that are there already."""

    def __init__(self, given: list[Family]) -> None:
        self._given = given

    def collect(self) -> Iterator[Family]:
        return iter(self._given)


def written(given: list[Family], accept: str = "") -> tuple[str, bytes]:
    """The metrics as Prometheus reads them: their content type, which ``accept`` chooses, and the bytes."""
    write, content = choose_encoder(accept)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(given))
    return content, write(registry)


def _family(name: str, values: Mapping[Key, float]) -> Family:
    """A metric of the table, with its values by those of its labels."""
    _, kind, labels, meaning = TABLE[name]
    made: CounterMetricFamily | GaugeMetricFamily
    if kind == "counter":
        made = CounterMetricFamily(name, meaning, labels=labels)
    else:
        made = GaugeMetricFamily(name, meaning, labels=labels)
    for given, value in values.items():
        made.add_metric(given, value)
    return made


def _from_zero(keys: Iterable[Key], values: Mapping[Key, float]) -> Mapping[Key, float]:
    """The values, and 0 for each of the keys that has none."""
    return {**dict.fromkeys(keys, 0.0), **values}


# --- what is counted ---


def _traffic(tally: Tally, counters: Counters, dropped: int) -> Iterator[Family]:
    yield _family("chitchat_messages_total", {(kind,): each.messages for kind, each in tally.traffic.items()})
    yield _family("chitchat_bytes_total", {(kind,): each.bytes for kind, each in tally.traffic.items()})
    refused = {(code,): count for code, count in tally.refused.items()}
    yield _family("chitchat_refused_total", _from_zero(_REFUSALS, refused))
    lost = {
        "kernel": dropped,
        "fragments": counters.incomplete,
        "cut": counters.cut,
        "short": counters.short,
        "link": counters.unreadable,
        "tunnel": sum(counters.unknown_inside.values()),
        "too-deep": counters.too_deep,
    }
    yield _family("chitchat_lost_total", {(reason,): count for reason, count in lost.items()})
    passed = {("no-message",): counters.other, ("doubled",): counters.duplicates}
    yield _family("chitchat_passed_over_total", passed)


def _happened(tally: Tally) -> Iterator[Family]:
    clusters = tally.labels.all()
    for name in (
        "chitchat_resets_total",
        "chitchat_restarts_total",
        "chitchat_deaths_total",
        "chitchat_not_read_total",
        "chitchat_not_captured_total",
    ):
        yield _family(name, {(each,): tally.events[name, each] for each in clusters})
    yield _family("chitchat_unanswered_total", _from_zero(product(clusters, _ASKING), tally.unanswered))
    yield _family("chitchat_troubles_total", _from_zero(product(clusters, TROUBLES), tally.troubles))
    name = "chitchat_propagation_seconds"
    histogram = HistogramMetricFamily(name, TABLE[name].meaning, labels=TABLE[name].labels)
    for each in clusters:
        counted = tally.propagation.get(each, Propagation())
        bounds = [*map(str, BUCKETS), "+Inf"]
        histogram.add_metric([each], list(zip(bounds, accumulate(counted.counts), strict=True)), counted.sum)
    yield histogram


# --- what is worked out ---


def state_of(node: NodeFigures) -> str:
    """What a member is: dead where at least half of those that can tell call it so, unknown where none can."""
    if not (node.alive or node.dead):
        return "unknown"
    return "dead" if node.dead >= node.alive else "alive"


def _now(labels: list[str], figures: list[ClusterFigures]) -> Iterator[Family]:
    """The gauges of clusters; of those that share a label the sum, or the worst."""
    by_label: dict[str, list[ClusterFigures]] = {}
    for name, each in zip(labels, figures, strict=True):
        by_label.setdefault(name, []).append(each)
    nodes = {name: [node for each in those for node in each.nodes] for name, those in by_label.items()}
    states = {(name, state): 0.0 for name in by_label for state in ("alive", "dead", "unknown")}
    for name, those in nodes.items():
        for node in those:
            states[name, state_of(node)] += 1
    yield _family("chitchat_members", states)
    yield _each("chitchat_observers", {name: sum(each.observers for each in f) for name, f in by_label.items()})
    yield _each("chitchat_digest_bytes", {name: max(each.digest_bytes for each in f) for name, f in by_label.items()})
    behind = {name: sum(node.behind_in_all for node in those) for name, those in nodes.items()}
    yield _each("chitchat_versions_behind", behind)
    yield _each(
        "chitchat_versions_behind_max", {n: max((e.behind for e in those), default=0) for n, those in nodes.items()}
    )
    yield _each("chitchat_phi_max", {n: _most(node.phi for node in those) for n, those in nodes.items()})
    intervals = {name: max(each.interval for each in f) or None for name, f in by_label.items()}
    yield _each("chitchat_gossip_interval_seconds", intervals)
    predicted = {name: [each.predicted for each in f if each.predicted is not None] for name, f in by_label.items()}
    yield _each("chitchat_predicted_ratio", {name: min(those, default=None) for name, those in predicted.items()})


def _most(values: Iterable[float | None]) -> float | None:
    return max((each for each in values if each is not None), default=None)


def _each(name: str, values: Mapping[str, float | None]) -> Family:
    """A gauge with the label of a cluster; one that nobody knows is left out."""
    return _family(name, {(cluster,): value for cluster, value in values.items() if value is not None})


def _per_node(labels: list[str], figures: list[ClusterFigures]) -> list[Family]:
    """The gauges of single members: of the first that were named, as many as there may be."""
    nodes: dict[tuple[str, str], NodeFigures] = {}
    count = 0
    for cluster, each in zip(labels, figures, strict=True):
        for node in each.nodes:
            count += 1
            if len(nodes) < MOST_NODES:
                nodes.setdefault((cluster, label(node.node_id)), node)
    verdicts = {(*key, word): count for key, node in nodes.items() for word, count in _verdicts(node)}
    return [
        _family("chitchat_node_observers", verdicts),
        _family("chitchat_node_versions_behind", {key: node.behind for key, node in nodes.items()}),
        _family("chitchat_node_phi", {key: node.phi for key, node in nodes.items() if node.phi is not None}),
        _family("chitchat_nodes_left_out", {(): count - len(nodes)}),
    ]


def _verdicts(node: NodeFigures) -> tuple[tuple[str, int], ...]:
    return ("alive", node.alive), ("dead", node.dead)
