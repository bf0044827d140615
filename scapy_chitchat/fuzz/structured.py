# SPDX-License-Identifier: GPL-2.0-or-later
"""Strategies whose messages are well-formed: a node reads them, and what they say is what is hostile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from scapy_chitchat.fuzz.building import (
    STATUSES,
    ack,
    entry,
    key_value,
    key_values,
    one_of,
    section,
    sent,
    syn,
    syn_ack,
    version_of,
    wandering,
)
from scapy_chitchat.fuzz.draw import LENGTHS, ODD_ADDRESSES, PEOPLE, Draw
from scapy_chitchat.fuzz.registry import CaseMessages, strategy
from scapy_chitchat.records.classes import DeltaItem, KeyValueOp, Message, NodeDigest, SetMaxVersionOp, Syn, SynAck
from scapy_chitchat.records.codec import encode
from scapy_chitchat.records.identity import ChitchatId
from scapy_chitchat.records.makers import item_bytes
from scapy_chitchat.records.sections import Change, reached
from scapy_chitchat.wire.protocol import MAX_DATAGRAM, MAX_U64

T = TypeVar("T")


@strategy(share=8, structured=True)
def numbers(draw: Draw, number: int) -> CaseMessages:
    """Boundary numbers as versions, heartbeats and generations."""
    identities = draw.identities(3)
    if draw.chance(30):
        identities = [each._replace(generation_id=draw.number()) for each in identities]
    digest = [entry(each, draw.number(), draw.number(), draw.number()) for each in identities]
    delta: list[DeltaItem] = []
    for each in identities:
        versions = [draw.number() for _ in range(draw.below(4))]
        versions = versions if draw.chance(20) else sorted({max(version, 1) for version in versions})
        ops: list[Change] = [key_value(draw, version) for version in versions]
        if not ops or draw.chance(20):
            ops.append(SetMaxVersionOp(draw.number()))
        delta += section(each, ops, draw.pick((0, draw.number())), draw.pick((0, draw.number())))
    return one_of(draw, syn(draw, digest, version_of(draw)), syn_ack(digest, delta, version_of(draw)))


@strategy(share=6, structured=True)
def strings(draw: Draw, number: int) -> CaseMessages:
    """Texts at the edges of UTF-8, of up to 65,535 bytes, as node_ids, keys, values and cluster_ids."""
    identity = draw.pick(PEOPLE)
    long = draw.chance(10)
    where = draw.below(5)
    if where == 0:
        identity = identity._replace(node_id=draw.long_text() if long else draw.text())
    key = draw.long_text() if long and where == 1 else draw.text() if where in (1, 3) else draw.word()
    value = draw.long_text() if long and where == 2 else draw.text() if where in (2, 3) else draw.word()
    if where == 4:
        message = syn(draw, [entry(identity)], version_of(draw))
        # of another cluster, with few exceptions
        return sent(Syn(message.version, cluster_id=draw.text(), digest=message.digest))
    ops = [KeyValueOp(key, value, draw.between(1, 9), draw.pick(STATUSES))]
    # V1 packs digests, so that even the longest node_id fits into a datagram
    return sent(syn_ack([entry(identity)], section(identity, ops), int(long) if draw.chance(80) else version_of(draw)))


@strategy(share=8, structured=True)
def order(draw: Draw, number: int) -> CaseMessages:
    """Operations and digest entries in another order, repeated or left out."""
    identities = draw.identities(4)
    digest = [entry(each, draw.below(9), draw.below(4), draw.below(9)) for each in identities]
    delta: list[DeltaItem] = []
    for each in identities[: draw.between(1, 3)]:
        ops = wandering(draw, 6)
        if draw.chance(20):
            _disturb(draw, ops)
        delta += section(each, ops, draw.pick((0, 0, draw.below(6))), draw.pick((0, 0, draw.below(6))))
    if digest and draw.chance(25):
        _disturb(draw, digest)
    if delta and draw.chance(25):
        _disturb(draw, delta)
    kind = draw.below(10)
    version = version_of(draw)
    if kind < 2:
        return sent(syn(draw, digest, version))
    return sent(syn_ack(digest, delta, version) if kind < 9 else ack(delta, version))


def _highest(ops: Sequence[Change]) -> int:
    return max((reached(op) for op in ops), default=0)


def _disturb(draw: Draw, items: list[T]) -> None:
    one, other = draw.below(len(items)), draw.below(len(items))
    change = draw.below(4)
    if change == 0:
        items.insert(other, items[one])
    elif change == 1:
        del items[one]
    elif change == 2:
        items[one], items[other] = items[other], items[one]
    else:
        items += items[one : one + draw.between(1, 4)]


@strategy(share=4, structured=True)
def addresses(draw: Draw, number: int) -> CaseMessages:
    """Nodes at addresses that are nobody's, everybody's or the receiver's own, and one node at several of them."""
    own = draw.context.receiver
    places = (*ODD_ADDRESSES, own.gossip_advertise_addr)
    identities = [draw.identity()._replace(gossip_advertise_addr=draw.pick(places)) for _ in range(draw.between(1, 4))]
    digest = [entry(each, draw.number(), 0, draw.below(9)) for each in dict.fromkeys(identities)]
    delta = section(identities[0], key_values(draw, 3))
    return one_of(draw, syn(draw, digest, version_of(draw)), syn_ack(digest, delta, version_of(draw)))


