"""A picture of a page: `python -m tests.browser.picture http://localhost:8090 fleet.png --width 1280`."""

from __future__ import annotations

import argparse
import base64
import tempfile
from pathlib import Path

from tests.browser.chromium import chromium, prefer, resize


def picture(url: str, output: Path, *, width: int = 1280, scheme: str = "light", scale: float = 2) -> None:
    """Write the whole page as a PNG file; `scale` is in its pixels for each CSS pixel."""
    with tempfile.TemporaryDirectory() as profile, chromium(Path(profile)) as browser:
        resize(browser, width, 800)
        prefer(browser, scheme)
        browser.get(url)
        height = browser.execute_script("return document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": scale}
        shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        output.write_bytes(base64.b64decode(shot["data"]))


def main() -> None:
    """Read the arguments and make the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("output", type=Path)
    parser.add_argument("--width", type=int, default=1280, help="in CSS pixels")
    parser.add_argument("--scheme", choices=("light", "dark"), default="light")
    parser.add_argument("--scale", type=float, default=2)
    arguments = parser.parse_args()
    picture(arguments.url, arguments.output, width=arguments.width, scheme=arguments.scheme, scale=arguments.scale)


if __name__ == "__main__":
    main()
