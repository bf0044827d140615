# SPDX-License-Identifier: GPL-2.0-or-later
"""The page in a real browser: all is drawn, nothing is fetched, nothing hostile runs, nodes can be picked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from scapy_chitchat.net.text import printable
from tests.cli.test_cli import run
from tests.report.browser import chromium, opened, why_no_browser
from tests.report.hostile import NAMES, write_hostile
from tests.report.pictures import story_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PICTURES = {"members", "phi", "matrix", "spread", "ladder", "types", "prefixes", "unanswered", "digest"}
DRAWN = "[...document.querySelectorAll('section:not([hidden]) .chart')].filter(e => e.querySelector('.main-svg'))"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if missing := why_no_browser():
        pytest.skip(missing)
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("story") / "report.html"
    story_page(path)
    return path


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    write_hostile(folder / "hostile.pcap")
    done = run("report", folder / "hostile.pcap", "-o", folder / "report.html")
    assert done.returncode == 0, done.stderr
    return folder / "report.html"


@pytest.mark.long
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_every_section_is_drawn_and_nothing_is_fetched(
    browser: Browser, story: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    with opened(browser, story, width, scheme) as shown:
        assert set(shown.page.evaluate(f"{DRAWN}.map(e => e.dataset.chart)")) == PICTURES
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
        shown.page.click("button[data-cluster='1']")
        assert shown.page.is_visible("section[data-cluster='1'] [data-chart=types] .main-svg")
        assert not shown.page.is_visible("section[data-cluster='0']")
        assert (shown.wrong, shown.requests) == ([], [])


@pytest.mark.long
def test_picking_a_node_and_hovering_work(browser: Browser, story: Path) -> None:
    with opened(browser, story) as shown:
        page = shown.page
        legend = "[data-chart=phi] .legendtext"
        assert page.text_content(legend) == "the largest of all observers"
        page.select_option("select[data-pick=subject] >> nth=0", label="indexer-0")
        page.select_option("select[data-pick=observer] >> nth=0", label="metastore-0")
        assert page.text_content(legend) == "metastore-0"
        ladder = page.text_content("[data-chart=ladder] .ytick text")
        page.select_option("select[data-pick=ladder] >> nth=0", index=5)
        assert page.locator("[data-chart=ladder] .bars .point").count() > 0
        assert ladder is not None
        page.locator("[data-chart=ladder]").first.scroll_into_view_if_needed()
        page.locator("[data-chart=ladder] .bars .point path").first.hover(force=True)
        page.wait_for_selector("[data-chart=ladder] .hoverlayer .hovertext")
        assert (shown.wrong, shown.requests) == ([], [])


@pytest.mark.long
def test_hostile_strings_are_shown_as_text(browser: Browser, hostile: Path) -> None:
    with opened(browser, hostile) as shown:
        page = shown.page
        text = page.inner_text("body")
        for name in NAMES:
            assert printable(name)[:47] in text
        drawn = page.evaluate("[...document.querySelectorAll('.chart svg text')].map(e => e.textContent).join('\\n')")
        assert "<script>alert(1)</script>" in drawn
        assert "<b>bold</b>" in drawn  # of this Plotly would make bold letters
        made = "main script:not(.figures), img[src=x], svg[onload], .chart b, [href^='javascript:'], .chart a[href]"
        assert page.locator(made).count() == 0
        assert (shown.wrong, shown.requests) == ([], [])


@pytest.mark.long
def test_what_would_run_or_fetch_is_forbidden(browser: Browser, story: Path) -> None:
    with opened(browser, story) as shown:
        page = shown.page
        page.evaluate(
            "() => { const made = document.createElement('script'); made.textContent = 'window.ran = true';"
            " document.body.append(made); }"
        )
        assert page.evaluate("window.ran") is None
        assert page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')") == "refused"
        assert shown.requests == []
        assert any("Content Security Policy" in each for each in shown.wrong)