@strategy(share=4, structured=True)
def receiver(draw: Draw, number: int) -> CaseMessages:
    """The receiver's own id, or one much like it, in digests and deltas."""
    own = draw.context.receiver
    likeness = draw.below(4)
    if likeness == 0:
        own = own._replace(generation_id=draw.near(own.generation_id))
    elif likeness == 1:
        own = own._replace(gossip_advertise_addr=draw.pick(PEOPLE).gossip_advertise_addr)
    version = draw.pick((draw.below(12), draw.number()))
    digest = [entry(own, draw.number(), draw.pick((0, draw.near(version))), draw.near(version))]
    ops = key_values(draw, 3, after=max(version - 3, 0))
    if not ops or draw.chance(20):
        ops.append(SetMaxVersionOp(version))
    delta = section(own, ops, draw.pick((0, draw.near(version))), draw.pick((0, draw.near(version))))
    return one_of(draw, syn(draw, digest), syn_ack(digest, delta), syn_ack([], delta), ack(delta))


@strategy(share=12, structured=True)
def sequences(draw: Draw, number: int) -> CaseMessages:
    """Nodes made known, and then versions, collection and resets against what the receiver holds of them."""
    version = version_of(draw)
    identities = draw.identities(3)
    held = dict.fromkeys(identities, 0)
    digest = [entry(each, 1) for each in identities]
    messages: list[Message] = [syn(draw, digest, version)] if draw.chance(30) else [syn_ack(digest, (), version)]
    for step in range(draw.between(1, 5)):
        if draw.chance(20):
            # how much the receiver is told that we hold decides what it answers with
            asked = [entry(each, step + 2, draw.near(held[each]), draw.near(held[each])) for each in identities]
            messages.append(syn(draw, asked, version))
            continue
        delta: list[DeltaItem] = []
        for each in draw.some(identities, 3) or identities[:1]:
            ops = _next_ops(draw, held[each])
            since = draw.pick((0, held[each], held[each], draw.near(held[each])))
            collected = draw.pick((0, 0, draw.near(held[each]), draw.near(_highest(ops))))
            delta += section(each, ops, collected, since)
            held[each] = max(held[each], _highest(ops))
        messages.append(ack(delta, version) if draw.chance(50) else syn_ack(digest, delta, version))
    return sent(*messages)


def _next_ops(draw: Draw, held: int) -> list[Change]:
    """Operations that go on from version ``held``, or nearly so."""
    start = min(held if draw.chance(70) else draw.below(held + 1), MAX_U64 - 32)
    return wandering(draw, 4, start) if draw.chance(40) else key_values(draw, 3, start)


@strategy(share=1, structured=True)
def limit(draw: Draw, number: int) -> CaseMessages:
    """Messages at the largest size of a datagram, or near it: many members, long ids, much data that packs well."""
    target = MAX_DATAGRAM - draw.pick((0, 1, 40, 80, 120, 200, draw.below(2000), draw.below(16000), draw.below(60000)))
    kind = draw.below(4)
    people = [draw.pick(PEOPLE)]
    version = 0
    if kind < 2:
        people += _crowd(draw, target)
    elif kind == 2:
        people.append(people[0]._replace(node_id="n" * max(target - 100, 1)))
    else:
        version = 1
        people += [people[0]._replace(node_id=f"{draw.long_text()[:-1]}{index}") for index in range(draw.below(3))]
    digest = [entry(each) for each in people]
    delta: list[DeltaItem] = []
    if draw.chance(60):
        ops = [
            KeyValueOp(f"k{index}", (draw.pick(("v", "0123456789")) * draw.pick(LENGTHS))[:65535], index + 1, "Set")
            for index in range(draw.between(1, 6))
        ]
        delta = section(people[0], ops)
    return sent(_that_fits(digest, delta, version))


@strategy(share=1, structured=True)
def room(draw: Draw, number: int) -> CaseMessages:
    """More key-values than a SynAck has room for, beside members whose digest is small in V1 alone."""
    crowd = _crowd(draw, draw.pick((10_000, 30_000, 50_000, 60_000)))
    owner = draw.pick(PEOPLE)
    digest = [entry(each) for each in (*crowd, owner)]
    messages: list[Message] = [syn_ack(digest, (), 1)]
    held = 0
    for _ in range(draw.between(6, 8)):
        values = [KeyValueOp(f"{held + more}", draw.characters(1500), held + more, "Set") for more in range(1, 11)]
        messages.append(ack(section(owner, values, from_version_excluded=held)))
        held += len(values)
    # a node of 0.13 reckons the room of its answers in the version that it is set to, whichever it answers in
    return sent(*messages, syn(draw, (), 0), syn(draw, (), 1))


def _that_fits(digest: list[NodeDigest], delta: list[DeltaItem], version: int) -> SynAck:
    """A SynAck of as much of the digest as fits beside the delta."""
    message = syn_ack(digest, delta, version)
    while (over := len(encode(message)) - MAX_DATAGRAM) > 0 and len(digest) > 1:
        size = len(item_bytes(digest[-1]))
        digest = digest[: max(len(digest) - over // size - 1, 1)]
        message = syn_ack(digest, delta, version)
    return message


def _crowd(draw: Draw, size: int) -> list[ChitchatId]:
    """So many members with short ids that a digest of them has about ``size`` bytes."""
    length = draw.pick((1, 4, 4, 20, 200))
    each = len(item_bytes(entry(ChitchatId("n" * length, 1, "127.66.0.1:9"))))
    wanted = max(size - 80, 0) // each
    return [
        ChitchatId(f"{index:0{length}x}"[-length:], index >> 4 * length, f"127.66.{index >> 8 & 255}.{index & 255}:9")
        for index in range(wanted)
    ]
