"""The explorer in a real browser, as it is served to people."""

import io
import json
import re
import time

import nbformat
import numpy as np
import pytest
import soundfile

from sslig.widgets import view
from sslig.widgets.explorer import Explorer

OPENED_MS = 120_000
HOSTILE = "<img src=x onerror=alert(1)>.wav"

CURSOR = """() => parseFloat(
    document.querySelector('.sslig-view > div > div').shadowRoot.querySelector('.cursor').style.left || '0'
)"""
"""Where the playhead is, in percent of the recording."""

INK = """() => [...document.querySelector('.sslig-view > div > div').shadowRoot.querySelectorAll('.sslig-canvas')]
    .filter((canvas) => canvas.checkVisibility() && canvas.width)
    .filter((canvas) => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((v) => v))
    .length"""
"""How many lanes have anything drawn on them."""

LANES = 6
"""Spectrogram, three detectors, speech and phones."""


@pytest.fixture(scope="module")
def explored(copied, serving):
    """A server of the explorer whose kernel writes down what is selected, and the file that it writes to."""
    study = copied(masking={"utterances": 8, "draws": 3, "workers": 1, "segments": ["vad", "pocketsphinx:phones"],
                            "masks": ["phonemes", "volume"], "sweeps": []})  # fmt: skip
    noted, path = study.root / "selection.json", study.root / "notebooks" / "explore.ipynb"
    notebook = nbformat.read(path, 4)
    code = f"import json\nfrom pathlib import Path\nexplorer.observe(lambda change: Path({str(noted)!r}).write_text(json.dumps(change['new'])), 'selection')"  # noqa: E501
    notebook.cells.append(nbformat.v4.new_code_cell(code))
    nbformat.write(notebook, path)
    with serving(study, "explore") as server:
        yield server, noted


@pytest.fixture
def open_page(explored, visit):
    """Opens the explorer in a window, drawn."""
    server, _ = explored

    def open_(**window):
        one = visit("about:blank", **window)
        one.page.goto(server.url, timeout=OPENED_MS)
        one.page.wait_for_selector(".sslig-explorer[data-drawn]", timeout=OPENED_MS)
        return one

    return open_


def drawn(page):
    return page.locator(".sslig-explorer").get_attribute("data-drawn")


def press(page, key):
    page.locator(".sslig-explorer").focus()
    page.keyboard.press(key)


def soon(true, timeout_s=30):
    """Wait until something is true, and return it."""
    for _ in range(10 * timeout_s):
        if found := true():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {timeout_s} s")


def drag(page, start, end):
    """Drag over the view from one share of its width to another; the view's width is returned."""
    box = page.locator(".sslig-view").bounding_box()
    y = box["y"] + 160
    page.mouse.move(box["x"] + start * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], y, steps=8)
    page.mouse.up()


def test_a_region_is_selected_heard_and_taken_away(open_page, explored):
    visit = open_page(width=1400, height=1000)
    page, noted = visit.page, explored[1]
    soon(lambda: page.evaluate(INK) == LANES)
    duration_s = 2.0

    page.get_by_role("button", name="Play", exact=True).click()
    before = soon(lambda: page.evaluate(CURSOR))
    soon(lambda: page.evaluate(CURSOR) > before + 5)
    page.get_by_role("button", name="Pause").click()

    drag(page, 0.3, 0.6)
    start_s, end_s = soon(lambda: noted.is_file() and json.loads(noted.read_text()))
    assert (start_s, end_s) == pytest.approx((0.3 * duration_s, 0.6 * duration_s), abs=0.05)

    press(page, "Enter")  # it plays to the end of the selection and stops
    soon(lambda: page.get_by_role("button", name="Pause").count())
    soon(lambda: page.get_by_role("button", name="Play", exact=True).count())
    assert page.evaluate(CURSOR) == pytest.approx(100 * end_s / duration_s, abs=6)

    press(page, "w")
    rows = page.locator(".sslig-result tbody tr")
    soon(lambda: rows.count() == 6 and page.locator(".sslig-busy").is_hidden())
    assert any(text not in ("0.00", "+0.00") for text in page.locator(".sslig-change").all_text_contents())
    assert page.locator(".sslig-result svg").count() == 6
    soon(lambda: page.locator(".sslig-result audio").evaluate("(audio) => audio.duration > 1"))

    page.get_by_label("intervention").fill("nonsense")
    page.get_by_role("button", name="Try").click()
    page.get_by_role("alert").get_by_text("mask 'nonsense'; accepted: noise").wait_for()
    visit.check()


def test_keys_do_what_the_list_of_keys_says(open_page, explored):
    visit = open_page()
    page, noted = visit.page, explored[1]
    first = drawn(page)
    press(page, "n")
    second = soon(lambda: drawn(page) not in (None, first) and drawn(page))
    press(page, "p")
    soon(lambda: drawn(page) == first)
    assert second != first

    for key, name in (("s", "Smooth"), ("c", "One scale"), ("h", "Layers"), ("l", "Loop")):
        press(page, key)
        soon(lambda name=name: page.get_by_role("button", name=name).get_attribute("aria-pressed") == "true")
    press(page, "1")
    soon(lambda: page.get_by_role("button", name="aasist").get_attribute("aria-pressed") == "false")

    press(page, "?")
    assert page.get_by_role("dialog").get_by_text("what if the selection were not there").is_visible()
    press(page, "Escape")
    assert page.get_by_role("dialog").is_hidden()
    drag(page, 0.2, 0.4)
    soon(lambda: json.loads(noted.read_text()))
    press(page, "m")
    soon(lambda: page.get_by_role("button", name="Mute rest").get_attribute("aria-pressed") == "true")
    press(page, "Escape")
    soon(lambda: json.loads(noted.read_text()) == [])
    press(page, "End")  # no key of ours
    press(page, "ArrowRight")
    soon(lambda: page.evaluate(CURSOR) > 0)
    visit.check()


