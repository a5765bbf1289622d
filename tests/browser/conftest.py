"""A real browser: Debian's chromium, driven by Playwright."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.services import packages
from tests.services.processes import PATIENCE

OPTIONS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
]  # fmt: skip

expect.set_options(timeout=PATIENCE * 1000)


@dataclass
class Window:
    """A page, and what happened in it that should not have: errors, refusals by the policy, requests to elsewhere."""

    page: Page
    origin: str
    trouble: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.trouble.append(f"error: {error}"))
        self.page.on("request", self._on_request)
        self.page.on("framenavigated", lambda frame: self.loaded.append(frame.url))

    def _on_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.trouble.append(f"console: {message.text}")

    def _on_request(self, request: Any) -> None:
        if not request.url.startswith((self.origin, self.origin.replace("http", "ws", 1), "data:")):
            self.trouble.append(f"request to elsewhere: {request.url}")


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    packages.ensure("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(packages.program("chromium")), args=OPTIONS)
        yield browser
        browser.close()
