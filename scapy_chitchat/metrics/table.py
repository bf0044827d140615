# SPDX-License-Identifier: GPL-2.0-or-later
"""The metrics: each has its name, kind, labels and meaning here and nowhere else.

Names are those that Prometheus gets; a counter's ends in ``_total``.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram"]


class Metric(NamedTuple):
    """One metric."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str


_CLUSTER = ("cluster",)

COUNTED = (
    Metric(
        "chitchat_messages_total", "counter", ("type",), "Messages by type; unreadable: no node can tell what they are."
    ),
    Metric("chitchat_bytes_total", "counter", ("type",), "Bytes of these messages, without headers of IP and UDP."),
    Metric("chitchat_refused_total", "counter", ("code",), "Messages that a node refuses, by the code of the finding."),
    Metric("chitchat_lost_total", "counter", ("reason",), "Frames and datagrams that never became a message here."),
    Metric("chitchat_passed_over_total", "counter", ("reason",), "Datagrams without a message, and doubled messages."),
    Metric("chitchat_unanswered_total", "counter", ("cluster", "type"), "Messages without an answer in time."),
    Metric("chitchat_not_read_total", "counter", _CLUSTER, "Messages that their receiver never read."),
    Metric(
        "chitchat_not_captured_total", "counter", _CLUSTER, "Messages that a node read and that were not seen here."
    ),
    Metric("chitchat_resets_total", "counter", _CLUSTER, "Copies of a node's state that an observer began anew."),
    Metric("chitchat_restarts_total", "counter", _CLUSTER, "Nodes that began anew."),
    Metric("chitchat_deaths_total", "counter", _CLUSTER, "Verdicts: an observer called a member dead."),
    Metric(
        "chitchat_troubles_total", "counter", ("cluster", "event"), "What else an engineer should look at, by event."
    ),
    Metric(
        "chitchat_propagation_seconds",
        "histogram",
        _CLUSTER,
        "From the first statement of a version by its owner until the last living observer had it.",
    ),
)
"""What rises with each message."""

NOW = (
    Metric("chitchat_members", "gauge", ("cluster", "state"), "Members, by what most of the others that can tell say."),
    Metric("chitchat_observers", "gauge", _CLUSTER, "Members that speak where this listens."),
    Metric("chitchat_digest_bytes", "gauge", _CLUSTER, "The largest last Syn of a member, which carries its digest."),
    Metric("chitchat_digest_limit_bytes", "gauge", (), "The most bytes that a message can have."),
    Metric(
        "chitchat_versions_behind", "gauge", _CLUSTER, "Versions that observers lack of what is known, all together."
    ),
    Metric("chitchat_versions_behind_max", "gauge", _CLUSTER, "The same, of the observer and member with the most."),
    Metric(
        "chitchat_phi_max", "gauge", _CLUSTER, "The highest phi that an observer has of a member it may call alive."
    ),
    Metric("chitchat_gossip_interval_seconds", "gauge", _CLUSTER, "Between gossip rounds, as seen."),
    Metric(
        "chitchat_predicted_ratio",
        "gauge",
        _CLUSTER,
        "Share of digest entries that were predicted: how good the rest is.",
    ),
    Metric("chitchat_clusters", "gauge", (), "Clusters that were heard of."),
    Metric("chitchat_last_message_timestamp_seconds", "gauge", (), "When the last message came."),
    Metric(
        "chitchat_begun_anew_total", "counter", (), "How often too much was heard to be remembered, and all forgotten."
    ),
    Metric("chitchat_exporter_info", "gauge", ("version",), "Always 1: which version of scapy-chitchat says all this."),
)
"""What is worked out when somebody asks."""

PER_NODE = (
    Metric("chitchat_node_observers", "gauge", ("cluster", "node_id", "verdict"), "How many of the others call it so."),
    Metric(
        "chitchat_node_versions_behind",
        "gauge",
        ("cluster", "node_id"),
        "Versions of its own that the observer furthest behind lacks.",
    ),
    Metric("chitchat_node_phi", "gauge", ("cluster", "node_id"), "The highest phi that another has of it."),
    Metric("chitchat_nodes_left_out", "gauge", (), "Members beyond the most that get metrics of their own."),
)
"""What there is with ``--per-node`` only."""

TABLE = {each.name: each for each in (*COUNTED, *NOW, *PER_NODE)}
"""All of them by name."""

BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
"""Upper bounds of the histogram in seconds: a round is a second unless told otherwise, a change needs a few."""

TROUBLES = (
    "gap",
    "inapplicable",
    "stuck",
    "oversized-answer",
    "silent",
    "bad-cluster",
    "digest-near-limit",
    "odd-address",
    "contested",
    "contradiction",
)
"""The kinds of events that are counted by kind alone."""
