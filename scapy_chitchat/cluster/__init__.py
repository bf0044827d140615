# SPDX-License-Identifier: GPL-2.0-or-later
"""What the messages say about the cluster: who is there, who knows what, what happened.

    cluster = Cluster()
    for message in read_messages("capture.pcap"):
        for event in cluster.feed(message):
            print(event.as_json().decode())
    for state in cluster.at():
        print(state.as_json().decode())

Messages in, state and events out: no I/O, and no clock but the messages' own. A *subject* is a node that is told of, an
*observer* a node that tells; a *run* is one ChitchatId; an observer's *replica* is its copy of a subject.
"""

from scapy_chitchat.cluster.engine import Cluster
from scapy_chitchat.cluster.estimates import Estimate, Estimates
from scapy_chitchat.cluster.events import Event
from scapy_chitchat.cluster.figures import ClusterFigures, NodeFigures
from scapy_chitchat.cluster.glance import Glance, Judged
from scapy_chitchat.cluster.ladder import Rung, Step
from scapy_chitchat.cluster.settings import Settings
from scapy_chitchat.cluster.state import ClusterState, KeyValueState, NodeState, ObserverState, ReplicaState

__all__ = [
    "Cluster",
    "ClusterFigures",
    "ClusterState",
    "Estimate",
    "Estimates",
    "Event",
    "Glance",
    "Judged",
    "KeyValueState",
    "NodeFigures",
    "NodeState",
    "ObserverState",
    "ReplicaState",
    "Rung",
    "Settings",
    "Step",
]
