"""The site in a real browser: nothing is wider than a phone, images load, links inside of a page lead somewhere."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_documents import ROOT
from tests.report.conftest import BROWSER

pytestmark = [pytest.mark.browser, pytest.mark.slow]
FOUND = """() => {
  const here = location.href.split("#")[0], width = document.documentElement.clientWidth;
  const links = [...document.querySelectorAll("a[href]")].map((one) => one.href.split("#"));
  const inside = links.filter((one) => one[0] === here && one[1]);
  return {
    wide: document.documentElement.scrollWidth > width + 1,
    lost: inside.map((one) => decodeURIComponent(one[1])).filter((id) => !document.getElementById(id)),
    empty: [...document.images].filter((one) => !one.naturalWidth).map((one) => one.src),
    cut: [...document.querySelectorAll("article table")].filter((table) => {
      let above = table.parentElement;
      while (above && getComputedStyle(above).overflowX === "visible") above = above.parentElement;
      return table.scrollWidth > width && above === document.documentElement;
    }).length,
  };
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[-2000:]
    return folder


@pytest.mark.parametrize("width", [390, 1280])
def test_every_page_fits_and_is_whole(site, width):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not BROWSER:
        pytest.skip("no chromium is installed")
    pages, wrong = sorted(site.rglob("*.html")), []
    assert len(pages) > 80
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 900})
        for path in pages:
            page.goto(path.as_uri())
            page.wait_for_load_state()
            found = page.evaluate(FOUND)
            wrong += [(path.relative_to(site).as_posix(), name, value) for name, value in found.items() if value]
        browser.close()
    assert wrong == []
