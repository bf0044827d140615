# SPDX-License-Identifier: GPL-2.0-or-later
"""What nodes of a recording change of their own keys: random words, or what a Quickwit node gossips.

The recorder makes the changes, not the nodes, so that each stands in the truth with its time and version. The same
node_id makes the same changes in every recording.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import NamedTuple

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/"
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
OPERATIONS = ("set", "delete", "set_with_ttl", "delete_after_ttl")
"""The commands of a node that change a key; the truth names them by their place here."""


class Change(NamedTuple):
    """One change of a node's own key."""

    op: str
    key: str
    value: str = ""


def large_value(choice: random.Random, size: int) -> str:
    """A value of ``size`` bytes that does not compress to less than three quarters."""
    return "".join(choice.choices(LETTERS, k=size))


def plain(node_id: str) -> Iterator[Change]:
    """Random values of 40 keys: few enough for keys to be overwritten, deleted and set again."""
    choice = random.Random(node_id)
    while True:
        key = f"key-{choice.randrange(40)}"
        value = large_value(choice, choice.randrange(120))
        op = choice.choices(OPERATIONS, weights=(80, 8, 6, 6))[0]
        yield Change(op, key, "" if op.startswith("delete") else value)


def quickwit(node_id: str) -> Iterator[Change]:
    """Readiness that flips, indexing tasks that come and go, metrics and shard positions with a TTL."""
    choice = random.Random(node_id)
    tasks: list[str] = []
    ready = False
    while True:
        kind = choice.choices(("readiness", "task", "end", "metrics", "positions", "score"), (1, 3, 2, 3, 3, 1))[0]
        if kind == "readiness":
            ready = not ready
            yield Change("set", "readiness", "READY" if ready else "NOT_READY")
        elif kind == "task" or (kind == "end" and not tasks):
            tasks.append(f"indexer.task:01J{_ulid(choice)[3:]}")
            yield Change(
                "set", tasks[-1], f"{_index(choice)}:_ingest-source:{choice.randrange(1 << 32)}:{_ulid(choice)}"
            )
        elif kind == "end":
            yield Change("delete", tasks.pop(choice.randrange(len(tasks))))
        elif kind == "metrics":
            pipeline = f"pipeline_metrics:{_index(choice)}:_ingest-source"
            yield Change("set", pipeline, f"{choice.randrange(4000)}m,{choice.randrange(64)}MiB/s")
        elif kind == "positions":
            shard = json.dumps({_ulid(choice): f"{choice.randrange(1 << 24):020}"})
            yield Change("set_with_ttl", f"indexer.shard_positions:{_index(choice)}:_ingest-source", shard)
        else:
            yield Change("set", f"ingester.capacity_score:{_index(choice)}:_ingest-source", str(choice.randrange(10)))


def quickwit_start(address: str, services: str, zone: str) -> dict[str, str]:
    """The keys that a Quickwit node has when it starts."""
    host = address.rpartition(":")[0]
    return {
        "availability_zone": zone,
        "enabled_services": services,
        "grpc_advertise_addr": f"{host}:7281",
        "indexing_cpu_capacity": "4000m",
        "ingester.status": "ready",
        "readiness": "NOT_READY",
    }


def _index(choice: random.Random) -> str:
    return choice.choice(("hdfs-logs:01HZ8Q2X4K", "otel-traces:01HZ8Q7M2R", "stackoverflow:01HZ8QB0VN"))


def _ulid(choice: random.Random) -> str:
    return "".join(choice.choices(CROCKFORD, k=26))
