# SPDX-License-Identifier: GPL-2.0-or-later
"""A real browser, Debian's Chromium, that opens a page offline and tells what went wrong with it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request, Route

BOUND = 120_000
"""Milliseconds after which a page that is not drawn never will be."""


def chromium_path() -> str | None:
    """Where Chromium is; None where it is not installed."""
    return shutil.which("chromium")


def why_no_browser() -> str:
    """Why no page can be looked at here; nothing where one can."""
    if find_spec("playwright") is None:
        return "playwright, of the extra dev, is not installed"
    return "" if chromium_path() else "Chromium is not installed: apt install chromium"


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser. Without its sandbox, which wants another user than root; pages are our own."""
    from playwright.sync_api import sync_playwright  # which only the extra dev brings

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Opened:
    """A page that is open and drawn."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.wrong: list[str] = []
        """Console errors and warnings, errors of scripts, dialogs."""
        self.requests: list[str] = []
        """What it asked for beside its own file."""
        page.set_default_timeout(BOUND)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("dialog", self._dialog)
        page.route("**/*", self._route)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(message.text)

    def _dialog(self, dialog: Dialog) -> None:
        self.wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _route(self, route: Route, request: Request) -> None:
        if request.is_navigation_request() and request.url.startswith("file:"):
            route.continue_()
            return
        self.requests.append(request.url)
        route.abort()

    def go(self, path: Path) -> None:
        """Open the file, and wait until its pictures are drawn."""
        self.page.goto(path.as_uri())
        self.page.wait_for_function("document.documentElement.dataset.drawn === 'yes'")


@contextmanager
def opened(
    browser: Browser, path: Path, width: int = 1280, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Opened]:
    """The page at this width, in these colours."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    try:
        found = Opened(context.new_page())
        found.go(path)
        yield found
    finally:
        context.close()
