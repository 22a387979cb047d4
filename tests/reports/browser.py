"""A real browser without a window, for tests of the page: Chromium from the system's packages, driven by Playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from reports.record import Report
from reports.write import write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def opened(file: Path, width: int = 1440, scheme: str = "light") -> Iterator[Page]:
    """The file opened from disk. Any error in the console, and any request but for the file itself, fails the test."""
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("in CI there must be a browser. Type: apt-get install -y chromium")
        pytest.skip("there is no Chromium. Type: apt-get install -y chromium")
    wrong: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
            permissions=["clipboard-read", "clipboard-write"],
        )
        page = context.new_page()
        page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        address = file.resolve().as_uri()
        page.on(
            "request",
            lambda request: (
                wrong.append(f"request: {request.url[:200]}")
                if request.url.split("#")[0] != address and not request.url.startswith(("data:", "blob:"))
                else None
            ),
        )
        page.goto(address)
        yield page
        browser.close()
    assert wrong == []


@contextmanager
def opened_report(report: Report, folder: Path, width: int = 1440, scheme: str = "light") -> Iterator[Page]:
    """The page of a report, written to the folder and opened."""
    write_report(report, folder)
    with opened(folder / "report.html", width, scheme) as page:
        yield page
