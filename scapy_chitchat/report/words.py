# SPDX-License-Identifier: GPL-2.0-or-later
"""What the page says in words: what is wrong, the worst first, and the rows of its tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from scapy_chitchat.cluster import ClusterState
from scapy_chitchat.cluster.events import Kind
from scapy_chitchat.records.checks import CODES
from scapy_chitchat.records.identity import id_of
from scapy_chitchat.report.collect import Collected
from scapy_chitchat.report.names import Names, Views, counted, listed, short, top
from scapy_chitchat.report.traffic import Found, Traffic
from scapy_chitchat.report.troubles import Group
from scapy_chitchat.wire.protocol import MAX_DATAGRAM

Severity = Literal["wrong", "look", "note"]
"""``wrong``: somebody has to do something; ``look``: it may be on purpose; ``note``: good to know."""

SEVERITIES: tuple[Severity, ...] = ("wrong", "look", "note")
"""The worst first."""

_MOST_ROWS = 20
_SMALL_DIGEST = 1000


@dataclass(frozen=True)
class Problem:
    """A sentence of the summary, and the section that shows it."""

    severity: Severity
    text: str
    section: str


class Kinds(NamedTuple):
    """How the events of a kind are summed up; of {who}, {times}, {count} and {why} as many as there is use for."""

    severity: Severity
    section: str
    text: str


KINDS: dict[Kind, Kinds] = {
    "contradiction": Kinds("wrong", "members", "Statements that cannot both be true, of {who}, {times}: {why}."),
    "contested": Kinds(
        "wrong",
        "members",
        "Begun again under the same generation_id, so that versions have two contents: {who}, {times}.",
    ),
    "stuck": Kinds(
        "wrong", "spread", "The next key-value of {who} fits no datagram: nobody gets it, nor what comes after it."
    ),
    "oversized-answer": Kinds("wrong", "digest", "Answers of {who} fit no datagram and were never sent, {times}."),
    "odd-address": Kinds("wrong", "members", "Not to be reached as advertised: {who}: {why}."),
    "digest-near-limit": Kinds("wrong", "digest", "The digest of {who} nearly fills a datagram: soon none holds it."),
    "bad-cluster": Kinds("wrong", "traffic", "Told that they are of another cluster ({why}): {who}, {times}."),
    "silent": Kinds("look", "members", "Silent for several rounds (paused, cut off or slow): {who}, {times}."),
    "restarted": Kinds("look", "members", "Restarted: {who}, {times}."),
    "dead": Kinds("look", "phi", "Called dead by observers: {who}, {times}."),
    "not-read": Kinds(
        "look", "traffic", "{count} never read by the receiver ({who}): lost, or its socket's buffer was full."
    ),
    "unanswered": Kinds("look", "traffic", "{count} of {who} got no answer in time."),
    "gap": Kinds("look", "spread", "Sections about {who} began above what the reader had and were refused, {times}."),
    "reset": Kinds("look", "spread", "Copies of {who} were dropped and begun anew, {times}."),
    "not-captured": Kinds("note", "unknown", "Messages that the capture does not have were read by {who}, {times}."),
}
"""The kinds of events that the summary speaks of."""


def problems(state: ClusterState, collected: Collected, names: Names) -> list[Problem]:
    """What is wrong, the worst first; nothing where nothing is."""
    found = [*_at_the_end(state, names), *_events(collected), *_refused(collected.traffic)]
    return sorted(found, key=lambda each: SEVERITIES.index(each.severity))


def _at_the_end(state: ClusterState, names: Names) -> Iterator[Problem]:
    """What the last state shows."""
    views = Views(state)
    for node in views.current:
        alive, judged = views.verdicts(node)
        if judged and alive < judged:
            who = names.label(id_of(node))
            yield Problem("wrong", f"{who} is alive for {alive} of {judged} observers at the end.", "members")
    late = [(node.node_id, behind) for node in views.current if (behind := views.worst(node))]
    if late:
        most = max(versions for _, versions in late)
        yield Problem(
            "look",
            f"At the end observers lack versions of {listed(top(late))}: up to {counted(most, 'version')}.",
            "matrix",
        )


def _events(collected: Collected) -> Iterator[Problem]:
    for kind, how in KINDS.items():
        group = collected.troubles.kinds.get(kind)
        if group is not None:
            yield Problem(how.severity, _said(how, group), how.section)


def _said(how: Kinds, group: Group) -> str:
    return how.text.format(
        who=listed(top(group.about.items())),
        times=counted(group.count, "time"),
        count=counted(group.count, "message"),
        why="; ".join(short(each, 120) for each in list(group.reasons)[:3]) or "nobody knows which",
    )


def _refused(traffic: Traffic) -> Iterator[Problem]:
    for code, found in traffic.found.items():
        known = CODES[code]
        if known.severity == "note":
            continue
        severity: Severity = "wrong" if known.severity == "error" else "look"
        yield Problem(severity, f"{counted(found.messages, 'message')} with {code}: {known.text}", "findings")


# --- tables ---


def member_rows(state: ClusterState, names: Names) -> list[list[str]]:
    """The runs at the end: node, run, address, alive for, versions behind, phi, keys."""
    views = Views(state)
    rows = []
    for node in state.nodes:
        alive, judged = views.verdicts(node)
        worst, phi = views.worst(node), views.phi(node)
        rows.append(
            [
                short(node.node_id),
                names.speech.run(node.generation_id) + ("" if node.run == "current" else " (earlier)"),
                short(node.gossip_advertise_addr),
                f"{alive} of {judged}" if judged else "unknown",
                "-" if worst is None else f"{worst:,}",
                "-" if phi is None else f"{phi:.2f}",
                f"{len(node.key_values):,}{'' if node.complete else '+'}",
            ]
        )
    return rows


def key_rows(collected: Collected) -> list[list[str]]:
    """The slowest keys: node, key, versions, the mean and the longest time until everybody had them."""
    keys = sorted(collected.spreading.keys.items(), key=lambda each: -each[1].longest)[:_MOST_ROWS]
    return [
        [short(node_id), short(key), f"{each.count:,}", f"{each.total / each.count:.2f} s", f"{each.longest:.2f} s"]
        for (node_id, key), each in keys
    ]


def last_rows(collected: Collected) -> list[list[str]]:
    """The observers that had versions last, and how often."""
    return [[short(name), f"{count:,}"] for name, count in collected.spreading.last.most_common(_MOST_ROWS)]


def reset_rows(collected: Collected) -> list[list[str]]:
    """Of whom copies were begun anew, how often, and in which frame first."""
    group = collected.troubles.kinds.get("reset")
    return [[short(name), f"{count:,}"] for name, count in group.about.most_common(_MOST_ROWS)] if group else []


def finding_rows(found: dict[str, Found], names: Names | None) -> list[list[str]]:
    """The findings: severity, code and meaning, messages, receivers, first frame."""
    order = ["error", "warning", "note"]
    rows = []
    for code, each in sorted(found.items(), key=lambda one: (order.index(CODES[one[0]].severity), -one[1].messages)):
        receivers = [names.at(one) if names else short(one) for one, _ in each.receivers.most_common(3)]
        more = f" and {len(each.receivers) - 3} more" if len(each.receivers) > 3 else ""
        rows.append(
            [
                CODES[code].severity,
                code,
                CODES[code].text,
                f"{each.messages:,}",
                ", ".join(receivers) + more,
                f"{each.first_frame:,}",
            ]
        )
    return rows


def digest_words(traffic: Traffic) -> str:
    """How large the largest digest is, and with how many nodes it will not fit a datagram."""
    size, entries = traffic.largest.size, traffic.largest.entries
    if not entries:
        return "No Syn with an entry was seen."
    each = size / entries
    said = f"The largest Syn has {size:,} bytes with {counted(entries, 'entry', 'entries')}, {each:.0f} bytes each."
    fits = int(MAX_DATAGRAM / each)
    small = traffic.version and size < _SMALL_DIGEST
    rough = " (a rough figure: so small a digest compresses differently)" if small else ""
    return f"{said} It will not fit a datagram of {MAX_DATAGRAM:,} bytes from about {fits:,} nodes on{rough}."


def spread_words(collected: Collected) -> str:
    """How many changes were seen, and how many got round."""
    spreading = collected.spreading
    if not spreading.everywhere:
        return f"{counted(spreading.changes, 'change')} seen, none of them on its whole way."
    return (
        f"{counted(spreading.changes, 'change')} seen; {counted(spreading.everywhere, 'version')} on their whole way, "
        f"the slowest in {spreading.longest:.2f} s."
    )
