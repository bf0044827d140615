# SPDX-License-Identifier: GPL-2.0-or-later
"""The scripts in examples/ do what they say, on the story's capture."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support import PCAPS, ROOT
from tests.support.truth import read_truth

STORY = PCAPS / "story.pcap.gz"


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "examples" / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.long
def test_the_check_passes_and_fails() -> None:
    done = run("everybody_has_it.py", STORY, "indexer-1", 7, 10)
    assert (done.returncode, done.stdout) == (0, "every observer has version 7 of indexer-1\n")
    late = run("everybody_has_it.py", STORY, "indexer-1", 10, 22)
    assert late.returncode == 1
    assert "searcher-0" in late.stdout, "it stood still at that time"
    unknown = run("everybody_has_it.py", STORY, "nobody", 1, 1)
    assert (unknown.returncode, unknown.stderr.count("\n")) == (1, 1)
    assert "nobody has named nobody" in unknown.stderr


def test_the_walk_goes_to_its_end() -> None:
    done = run("walk.py", STORY)
    assert (done.returncode, done.stderr) == (0, "")
    truth = read_truth(PCAPS / "story.jsonl.gz")
    for each in truth.runs:
        assert f"  {each.node_id} (" in done.stdout
    assert "most often calling dead: [('searcher-0', 20)" in done.stdout, "who was paused twice"
    assert "prod gossip interval: Estimate(seconds=1.0" in done.stdout
