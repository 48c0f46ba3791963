"""One browser for all tests, and a site for each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from urllib.parse import urlsplit

import pytest
from modeldeployment_operator.core.observation import Key
from selenium.webdriver import Chrome

from tests.browser.chromium import chromium, prefer, resize
from tests.browser.site import Site, served
from tests.support import fleets


@pytest.fixture(scope="session")
def _browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def site() -> Iterator[Site]:
    """Three models: one was rolled back, one is on probation, one is not judged."""
    site = Site()
    site.knows(Key("shop", "reviews"), fleets.rolled_back("reviews"))
    site.knows(Key("bank", "fraud"), fleets.on_probation("fraud"))
    site.knows(Key("shop", "ranking"), fleets.unjudged("ranking"))
    with served(site):
        yield site


@pytest.fixture
def browser(_browser: Chrome, site: Site) -> Iterator[Chrome]:
    """A browser on the site's first page, wide and light. In the end it must not have complained or gone elsewhere."""
    resize(_browser, 1280, 800)
    prefer(_browser, "light")
    _browser.get(site.url)
    log(_browser, "performance")
    yield _browser
    requests = [json.loads(entry)["message"] for entry in log(_browser, "performance")]
    sent = [one["params"]["request"]["url"] for one in requests if one["method"] == "Network.requestWillBeSent"]
    _browser.get("about:blank")
    complaints = [entry for entry in log(_browser, "browser") if "Failed to load" not in entry]
    assert complaints == []
    assert {urlsplit(url).netloc for url in sent} <= {f"localhost:{site.port}"}


def log(browser: Chrome, kind: str) -> list[str]:
    """Return what was logged since this was asked last."""
    return [entry["message"] for entry in browser.get_log(kind)]  # type: ignore[no-untyped-call]  # Not annotated.


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core."""
    return (resources.files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")
