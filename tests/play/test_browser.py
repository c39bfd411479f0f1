"""The page in a real browser, at the width of a desk and of a phone: type, draw, play, paint, edit, compare."""

import importlib
import os
import re

import pytest
from PIL import Image as Picture

from tests.report.conftest import BROWSER
from tests.worlds import tokenizers
from tokenmask.play import server
from tokenmask.play.swaps import Swaps

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:gradio")]
WIDTHS = {"desk": 1280, "phone": 390}
PLAYED = """async (audio) => {
  await audio.play();
  await new Promise((done) => audio.addEventListener("ended", done));
  return audio.currentTime;
}"""
OUTSIDE = """() => {
  const wide = document.documentElement.clientWidth;
  const seen = [...document.querySelectorAll("button, input, textarea, label, iframe, canvas, h1, p")];
  const right = (one) => one.getBoundingClientRect().right;
  return seen.filter((one) => one.offsetParent && right(one) > wide + 1).map((one) => one.outerHTML);
}"""
STAGE = "(document.querySelector('#stage iframe')?.srcdoc ?? '')"
ODD = "[svelte-i18n]"  # the library warns of its own words


@pytest.fixture(scope="module")
def served(run):
    before, random = dict(os.environ), importlib.import_module("random")
    state, other = random.getstate(), tokenizers()["image"]
    swaps = Swaps(run, {"image": (other, "tokenizers/small")})
    swaps._made["image"] = run.swap_tokenizer("image", other, media=[run.generate("image", steps=1)[0]])
    up = server.serve(run, swaps)
    random.setstate(state)
    yield up
    up.close()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        opened = playwright.chromium.launch(executable_path=BROWSER, args=arguments)
        yield opened
        opened.close()


@pytest.fixture(params=WIDTHS)
def page(request, browser, served):
    """The page; what goes wrong on it, and what it asks of other addresses, fails the test."""
    wrong = []
    opened = browser.new_page(
        viewport={"width": WIDTHS[request.param], "height": 900}, has_touch=request.param == "phone"
    )
    opened.set_default_timeout(20_000)

    def said(message):
        if message.type in ("error", "warning") and ODD not in message.text:
            wrong.append(message.text)

    def asked(one):
        if not one.url.startswith((served.address, "data:", "blob:", "about:")):
            wrong.append(one.url)

    opened.on("console", said)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("request", asked)
    opened.goto(served.address)
    opened.locator("#draw").wait_for()
    yield opened
    assert opened.evaluate(OUTSIDE) == []
    assert opened.evaluate("document.documentElement.scrollWidth") == WIDTHS[request.param]
    opened.close()
    assert not wrong


def choose(page, stream):
    page.locator("#stream label", has_text=stream).first.click()
    page.locator("#stream label.selected", has_text=stream).wait_for()
    page.wait_for_timeout(300)


def draw(page, prompt, button="#draw"):
    """Draws, and waits until it is done."""
    page.locator("#prompt textarea").fill(prompt)
    before = page.evaluate(STAGE)
    page.locator(button).click()
    page.wait_for_function(f"(before) => {STAGE} !== before", arg=before)
    page.locator("#status p", has_text="Done, with seed").wait_for()
    page.frame_locator("#stage iframe").locator("main").wait_for()
    page.wait_for_timeout(300)


def paint(page, start, end, layer=".paint"):
    """Drags over the stage, from and to shares of its width and height."""
    page.locator("#stage iframe").scroll_into_view_if_needed()
    box = page.frame_locator("#stage iframe").locator(layer).bounding_box()
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*at[0])
    page.mouse.down()
    page.mouse.move(*at[1], steps=8)
    page.mouse.up()


def region(page):
    page.wait_for_function("document.querySelector('#regions textarea, #regions input').value !== ''")
    return page.locator("#regions textarea, #regions input").input_value()


def script(page):
    page.get_by_role("tab", name="Python").click()
    return page.locator("#script .cm-content").inner_text()


