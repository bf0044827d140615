# SPDX-License-Identifier: GPL-2.0-or-later
"""The page itself: one HTML file with its style, its script, the plotting library and the figures in it.

Nothing on the page may reach the network, and no script may run but the two that are written here: the page's own
Content-Security-Policy forbids it, by the scripts' hashes. Texts off the wire come in twice, and are escaped for where
they stand: by jinja2 in HTML, by ``embedded`` in the figures.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from importlib.resources import files

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from scapy_chitchat.cluster import ClusterState, Step
from scapy_chitchat.report import words
from scapy_chitchat.report.charts import charts
from scapy_chitchat.report.collect import Collected, Collector
from scapy_chitchat.report.names import Names, Speech, Views, counted, short


@dataclass
class Part:
    """One cluster of the page, and what the engine says of it in words."""

    state: ClusterState
    steps: list[Step]
    """Its versions whose ways were followed."""
    confidence: str
    guesses: list[str]
    doubts: list[str]


@dataclass
class Reading:
    """What was read."""

    files: list[str]
    messages: int
    first: int
    """When the first message came, and the last; nanoseconds since the epoch."""
    last: int
    began: str
    """The date of the first message."""
    notes: list[str] = field(default_factory=list)
    """What was lost on the way, a line each."""
    interrupted: bool = False


def page(parts: list[Part], collector: Collector, reading: Reading, speech: Speech) -> str:
    """The whole page. ``parts``: the clusters that are shown, each of them known to the collector."""
    environment = Environment(
        loader=PackageLoader("scapy_chitchat", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    scripts = [get_plotlyjs(), _resource("page.js")]
    return environment.get_template("page.html.jinja").render(
        policy=policy(scripts),
        style=Markup(_resource("page.css")),
        scripts=[Markup(each) for each in scripts],
        files=[short(each, 120) for each in reading.files],
        reading=reading,
        seconds=(reading.last - reading.first) / 1e9,
        messages=counted(reading.messages, "message"),
        clusters=[_cluster(each, collector.clusters[each.state.cluster_id or ""], speech) for each in parts],
        left_out=[short(each) for each in sorted(collector.left_out)],
        unassigned=collector.unassigned,
        lost_findings=words.finding_rows(collector.lost.found, None),
    )


def _cluster(part: Part, collected: Collected, speech: Speech) -> dict[str, object]:
    """What the template shows of one cluster."""
    names = Names(part.state, speech)
    figures = charts(part.state, collected, part.steps, names)
    current = Views(part.state).current
    return {
        "name": short(part.state.cluster_id),
        "messages": counted(part.state.messages, "message"),
        "nodes": counted(len(current), "node"),
        "earlier": len(part.state.nodes) - len(current),
        "bytes": f"{collected.traffic.bytes:,}",
        "problems": words.problems(part.state, collected, names),
        "members": words.member_rows(part.state, names),
        "unmarked": collected.troubles.unmarked,
        "all_pairs": collected.liveness.all_kept,
        "pairs": collected.liveness.kept,
        "spread": words.spread_words(collected),
        "slowest": words.key_rows(collected),
        "last": words.last_rows(collected),
        "resets": words.reset_rows(collected),
        "digest": words.digest_words(collected.traffic),
        "findings": words.finding_rows(collected.traffic.found, names),
        "confidence": part.confidence,
        "guesses": part.guesses,
        "doubts": part.doubts,
        "unknown": _unknown(part.state, names),
        "rows_left_out": figures.members.left_out,
        "matrix_left_out": figures.matrix.left_out,
        "data": embedded(figures),
    }


def _unknown(state: ClusterState, names: Names) -> str:
    """Of how many replicas versions are unknown."""
    replicas = [(each, one) for each in state.observers for one in each.replicas]
    lacking = sum(bool(replica.unknown_versions) for _, replica in replicas)
    return f"{lacking:,} of {counted(len(replicas), 'replica')} may hold key-values that nobody sent meanwhile"


def embedded(value: object) -> Markup:
    """JSON for a script element: nothing in it can end the element, open a comment or a line."""
    text = msgspec.json.encode(value).decode()
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)


def policy(scripts: list[str]) -> str:
    """The Content-Security-Policy of a page that fetches nothing and runs these scripts alone."""
    hashes = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in scripts]
    allowed = " ".join(f"'sha256-{each}'" for each in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _resource(name: str) -> str:
    return files("scapy_chitchat.report").joinpath(name).read_text(encoding="utf-8")
