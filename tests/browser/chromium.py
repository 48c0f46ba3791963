"""Debian's Chromium without a window, driven by its own driver: nothing is looked for or downloaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from selenium.webdriver import Chrome, ChromeOptions, ChromeService

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = ("chromium", "chromium-driver")
"""Debian's packages of the two."""
_OPTIONS = (
    "--headless=new",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--no-first-run",
    "--no-proxy-server",
)


class BrowserError(Exception):
    """There is no browser to drive."""


@contextmanager
def chromium(profile: Path) -> Iterator[Chrome]:
    """Run a browser; `profile` is a new directory for all that it writes."""
    options = ChromeOptions()
    options.binary_location = _installed("chromium")
    for option in (*_OPTIONS, f"--user-data-dir={profile}"):
        options.add_argument(option)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # Its sandbox is not for root; only pages of our own are opened.
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = Chrome(options, ChromeService(_installed("chromedriver")))
    try:
        yield browser
    finally:
        browser.quit()


def resize(browser: Chrome, width: int, height: int) -> None:
    """Give the page a size in CSS pixels, however small: a window has a least width."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def prefer(browser: Chrome, scheme: str) -> None:
    """Prefer `light` or `dark`, and no motion."""
    features = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def _installed(command: str) -> str:
    path = shutil.which(command)
    if path is None:
        raise BrowserError(f"{command} is not installed: apt-get install {' '.join(PACKAGES)}")
    return path
