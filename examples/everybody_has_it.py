# SPDX-License-Identifier: GPL-2.0-or-later
"""A check for a test suite: so many seconds after the capture began, every observer holds a version of a node's keys.

    python examples/everybody_has_it.py pcaps/story.pcap.gz indexer-1 7 10

Start your nodes, capture, change a key, and let this say whether the change got round in time. The exit code is 1, with
the names of who lacks it, where it did not.
"""

from __future__ import annotations

import sys
from decimal import Decimal

from scapy_chitchat import Cluster, read_messages
from scapy_chitchat.cluster import ClusterState


def who_lacks(capture: str, node_id: str, version: int, seconds: float) -> list[str]:
    """The observers that lack this version of the node so many seconds after the first message.

    Raises ValueError where nobody has named the node by then.
    """
    cluster, end = Cluster(), Decimal(0)
    for message in read_messages(capture):
        end = end or message.time + Decimal(seconds)
        if message.time > end:
            break
        cluster.feed(message)
    for state in cluster.at():
        if any(node.node_id == node_id for node in state.nodes):
            return lacking(state, node_id, version)
    raise ValueError(f"nobody has named {node_id} in the first {seconds:g} s of {capture}")


def lacking(state: ClusterState, node_id: str, version: int) -> list[str]:
    """The observers at work whose replica of the node is below the version, or that have none."""
    at_work = {(node.node_id, node.generation_id) for node in state.nodes if node.run == "current"}
    return [
        observer.node_id
        for observer in state.observers
        if (observer.node_id, observer.generation_id) in at_work
        and not any(each.node_id == node_id and each.max_version >= version for each in observer.replicas)
    ]


def main() -> int:
    """Check what the command line says."""
    capture, node_id, version, seconds = sys.argv[1:]
    late = who_lacks(capture, node_id, int(version), float(seconds))
    print(f"lacking: {', '.join(late)}" if late else f"every observer has version {version} of {node_id}")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
