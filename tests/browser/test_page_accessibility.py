"""axe-core finds nothing to mend, on any page, in light and dark, wide and narrow."""

from __future__ import annotations

import time
from typing import Any

import pytest
from modeldeployment_operator.core.observation import Key
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.browser.chromium import prefer, resize
from tests.browser.site import Site
from tests.support import fleets

LONG = Key("n" * 63, "m" * 40)
PATHS = {
    "fleet": "",
    "filtered": "?state=rolled-back&namespace=shop&name=re&sort=labels&reverse=1",
    "none found": "?name=nothing",
    "model": "models/shop/reviews",
    "long": f"models/{LONG.namespace}/{LONG.name}",
    "missing": "models/shop/other",
}


@pytest.mark.parametrize("width", [1280, 320])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_no_violations(browser: Chrome, site: Site, axe: str, path: str, scheme: str, width: int) -> None:
    for kind in fleets.ALL:
        site.knows(Key("zoo", kind.__name__.replace("_", "-")), kind(kind.__name__.replace("_", "-")))
    site.knows(LONG, fleets.failing(LONG, "标签" * 100 + "x" * 300))
    resize(browser, width, 900)
    prefer(browser, scheme)
    browser.get(site.url + path)

    assert violations(browser, axe) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_violations_when_things_go_wrong(browser: Chrome, site: Site, axe: str, scheme: str) -> None:
    for name in ("reviews", "ranking"):
        site.forgets(Key("shop", name))
    site.forgets(Key("bank", "fraud"))
    site.silence, site.synced = None, False
    time.sleep(1.1)
    prefer(browser, scheme)
    browser.get(site.url)
    browser.find_element(By.ID, "pause").click()
    browser.execute_script("tellLoss(true)")

    assert violations(browser, axe) == []


def test_axe_finds_what_is_wrong(browser: Chrome, axe: str) -> None:
    browser.execute_script("document.querySelector('label').remove()")

    assert [found["id"] for found in violations(browser, axe)] == ["select-name"]


def violations(browser: Chrome, axe: str) -> list[dict[str, Any]]:
    """Return what axe finds, each with where it is."""
    if not browser.execute_script("return typeof axe === 'object'"):
        browser.execute_script(f"{axe}; window.axe = axe;")
    script = "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then(done);"
    results = browser.execute_async_script(script)
    return [
        {"id": found["id"], "where": [node["target"] for node in found["nodes"]], "why": found["help"]}
        for found in results["violations"]
    ]
