"""The built book in a browser: no serious finding of axe-core, one switch for code, tables that fold and download."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
BOOKS = sorted((REPOSITORY / "runs").glob("*/book/_build/html/index.html"), key=os.path.getmtime)
AXE = "axe-core@4"
RULES = {"runOnly": ["wcag2a", "wcag2aa"], "iframes": False}
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def book():
    """The newest built book; the pipeline's CI builds one before these tests, elsewhere they skip."""
    if not BOOKS:
        pytest.skip("no built book below runs/")
    return BOOKS[-1].parent


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    """The source of axe-core, from npm; skips where npm or its registry is out of reach."""
    if not shutil.which("npm"):
        pytest.skip("no npm, which brings axe-core")
    folder = tmp_path_factory.mktemp("axe")
    packed = subprocess.run(
        ["npm", "pack", "--silent", AXE], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    if packed.returncode:
        pytest.skip("npm cannot fetch axe-core")
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        return archive.extractfile("package/axe.min.js").read().decode()


def pages(book):
    """The pages with prose; read from files, the theme itself reports messages, so these visits are not checked."""
    written = [path for path in sorted(book.glob("[a-z]*.html")) if path.stem not in ("index", "genindex", "search")]
    return [*written, *sorted((book / "pages").glob("*.html"))]


def article(book):
    """The page of the book with the most tables."""
    return max(pages(book), key=lambda page: page.read_text(encoding="utf-8").count("<table"))


def test_no_page_has_a_serious_finding_for_readers_who_do_not_see_or_use_keys(book, axe, visit):
    page = visit("about:blank", width=1280, checked=False).page
    serious = []
    for path in pages(book):
        page.goto(path.as_uri())
        page.evaluate(axe)
        for finding in page.evaluate("(rules) => axe.run('article', rules)", RULES)["violations"]:
            if finding["impact"] in SERIOUS:
                serious.append(f"{path.stem}: {finding['id']}, {finding['nodes'][0]['html'][:200]}")
    assert serious == []


def test_code_is_behind_one_switch(book, visit):
    page = visit(article(book).as_uri(), checked=False).page
    code = page.locator(".cell_input").first
    assert not code.is_visible()
    page.get_by_role("button", name="Show code").click()
    assert code.is_visible()
    page.reload()
    assert code.is_visible()  # the reader's choice is kept
    assert page.get_by_role("button", name="Hide code").count() == 1


def test_tables_fold_and_download_with_intervals_as_numbers(book, visit, tmp_path):
    page = visit("about:blank", checked=False).page
    page.goto(article(book).as_uri())
    with page.expect_download() as download:
        page.get_by_role("button", name="as CSV").first.click()
    lines = (tmp_path / "table.csv").resolve()
    download.value.save_as(lines)
    rows = lines.read_text(encoding="utf-8").splitlines()
    assert len(rows) > 1
    assert rows[0].count(",") >= 1
    hidden = page.evaluate("() => [...document.querySelectorAll('article table')].map((t) => t.tBodies[0].rows.length)")
    shown = page.evaluate(
        "() => [...document.querySelectorAll('article table')]"
        ".map((t) => [...t.tBodies[0].rows].filter((row) => !row.hidden).length)"
    )
    assert [min(12, n) for n in hidden] == shown


def test_a_figure_has_a_text_and_a_player_a_name(book, visit):
    page = visit("about:blank", checked=False).page
    for path in pages(book):
        page.goto(path.as_uri())
        texts = page.locator("article img").evaluate_all("(images) => images.map((image) => image.alt)")
        assert all(text and "_images" not in text for text in texts), path.stem
        names = page.locator("article audio").evaluate_all("(all) => all.map((audio) => audio.ariaLabel)")
        assert all(names), path.stem
