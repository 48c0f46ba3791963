"""What people see and do on the operator's page, in a real browser."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from modeldeployment_operator.core.observation import Key
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.chromium import prefer, resize
from tests.browser.site import HEARD, Site, served
from tests.support import fleets

XSS = "<script>document.title='owned'</script><img src=x onerror=document.title='owned'>\"'>{{ 7 * 7 }}"
NEXT_LOOK = 15.0
"""Seconds within which the page has surely looked again: it does every five."""


def shown(browser: Chrome) -> list[str]:
    """Return the names of the models in the table, in order."""
    return [link.text for link in browser.find_elements(By.CSS_SELECTOR, "tbody th a")]


def element(browser: Chrome, selector: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, selector)


def until(browser: Chrome, holds: Callable[[Chrome], object]) -> None:
    while_it_changes = [StaleElementReferenceException]
    WebDriverWait(browser, NEXT_LOOK, poll_frequency=0.1, ignored_exceptions=while_it_changes).until(holds)


def shows(*names: str) -> Callable[[Chrome], bool]:
    return lambda browser: shown(browser) == list(names)


def says(selector: str, words: str) -> Callable[[Chrome], bool]:
    return lambda browser: words in element(browser, selector).text


def press(browser: Chrome, *keys: str) -> None:
    for key in keys:
        ActionChains(browser).send_keys(key).perform()


def focus(browser: Chrome) -> str:
    """Return the id of what has the focus."""
    return str(browser.switch_to.active_element.get_attribute("id"))


def tab_to(browser: Chrome, identity: str) -> None:
    """Go on with the tab key until something has the focus."""
    for _ in range(60):
        press(browser, Keys.TAB)
        if focus(browser) == identity:
            return
    raise AssertionError(f"the tab key does not lead to {identity}")


def look_now(browser: Chrome) -> None:
    """Have the page look again at once, as it does every five seconds."""
    time.sleep(1.1)  # Until the operator makes another answer.
    browser.execute_async_script("const done = arguments[0]; update().then(done);")


# --- What is seen ------------------------------------------------------------------------------------------


def test_the_fleet_at_a_glance(browser: Chrome) -> None:
    assert browser.title == "ModelDeployments: 3"
    assert shown(browser) == ["reviews", "fraud", "ranking"]
    row = element(browser, "#row-shop_reviews").text
    for words in ("Rolled back", "was taken back at", "6f1c0a serving 2 of 2 pods", "0.9600", "limit 0.9", "Healthy"):
        assert words in row
    assert "accuracy 0.7000 from 100 labels" in row


def test_bars_say_in_words_what_they_draw(browser: Chrome) -> None:
    bar = element(browser, "#row-bank_fraud svg")

    assert bar.get_attribute("aria-label") == "accuracy 0.8750, interval 0.6157 to 0.9858, limit 0.9"
    assert bar.aria_role in {"img", "image"}


def test_the_page_of_a_model(browser: Chrome) -> None:
    element(browser, "#model-shop_reviews").click()
    page = element(browser, "main").text

    assert element(browser, "h1").text == "reviews"
    for words in (
        "https://models/reviews-9b27e4.keras",
        "100, 30 wrong",
        "AccuracyHealthy",
        "0.6000 to 0.8000",
        "100%",
    ):
        assert words in page
    element(browser, "#namespace-link").click()
    until(browser, shows("reviews", "ranking"))


def test_an_operator_that_hears_nothing_says_so(browser: Chrome, site: Site) -> None:
    site.silence = None
    look_now(browser)

    assert "This may be out of date" in element(browser, "#old").text
    site.silence = HEARD
    look_now(browser)
    assert not browser.find_elements(By.ID, "old")


@pytest.mark.parametrize("path", ["", "models/shop/reviews"])
def test_nothing_is_wider_than_a_narrow_screen(browser: Chrome, site: Site, path: str) -> None:
    resize(browser, 320, 640)
    browser.get(site.url + path)

    assert browser.execute_script("return document.documentElement.scrollWidth") == 320


def test_a_thousand_models_come_in_pages(browser: Chrome, site: Site) -> None:
    for key, status in fleets.many(1000):
        site.knows(key, status)
    time.sleep(1.1)
    browser.get(site.url)
    assert len(shown(browser)) == 100

    element(browser, "#next").click()
    until(browser, says("caption", "page 2 of 11"))
    assert len(shown(browser)) == 100


# --- Keyboard ----------------------------------------------------------------------------------------------


def test_the_first_key_skips_to_the_content(browser: Chrome) -> None:
    press(browser, Keys.TAB, Keys.ENTER)

    assert focus(browser) == "content"


def test_models_are_found_by_keyboard_alone(browser: Chrome) -> None:
    tab_to(browser, "state-rolled-back")
    press(browser, Keys.ENTER)
    until(browser, shows("reviews"))

    tab_to(browser, "clear")
    press(browser, Keys.ENTER)
    until(browser, shows("reviews", "fraud", "ranking"))
    tab_to(browser, "namespace")
    press(browser, "bank")  # Chosen by its first letters.
    tab_to(browser, "name")
    press(browser, "fr", Keys.ENTER)
    until(browser, shows("fraud"))
    assert "namespace=bank" in browser.current_url


def test_columns_are_sorted_by_keyboard_alone(browser: Chrome) -> None:
    tab_to(browser, "sort-name")
    press(browser, Keys.ENTER)
    until(browser, shows("fraud", "ranking", "reviews"))
    assert element(browser, "th[aria-sort=ascending]").text.startswith("Model")

    tab_to(browser, "sort-name")
    press(browser, Keys.ENTER)
    until(browser, shows("reviews", "ranking", "fraud"))
    assert element(browser, "th[aria-sort=descending]").text.startswith("Model")


def test_what_has_the_focus_can_be_seen(browser: Chrome) -> None:
    tab_to(browser, "model-bank_fraud")

    assert browser.switch_to.active_element.value_of_css_property("outline-style") == "solid"


# --- It keeps itself up to date ----------------------------------------------------------------------------


def test_a_changed_status_shows_by_itself_and_nothing_moves(browser: Chrome, site: Site) -> None:
    resize(browser, 1280, 400)
    tab_to(browser, "model-bank_fraud")
    browser.execute_script("window.scrollTo(0, 120); window.stayed = true;")
    site.knows(Key("bank", "fraud"), fleets.degraded("fraud"))

    until(browser, says("#row-bank_fraud", "Degraded"))
    assert shown(browser) == ["fraud", "reviews", "ranking"]
    assert focus(browser) == "model-bank_fraud"
    assert browser.execute_script("return window.scrollY") == 120
    assert browser.execute_script("return window.stayed")


def test_what_is_being_typed_stays(browser: Chrome, site: Site) -> None:
    name = element(browser, "#name")
    name.send_keys("rank")
    site.knows(Key("new", "model"), fleets.starting("model"))
    look_now(browser)

    assert "model" in shown(browser)
    assert name.get_property("value") == "rank"
    assert focus(browser) == "name"
    assert "new" in element(browser, "#namespace").text


def test_models_come_and_go(browser: Chrome, site: Site) -> None:
    site.forgets(Key("shop", "ranking"))
    site.knows(Key("zoo", "animals"), fleets.healthy("animals"))
    look_now(browser)

    assert shown(browser) == ["reviews", "fraud", "animals"]
    assert browser.title == "ModelDeployments: 3"


def test_the_page_of_a_model_that_was_deleted(browser: Chrome, site: Site) -> None:
    element(browser, "#model-shop_ranking").click()
    site.forgets(Key("shop", "ranking"))
    look_now(browser)

    assert element(browser, "h1").text == "Not found"


def test_updates_can_be_held(browser: Chrome, site: Site) -> None:
    pause = element(browser, "#pause")
    pause.click()
    site.knows(Key("bank", "fraud"), fleets.degraded("fraud"))
    look_now(browser)
    assert "Degraded" not in element(browser, "#row-bank_fraud").text
    assert pause.get_attribute("aria-pressed") == "true"

    pause.click()
    until(browser, says("#row-bank_fraud", "Degraded"))


def test_an_operator_that_is_gone_is_told_of_until_it_is_back(browser: Chrome, site: Site) -> None:
    site.stop()
    look_now(browser)
    assert "The operator does not answer. What you see is from" in element(browser, "#lost").text
    assert shown(browser) == ["reviews", "fraud", "ranking"]

    with served(site):
        until(browser, lambda browser: not element(browser, "#lost").text)


# --- What others wrote stays text --------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "models/shop/vision"])
def test_messages_stay_text(browser: Chrome, site: Site, path: str) -> None:
    site.knows(Key("shop", "vision"), fleets.failing("vision", XSS))
    time.sleep(1.1)
    browser.get(site.url + path)
    look_now(browser)  # What the page fetches later is text too.

    assert XSS in element(browser, "main").text
    assert browser.title in {"ModelDeployments: 4", "shop/vision"}
    assert not browser.find_elements(By.CSS_SELECTOR, "main script, main img")


@pytest.mark.parametrize("query", ["name=", "namespace=", "state=", "sort="])
def test_what_an_address_says_stays_text(browser: Chrome, site: Site, query: str) -> None:
    browser.get(f"{site.url}?{query}%22%3E%3Cimg%20src=x%20onerror=document.title=1%3E%3Cscript%3E1%3C/script%3E")

    assert browser.title == "ModelDeployments: 3"
    assert not browser.find_elements(By.CSS_SELECTOR, "main script, main img")


def test_text_in_other_scripts_is_shown_as_it_is(browser: Chrome, site: Site) -> None:
    message = "标签“体育”与“财经”的数量不一致"
    site.knows(Key("shop", "vision"), fleets.failing("vision", message))
    time.sleep(1.1)
    browser.get(f"{site.url}models/shop/vision")

    assert message in element(browser, "main").text


def test_dark_is_dark(browser: Chrome) -> None:
    light = element(browser, "body").value_of_css_property("background-color")
    prefer(browser, "dark")

    assert element(browser, "body").value_of_css_property("background-color") != light