def test_a_picture_is_drawn_painted_on_and_made_anew(page, run):
    draw(page, "blue heart")
    label = page.locator(".codes .label")
    assert label.text_content() == "Step 12 of 12"
    page.locator(".codes .slider").fill("0")
    assert label.text_content() == "Step 1 of 12"
    assert page.locator(".codes .seen img").evaluate("(one) => one.naturalWidth") == 64
    canvas = page.locator(".codes .shown canvas")
    begun = canvas.evaluate("(one) => one.toDataURL()")
    page.locator(".codes .slider").fill("11")
    assert canvas.evaluate("(one) => one.toDataURL()") != begun
    code = int(run.generate_tokens("image", {"text": "blue heart"}, seed=0)[0].codes[0, 0, 0])
    canvas.hover(position={"x": 6, "y": 6})
    assert page.locator(".codes .under").text_content() == f"row 0, column 0: code {code}"

    paint(page, (0.55, 0.1), (0.95, 0.1))
    assert region(page) == "32,0,64,8"
    before = page.locator("#stage iframe").get_attribute("srcdoc")
    draw(page, "broken heart", "#remake")
    assert page.locator("#stage iframe").get_attribute("srcdoc") != before
    text = script(page)
    assert "run.edit(" in text and "[(32, 0, 64, 8)]" in text and '"broken heart"' in text
    page.get_by_role("tab", name="Before").click()
    assert page.frame_locator("#before iframe").locator("figcaption").all_text_contents() == ["before", "after"]
    page.locator("#undo").click()
    page.locator("#status p", has_text="As it was").wait_for()
    assert page.locator("#stage iframe").get_attribute("srcdoc") == before


def test_a_sound_is_drawn_heard_and_made_anew(page):
    choose(page, "audio")
    page.locator("#size input[type=number]").fill("0.4")
    draw(page, "seven")
    audio = page.frame_locator("#stage iframe").locator("audio")
    assert audio.evaluate(PLAYED) == pytest.approx(0.4, abs=0.05)
    paint(page, (0.26, 0.5), (0.49, 0.5))
    assert region(page) == "0.1:0.2"
    draw(page, "seven", "#remake")
    assert "[(0.1, 0.2)]" in script(page)


def test_a_motion_is_painted_on_its_time_line(page):
    choose(page, "motion")
    draw(page, "kick")
    paint(page, (0.01, 0.5), (0.38, 0.5))
    assert region(page) == "0:0.5333"
    page.locator("#only input").click()
    page.get_by_role("option").first.click()
    page.keyboard.press("Escape")
    draw(page, "kick", "#remake")
    assert "parts=" in script(page)


def test_words_are_opened_and_some_are_made_anew(page):
    choose(page, "text")
    page.locator("#prompt textarea").fill("In the beginning was the word")
    page.locator("#take").click()
    words = page.frame_locator("#stage iframe").locator(".word")
    words.nth(2).wait_for()
    page.locator("#stage iframe").scroll_into_view_if_needed()
    words.nth(2).click()
    assert region(page) == "7:16"
    page.frame_locator("#stage iframe").locator(".clear").click()
    page.wait_for_function("document.querySelector('#regions textarea, #regions input').value === ''")
    words.nth(2).click()
    assert region(page) == "7:16"
    draw(page, "", "#remake")
    text = " ".join(page.frame_locator("#stage iframe").locator(".spoken").inner_text().split())
    assert text.startswith("In the") and text.endswith("was the word")


def test_a_file_is_opened_and_what_is_wrong_is_said(page, tmp_path):
    Picture.new("RGB", (48, 32), (10, 120, 200)).save(tmp_path / "sky.png")
    with page.expect_file_chooser() as chooser:
        page.locator("#upload").click()
    chooser.value.set_files(tmp_path / "sky.png")
    page.locator("#status p", has_text="Opened").wait_for()
    assert '"sky.png"' in script(page)
    page.locator("#regions textarea, #regions input").fill("here")
    page.locator("#remake").click()
    told = page.get_by_role("alert").filter(has_text="START:END")
    told.wait_for()
    page.wait_for_timeout(200)


def test_before_and_after_a_swap(page):
    page.locator("#prompt textarea").fill("sun")
    page.get_by_role("tab", name="Swap").click()
    page.locator("#compare").click()
    page.locator("#about", has_text="1024 codes before, 64 after").wait_for()
    shown = page.frame_locator("#compared iframe").locator("img")
    assert shown.count() == 2 and shown.first.evaluate("(one) => one.naturalWidth") == 64


def test_a_long_drawing_is_stopped_and_the_next_one_goes(page):
    choose(page, "eeg")
    page.locator("#how button").first.click()
    page.locator("#steps input[type=number]").fill("128")
    page.locator("#draw").click()
    page.locator("#status p", has_text=re.compile(r"step \d+ of")).wait_for()
    page.locator("#stop").click()
    page.locator("#status p", has_text="Stopped.").wait_for()
    page.locator("#steps input[type=number]").fill("1")
    draw(page, "eyes open")
    assert "steps=1," in script(page) or "steps=1\n" in script(page)
