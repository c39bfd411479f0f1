"""In a real browser: players play, images load, figures are drawn, nothing is wider than a phone."""

import importlib.util

import pytest

from tests.report.conftest import BROWSER

pytestmark = pytest.mark.browser
LOADED = "[...document.images].map((one) => one.naturalWidth)"
PLAYED = """async () => {
  const audio = document.querySelector("audio");
  await audio.play();
  await new Promise((done) => audio.addEventListener("ended", done));
  return audio.currentTime;
}"""
DRAWN = "document.querySelector('canvas').toDataURL()"
EMPTY = """() => {
  const canvas = document.querySelector("canvas"), other = document.createElement("canvas");
  [other.width, other.height] = [canvas.width, canvas.height];
  return other.toDataURL();
}"""


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        opened = playwright.chromium.launch(executable_path=BROWSER, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser):
    """Opens a file at a width; what goes wrong in it fails the test."""
    wrong, pages = [], []

    def opened(path, width=1280, scheme="light", motion="reduce"):
        page = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion=motion, offline=True
        )
        pages.append(page)
        page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: None if request.url[:5] in ("file:", "data:") else wrong.append(request.url))
        page.goto(path.as_uri())
        return page

    yield opened
    for page in pages:
        page.close()
    assert not wrong


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_pages_fit_and_images_load(visit, plain_page, small_report, width, scheme):
    for path in (plain_page, small_report):
        page = visit(path, width, scheme)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        widths = page.evaluate(LOADED)
        assert widths and min(widths) > 0
        outside = (
            "[...document.querySelectorAll('figure')].filter((one) => one.getBoundingClientRect().right > innerWidth)"
        )
        assert page.evaluate(f"{outside}.length") == 0
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(252, 252, 250)"
        assert dark == (scheme == "dark")


def test_players_play(visit, plain_page):
    page = visit(plain_page)
    assert page.evaluate(PLAYED) == pytest.approx(0.4, abs=0.05)
    both = "async () => { const all = [...document.querySelectorAll('audio')]; for (const one of all) await one.play();"
    assert page.evaluate(f"{both} return all.map((one) => one.paused); }}") == [True, False]


def test_figures_move_when_asked(visit, plain_page):
    page = visit(plain_page)
    still = page.evaluate(DRAWN)
    assert still != page.evaluate(EMPTY)
    page.wait_for_timeout(200)
    assert page.evaluate(DRAWN) == still  # motion is reduced, so nothing moves by itself
    button = page.locator(".motion button").first
    button.click()
    assert button.text_content() == "Pause"
    page.wait_for_function(f"(before) => {DRAWN} !== before", arg=still)
    button.click()
    assert button.text_content() == "Play"
    slider = page.locator(".motion input").first
    slider.fill("0")
    assert page.evaluate(DRAWN) == still


def test_figures_move_by_themselves_while_they_are_seen(visit, plain_page):
    page = visit(plain_page, 390, motion="no-preference")
    page.locator(".motion").first.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('.motion button').textContent === 'Pause'")
    page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
    page.wait_for_function("document.querySelector('.motion button').textContent === 'Play'")


def test_the_driver_is_there():
    assert BROWSER and importlib.util.find_spec("playwright")
