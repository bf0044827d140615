# SPDX-License-Identifier: GPL-2.0-or-later
"""``report`` on the command line, and what is in its page, without a browser."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from scapy_chitchat.cluster import Glance, Judged
from scapy_chitchat.records.identity import ChitchatId
from scapy_chitchat.report.bins import FIRST_WIDTH, MOST_BINS, Bins
from scapy_chitchat.report.liveness import MOST_PAIRS, Liveness
from scapy_chitchat.report.page import embedded, policy
from scapy_chitchat.report.traffic import beginning
from scapy_chitchat.report.words import KINDS
from tests.cli.test_cli import COMMAND, THREE, run
from tests.report.hostile import write_hostile
from tests.report.pictures import STORY, TEXT, story_page, text_of


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("story") / "report.html"
    story_page(path)
    return path.read_text(encoding="utf-8")


def figures(page: str) -> list[dict[str, Any]]:
    return [json.loads(each) for each in re.findall(r'class="figures">(.*?)</script>', page)]


@pytest.mark.long
def test_the_picture_in_the_docs_is_current(story: str) -> None:
    hint = "python -m tests.report.pictures takes it anew"
    assert text_of(story) == TEXT.read_text(encoding="utf-8"), hint


@pytest.mark.long
def test_what_is_wrong_stands_first(story: str) -> None:
    severities = re.findall(r'<li class="(wrong|look|note)">', story.partition('id="c1-')[0])
    assert severities == sorted(severities, key=["wrong", "look", "note"].index)
    assert severities[0] == "wrong"
    assert "The next key-value of janitor-0 fits no datagram" in story
    links = set(re.findall(r'href="#([\w-]+)"', story))
    assert links <= set(re.findall(r'id="([\w-]+)"', story))


def test_the_figures_are_what_state_says(story: str) -> None:
    prod, staging = figures(story)
    (state,) = [json.loads(line) for line in run("state", "--cluster", "prod", "--json", STORY).stdout.splitlines()]
    of = {(each["node_id"], each["generation_id"]): each for each in state["nodes"]}
    behind = {}
    for row, observer in zip(prod["matrix"]["behind"], prod["matrix"]["observers"], strict=True):
        for cell, subject in zip(row, prod["matrix"]["subjects"], strict=True):
            behind[prod["names"][observer], prod["names"][subject]] = cell
    for observer in state["observers"]:
        if of[observer["node_id"], observer["generation_id"]]["run"] == "current":
            for replica in observer["replicas"]:
                pair = observer["node_id"], replica["node_id"]
                if "searcher-1" not in pair and pair[0] != pair[1]:
                    owner = of[replica["node_id"], replica["generation_id"]]
                    assert behind[pair] == owner["max_version"] - replica["max_version"]
    assert sum(map(sum, prod["load"]["types"].values())) + sum(map(sum, staging["load"]["types"].values())) == 6471
    unanswered = run("timeline", "--cluster", "prod", "--kind", "unanswered", "--json", STORY).stdout
    assert sum(map(sum, prod["load"]["unanswered"])) == unanswered.count("\n") > 0


def test_phi_of_who_was_silent_passes_the_threshold(story: str) -> None:
    prod = figures(story)[0]
    silent = prod["names"].index("searcher-0")
    of_others = [
        max(filter(None, values), default=0) for _, subject, values in prod["phi"]["pairs"] if subject == silent
    ]
    assert max(of_others) > 10 * prod["phi"]["threshold"]
    assert len(prod["phi"]["axis"]["at"]) == 62


def test_nothing_off_the_wire_is_raw(tmp_path: Path) -> None:
    write_hostile(tmp_path / "hostile.pcap")
    page = run("report", tmp_path / "hostile.pcap", "-o", "-").stdout
    assert page.startswith("<!DOCTYPE html>") or page.lstrip().startswith("<!DOCTYPE html>")
    own = page.partition("</main>")[0]
    assert not re.search("[\x1b\x07\u202e\u2066\u2028]", own)
    assert "<script>alert" not in own
    assert "onerror=alert(3)&gt;" in own
    (data,) = figures(page)
    assert "<script>alert(1)</script>" in data["names"]


def test_json_ends_no_script() -> None:
    text = "</script><!-- & \u2028\u2029"
    written = embedded([text])
    assert not set(written) & set("<>&\u2028\u2029")
    assert json.loads(written) == [text]


def test_the_policy_allows_no_other_script() -> None:
    said = policy(["one"])
    assert "'unsafe-inline'" not in said.partition("style-src")[0]
    assert "default-src 'none'" in said
    assert "http" not in said
    assert policy(["two"]) != said


def test_an_empty_capture_gives_no_page(tmp_path: Path) -> None:
    (tmp_path / "empty.pcap").write_bytes(THREE.read_bytes()[:24])
    done = run("report", tmp_path / "empty.pcap", "-o", tmp_path / "report.html")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "no chitchat messages" in done.stderr
    assert not (tmp_path / "report.html").exists()


def test_a_cluster_that_is_not_there_gives_no_page(tmp_path: Path) -> None:
    done = run("report", "--cluster", "nope", THREE, "-o", tmp_path / "report.html")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("output", ["missing/report.html", "."])
def test_where_nothing_can_be_written_is_said_before_reading(tmp_path: Path, output: str) -> None:
    done = run("report", "no-such-capture.pcap", "-o", tmp_path / output)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr


def test_a_capture_is_not_written_over(tmp_path: Path) -> None:
    capture = tmp_path / "capture.pcap"
    capture.write_bytes(THREE.read_bytes())
    done = run("report", capture, "-o", capture)
    assert done.returncode == 1
    assert capture.read_bytes() == THREE.read_bytes()


def test_without_the_extra_one_line_says_how_to_get_it(tmp_path: Path) -> None:
    words = ["scapy-chitchat", "report", str(THREE), "-o", str(tmp_path / "report.html")]
    script = (
        f"import sys; sys.modules['jinja2'] = sys.modules['plotly'] = None; sys.argv = {words};"
        "from scapy_chitchat.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "scapy-chitchat: a report needs jinja2 and plotly: pip install 'scapy-chitchat[report]'\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.long
@pytest.mark.parametrize("arguments", [["--version"], ["state", str(THREE)], ["report", "-h"]])
def test_nobody_else_waits_for_the_plotting_library(arguments: Sequence[str]) -> None:
    script = "import sys, atexit; atexit.register(lambda: print('plotly' in sys.modules, 'jinja2' in sys.modules)); "
    script += "from scapy_chitchat.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False False\n")


def test_ctrl_c_writes_what_was_read_so_far(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    process = subprocess.Popen(
        [*COMMAND, "report", "-", "-o", str(page)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(THREE.read_bytes())
    process.stdin.flush()
    while "pipe_read" not in Path(f"/proc/{process.pid}/wchan").read_text():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 130
    error = process.stderr.read().decode()
    process.stdin.close()
    assert "interrupted" in error
    assert "Traceback" not in error
    assert "Reading was interrupted" in page.read_text(encoding="utf-8")


def test_with_utc_times_are_dates() -> None:
    (data,) = figures(run("report", "--utc", THREE, "-o", "-").stdout)
    assert data["phi"]["axis"]["at"][0] == "2026-11-24 06:24:56.380"
    assert {type(each) for each in data["load"]["axis"]["at"]} == {str}


# --- figures that stay small ---


def test_bins_keep_their_number_and_their_sum() -> None:
    bins: Bins[list[int]] = Bins(0, lambda: [0], lambda one, other: [one[0] + other[0]])
    for second in range(10_000):
        bins.at(second * FIRST_WIDTH)[0] += 1
    assert len(bins) <= MOST_BINS
    assert sum(each[0] for each in bins.all() if each) == 10_000
    bins.at(2**62)
    assert len(bins) <= MOST_BINS


def looks(count: int, phi: float) -> list[Glance]:
    runs = [ChitchatId(f"n{number}", 1, f"10.0.0.1:{number + 1}") for number in range(count)]
    return [
        Glance(each, [Judged(other, phi < 8, phi if other == runs[0] else 0.5) for other in runs if other != each])
        for each in runs
    ]


def test_of_many_pairs_the_notable_ones_are_kept() -> None:
    liveness = Liveness(0, 8.0)
    liveness.look(0, looks(100, 1.0))
    sampled = liveness.kept
    liveness.look(FIRST_WIDTH, looks(100, 9.0))
    first = ChitchatId("n0", 1, "10.0.0.1:1")
    assert not liveness.all_kept
    assert 0 < sampled <= liveness.kept <= MOST_PAIRS
    assert sum(first in subjects for subjects in liveness.pairs.values()) == 99
    worst = liveness.samples.all()[1]
    assert worst is not None
    assert worst.subjects[first].phi == 9.0


def test_of_few_nodes_all_pairs_are_kept() -> None:
    liveness = Liveness(0, 8.0)
    liveness.look(0, looks(10, 1.0))
    assert (liveness.kept, liveness.all_kept) == (90, True)


@pytest.mark.parametrize(
    ("key", "shown"),
    [("indexer.task:01J", "indexer.task:…"), ("readiness", "readiness"), ("a/b:c", "a/…"), (":x", ":x")],
)
def test_keys_are_grouped_by_what_they_begin_with(key: str, shown: str) -> None:
    assert beginning(key) == shown


@pytest.mark.long
def test_every_sentence_of_the_summary_leads_to_a_section(story: str) -> None:
    assert {each.section for each in KINDS.values()} <= set(re.findall(r'id="c0-([a-z]+)"', story))