def test_a_narrow_window_shows_all_of_it(open_page):
    visit = open_page(width=390, height=800, color_scheme="dark")
    page = visit.page
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    inside = "(element) => element.getBoundingClientRect().right <= window.innerWidth + 1"
    for part in (".sslig-view", ".sslig-picker", ".sslig-controls", ".sslig-questions"):
        assert page.locator(part).first.evaluate(inside), part
    soon(lambda: page.evaluate(INK) == LANES)
    assert page.locator(".sslig-explorer.sslig-dark").count() == 1
    page.set_viewport_size({"width": 1200, "height": 800})  # as when a phone is turned
    width = "() => document.querySelector('.sslig-view').getBoundingClientRect().width"
    soon(lambda: page.evaluate(width) > 600)
    soon(lambda: page.evaluate(INK) == LANES)
    visit.check()


def test_a_file_of_ones_own_is_dropped_in_and_its_name_is_text(open_page, rng):
    visit = open_page()
    page, made = visit.page, io.BytesIO()
    soundfile.write(made, 0.1 * rng.standard_normal(32_000), 16_000, format="WAV")
    file = {"name": HOSTILE, "mimeType": "audio/wav", "buffer": made.getvalue()}
    page.locator("input[type=file]").set_input_files(file)
    soon(lambda: drawn(page) == HOSTILE)
    soon(lambda: page.locator(".sslig-busy").is_hidden())
    assert HOSTILE in page.locator(".sslig-side .sslig-heading").first.text_content()
    assert page.locator("img[src=x]").count() == 0
    page.locator("input[type=file]").set_input_files({"name": "a.exe", "mimeType": "x/y", "buffer": b"x"})
    page.get_by_role("alert").get_by_text("'a.exe': accepted are WAV, FLAC, MP3, OGG").wait_for()
    visit.check()


def test_the_view_is_exported_as_a_page_that_plays_by_itself(open_page, visit, tmp_path):
    served = open_page()
    with served.page.expect_download() as download:
        served.page.get_by_label("export").select_option("html")
    path = tmp_path / "page.html"
    download.value.save_as(path)
    served.check()
    alone = visit(path.as_uri())
    page = alone.page
    page.get_by_role("button", name="Play", exact=True).click()
    before = soon(lambda: page.evaluate(CURSOR))
    soon(lambda: page.evaluate(CURSOR) > before + 5)
    page.get_by_role("button", name="Pause").click()
    page.locator("#recording").focus()
    page.keyboard.press("Home")
    for _ in range(19):
        page.keyboard.press("ArrowRight")
    soon(lambda: page.evaluate(CURSOR) > 90)  # some browsers cannot seek to the end of what is compressed
    page.get_by_role("button", name="Play", exact=True).click()
    soon(lambda: page.evaluate(CURSOR) > 99)
    page.get_by_text("Numbers").click()
    page.locator("button.sslig-link").first.click()
    assert page.locator("table").count() == 2
    assert page.get_by_role("alert").count() == 0
    alone.check()


def test_hostile_names_stay_text_in_a_page_of_its_own(explored, visit, tmp_path, rng):
    explorer = Explorer(explored[0].study)
    made = io.BytesIO()
    soundfile.write(made, (0.1 * rng.standard_normal(16_000)).astype(np.float32), 16_000, format="WAV")
    explorer.show_file(made.getvalue(), HOSTILE)
    path = tmp_path / "page.html"
    path.write_bytes(explorer.export("html").content)
    explorer.close()
    alone = visit(path.as_uri(), width=420, height=800)
    alone.page.wait_for_selector(".sslig-view canvas, .sslig-view > div > div")
    assert alone.page.locator("img").count() == 0
    assert re.search(re.escape(HOSTILE), alone.page.locator(".sslig-heading").text_content())
    alone.check()


def test_muting_is_exact_to_the_sample(visit):
    page = visit("about:blank").page
    tools = "Object.assign(window, { decodedSamples, mutedSamples, wavBlob });"
    page.add_script_tag(type="module", content=view.module("sound") + tools)
    soon(lambda: page.evaluate("() => 'wavBlob' in window"))
    heard = page.evaluate("""async () => {
        const ones = new Float32Array(16000).fill(0.5);
        const found = [false, true].map((inside) => mutedSamples(ones, 0.25, 0.5, inside));
        const coded = new Uint8Array(await wavBlob(found[0]).arrayBuffer());
        return [...found, await decodedSamples(coded)].map((samples) => [...samples]);
    }""")
    alone, without, decoded = map(np.array, heard)
    time_s = np.arange(16_000) / 16_000
    assert (alone[(time_s < 0.25) | (time_s > 0.5)] == 0).all()
    assert alone[(time_s > 0.256) & (time_s < 0.494)] == pytest.approx(0.5)
    assert alone + without == pytest.approx(0.5)
    assert decoded == pytest.approx(alone, abs=1e-4)
