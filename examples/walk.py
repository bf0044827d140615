# SPDX-License-Identifier: GPL-2.0-or-later
"""A walk through a capture, cell by cell, as in a notebook: what happened, then how things stood at a moment of it.

python examples/walk.py pcaps/story.pcap.gz
"""

# %% The capture, and the engine that it is fed to. Settings(follow=…) makes it remember the way of a key.
import sys
from collections import Counter

from scapy_chitchat import Cluster, read_messages
from scapy_chitchat.cluster import Settings

capture = sys.argv[1] if len(sys.argv) > 1 else "pcaps/story.pcap.gz"
cluster = Cluster(Settings(follow=("readiness", "*")))

# %% All that happened. An event has the names of `timeline --json`.
events = list(cluster.events(read_messages(capture)))
print(Counter(event.event for event in events).most_common(5))

# %% Deaths, by who was called dead, and by whom. Who calls everybody dead stood still itself.
deaths = Counter(
    (event.node_id, event.observer.node_id) for event in events if event.event == "dead" and event.observer
)
called = Counter(subject for subject, _ in deaths.elements())
calling = Counter(observer for _, observer in deaths.elements())
print("most often called dead:", called.most_common(3))
print("most often calling dead:", calling.most_common(3))

# %% How things stand at the end: a state a cluster. Nothing unknown is shown as empty.
for state in cluster.at():
    share = "nothing" if state.predicted is None else f"{state.predicted:.2%}"
    print(f"{state.cluster_id}: {share} of what nodes stated was predicted")
    for node in state.nodes:
        known = "all keys known" if node.complete else "there may be more keys"
        print(f"  {node.node_id} ({node.run}): version {node.max_version}, {len(node.key_values)} keys, {known}")

# %% What observers lack of each other, in versions.
for state in cluster.at():
    has = {(node.node_id, node.generation_id): node.max_version for node in state.nodes}
    behind = Counter(
        {
            (observer.node_id, replica.node_id): has[replica.node_id, replica.generation_id] - replica.max_version
            for observer in state.observers
            for replica in observer.replicas
        }
    )
    print("furthest behind:", [each for each in behind.most_common(3) if each[1] > 0])

# %% The way of a key: how long its versions took to the last observer, and who never had them.
for step in cluster.followed():
    there = [rung.time - step.owner_time for rung in step.rungs if rung.time is not None]
    late = [rung.observer.node_id for rung in step.rungs if rung.time is None]
    took = f"{max(there) / 1e9:.3f} s" if there else "nobody"
    print(f"{step.subject.node_id} {step.value}: {took}{', not yet ' + ', '.join(late) if late else ''}")

# %% What was guessed of the nodes' settings, and on how many observations it rests.
for guess in cluster.estimates():
    print(guess.cluster_id, "gossip interval:", guess.gossip_interval, "tombstone grace:", guess.tombstone_grace)
