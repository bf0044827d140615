# SPDX-License-Identifier: GPL-2.0-or-later
"""The picture of a report in docs/pictures, and what was on the page when it was taken.

    python -m tests.report.pictures

Pixels differ from machine to machine, so a test compares the page's text and the digest of its figures with those that
stand beside the picture: where they differ, the picture is old.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path

from tests.report.browser import chromium, opened
from tests.support import PCAPS, ROOT

FOLDER = ROOT / "docs" / "pictures"
TEXT = FOLDER / "report.txt"
STORY = PCAPS / "story.pcap.gz"


class _Text(HTMLParser):
    """The text of a page, a line a piece; instead of figures their digest."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = "figures" if ("class", "figures") in attrs else tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "figures":
            self.lines.append(f"figures: sha256 {hashlib.sha256(data.encode()).hexdigest()}")
        elif self._inside not in ("script", "style") and data.strip():
            self.lines.append(" ".join(data.split()))


def text_of(page: str) -> str:
    """What a page says, without its looks and scripts."""
    reader = _Text()
    reader.feed(page)
    return "\n".join(reader.lines) + "\n"


def story_page(path: Path) -> None:
    """Write the report of the story's capture, as the command line does."""
    command = [sys.executable, "-m", "scapy_chitchat", "report", str(STORY.relative_to(ROOT)), "-o", str(path)]
    subprocess.run(command, check=True, cwd=ROOT)


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        path = Path(folder) / "report.html"
        story_page(path)
        TEXT.write_text(text_of(path.read_text(encoding="utf-8")), encoding="utf-8")
        for scheme in ("light", "dark"):
            with opened(browser, path, scheme=scheme) as shown:
                shown.page.set_viewport_size({"width": 1280, "height": 1300})
                shown.page.screenshot(path=FOLDER / f"report-{scheme}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
