# SPDX-License-Identifier: GPL-2.0-or-later
"""The dashboard, the alerts and the page: they speak of metrics that there are, and say what they mean."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scapy_chitchat.capture import Counters
from scapy_chitchat.metrics.families import families, written
from scapy_chitchat.metrics.table import TABLE
from scapy_chitchat.metrics.tally import Tally
from tests.support import PCAPS, ROOT

DASHBOARD: dict[str, Any] = json.loads((ROOT / "dashboards" / "chitchat.json").read_text())
ALERTS = ROOT / "dashboards" / "alerts.yml"
PAGE = (ROOT / "docs" / "metrics.md").read_text()
PROMTOOL = shutil.which(os.environ.get("PROMTOOL", "promtool"))
needs_promtool = pytest.mark.skipif(not PROMTOOL, reason="promtool, of the package prometheus, is not here")


def rules() -> list[dict[str, Any]]:
    """The alerts."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str]]:
    """All queries, each with the name of what asks it."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for each in DASHBOARD["templating"]["list"]:
        if each["type"] == "query":
            yield each["name"], each["query"]["query"]
    for rule in rules():
        yield rule["alert"], rule["expr"]


def unknown_in(expression: str) -> set[str]:
    """What an expression names that the exporter does not tell: metrics, and labels of the metric before them."""
    wrong = set()
    for name, selector in re.findall(r"(chitchat_\w+)(\{[^}]*\})?", expression):
        base = re.sub(r"_(bucket|count|sum)$", "", name) if "propagation" in name else name
        if base not in TABLE:
            wrong.add(name)
            continue
        known = {*TABLE[base].labels, "job", "instance"}
        wrong |= {each for each in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector) if each not in known}
    return wrong


@pytest.mark.parametrize(("name", "expression"), list(expressions()))
def test_what_is_asked_for_is_told(name: str, expression: str) -> None:
    assert "chitchat_" in expression
    assert not unknown_in(expression)


def test_the_test_sees_what_is_not_told() -> None:
    assert unknown_in('rate(chitchat_nothing_total{type="Syn"}[5m])') == {"chitchat_nothing_total"}
    assert unknown_in('chitchat_members{status="dead",cluster=~"a"}') == {"status"}


def test_every_metric_is_on_the_dashboard() -> None:
    asked = " ".join(expression for _, expression in expressions())
    assert not {name for name in TABLE if not re.search(rf"{name}(_bucket)?\b", asked)}


def test_every_panel_says_what_is_normal_and_has_a_place_of_its_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert [each["name"] for each in DASHBOARD["templating"]["list"]] == ["datasource", "job", "instance", "cluster"]


def test_every_alert_says_what_it_means_and_what_to_do() -> None:
    alerts = rules()
    assert len({rule["alert"] for rule in alerts}) == len(alerts) > 10
    for rule in alerts:
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        said = rule["annotations"]["summary"]
        assert said.endswith("."), rule["alert"]
        assert re.search(r"[:,;]", said), rule["alert"]


@needs_promtool
def test_promtool_takes_the_alerts() -> None:
    assert PROMTOOL
    done = subprocess.run([PROMTOOL, "check", "rules", ALERTS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_takes_the_metrics() -> None:
    assert PROMTOOL
    _, text = written(families(Tally(), Counters(), 0, 0, per_node=True))
    told = example()
    for each in (text.decode(), told):
        done = subprocess.run([PROMTOOL, "check", "metrics"], input=each, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


def example() -> str:
    """What the page's command prints."""
    command = [sys.executable, str(ROOT / "examples" / "metrics_of_a_capture.py"), str(PCAPS / "story.pcap.gz")]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


# --- the page ---


def test_the_page_has_the_table() -> None:
    rows = dict(re.findall(r"^\| `(chitchat_\w+)` (\|.*)\|$", PAGE, re.MULTILINE))
    assert list(rows) == list(TABLE)
    for name, row in rows.items():
        kind, labels, meaning = (cell.strip() for cell in row.strip("|").split("|", 2))
        assert (kind, labels, meaning) == (TABLE[name].kind, ", ".join(TABLE[name].labels), TABLE[name].meaning)


def test_the_page_shows_what_the_command_prints() -> None:
    (shown,) = re.findall(r"```\n\$ python examples/metrics_of_a_capture.py.*?\n(.*?)```", PAGE, re.DOTALL)
    printed = example().splitlines()
    lines = shown.splitlines()
    assert len(lines) > 20
    assert not [line for line in lines if line not in printed]


def test_the_yaml_on_the_page_is_yaml() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) >= 2
    for each in blocks:
        assert list(yaml.safe_load_all(each))


def test_the_folder_has_what_the_page_names() -> None:
    named = set(re.findall(r"\.\./dashboards/([\w.]+)", PAGE))
    assert named == {path.name for path in Path(ROOT / "dashboards").iterdir()}
