"""The explorer in a real browser, served by Voila as a process."""

import io
import json
import re
import time

import nbformat
import numpy as np
import pytest
import soundfile

from sslig.widgets import view

OPENED_MS = 120_000
HOSTILE = "<img src=x onerror=alert(1)>.wav"
VIEW = "document.querySelector('.sslig-view > div > div').shadowRoot"
CURSOR = f"() => parseFloat({VIEW}.querySelector('.cursor').style.left || '0')"
"""Place of the playhead, in percent of the recording."""

INK = f"""() => [...{VIEW}.querySelectorAll('.sslig-canvas')]
    .filter((canvas) => canvas.checkVisibility() && canvas.width)
    .filter((canvas) => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((v) => v))
    .length"""
"""Number of lanes with anything drawn: spectrogram, three detectors, speech and phones make 6."""


@pytest.fixture(scope="module")
def explored(copied, serving):
    """A server of the explorer whose kernel writes the selection to a file, and the file."""
    study = copied()
    noted, path = study.root / "selection.json", study.root / "notebooks" / "explore.ipynb"
    notebook = nbformat.read(path, 4)
    write = f"lambda change: Path({str(noted)!r}).write_text(json.dumps(change['new']))"
    code = f"import json\nfrom pathlib import Path\nexplorer.observe({write}, 'selection')"
    notebook.cells.append(nbformat.v4.new_code_cell(code))
    nbformat.write(notebook, path)
    with serving(study, "explore") as server:
        yield server, noted


@pytest.fixture
def open_page(explored, visit):
    def open_(**window):
        page = visit("about:blank", **window).page
        page.goto(explored[0].url, timeout=OPENED_MS)
        page.wait_for_selector(".sslig-explorer[data-drawn]", timeout=OPENED_MS)
        return page

    return open_


def drawn(page):
    return page.locator(".sslig-explorer").get_attribute("data-drawn")


def press(page, key):
    page.locator(".sslig-explorer").focus()
    page.keyboard.press(key)


def soon(condition, timeout_s=60):
    """Wait until a condition is true, and return its value."""
    for _ in range(10 * timeout_s):
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {timeout_s} s")


def selection(noted):
    """The selection that the kernel has noted; None before the first, and while the file is being written."""
    try:
        return json.loads(noted.read_text())
    except (OSError, json.JSONDecodeError):
        return None


def drag(page, start, end):
    """Drag over the view from one share of its width to another."""
    box = page.locator(".sslig-view").bounding_box()
    y = box["y"] + 160
    page.mouse.move(box["x"] + start * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], y, steps=8)
    page.mouse.up()


def test_a_region_is_selected_played_and_removed(open_page, explored):
    page, noted = open_page(), explored[1]
    soon(lambda: page.evaluate(INK) == 6)
    duration_s = 2.0
    drag(page, 0.3, 0.6)
    start_s, end_s = soon(lambda: selection(noted))
    assert (start_s, end_s) == pytest.approx((0.3 * duration_s, 0.6 * duration_s), abs=0.05)

    press(page, "Enter")  # plays to the end of the selection and stops
    soon(lambda: page.get_by_role("button", name="Pause").count())
    soon(lambda: page.get_by_role("button", name="Play", exact=True).count())
    assert page.evaluate(CURSOR) == pytest.approx(100 * end_s / duration_s, abs=6)

    press(page, "w")
    rows = page.locator(".sslig-result tbody tr")
    soon(lambda: rows.count() == 6 and page.locator(".sslig-busy").is_hidden())
    assert any(text not in ("0.00", "+0.00") for text in page.locator(".sslig-change").all_text_contents())
    assert page.locator(".sslig-result svg").count() == 6
    soon(lambda: page.locator(".sslig-result audio").evaluate("(audio) => audio.duration > 1"))

    page.get_by_label("mask").fill("nonsense")
    page.get_by_role("button", name="Try").click()
    page.get_by_role("alert").get_by_text("'nonsense'; accepted: noise").wait_for()


def test_the_verdict_comes_by_itself_and_leads_to_its_region(open_page, explored):
    page, noted = open_page(), explored[1]
    verdicts = page.locator(".sslig-verdict")
    soon(lambda: verdicts.count() == 3 and "being tested" not in page.locator(".sslig-verdicts").text_content())
    first = verdicts.first.text_content()
    assert re.search(r"^aasist (spoof|bona fide) .\d+\.\d\d, threshold .\d+\.\d\d, LLR", first)
    assert re.search(
        r"Without it in the recording, the score (falls|rises|stays).*; random regions .* of 3 as much", first
    )
    assert "In the features, the score" in first
    place = verdicts.first.get_by_role("button")
    place.click()
    expected = [float(time_s) for time_s in re.findall(r"\d+\.\d\d", place.text_content())]
    assert soon(lambda: selection(noted)) == pytest.approx(expected, abs=0.006)


RULER = f"""() => {{
    const box = {VIEW}.querySelector('.wrapper').getBoundingClientRect();
    return [...{VIEW}.querySelectorAll('[part*=timeline-notch]')].filter((notch) => notch.textContent.trim())
        .map((notch) => [parseFloat(notch.textContent), (notch.getBoundingClientRect().left - box.left) / box.width]);
}}"""
"""Labels of the ruler in seconds, and where they stand, as a share of the recording."""


def test_the_ruler_is_right_after_the_window_has_changed(open_page):
    page, duration_s = open_page(), 2.0
    for width, height in ((1400, 1000), (500, 900), (1100, 700)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(400)  # the ruler follows 100 ms after the window
        marks = page.evaluate(RULER)
        assert len(marks) >= 3
        assert [share * duration_s for _, share in marks] == pytest.approx([time_s for time_s, _ in marks], abs=0.03)


def test_keys_do_what_the_list_of_keys_says(open_page, explored):
    page, noted = open_page(), explored[1]
    first = drawn(page)
    press(page, "n")
    soon(lambda: drawn(page) not in (None, first))
    press(page, "p")
    soon(lambda: drawn(page) == first)
    for key, name in (("s", "Smooth"), ("c", "One scale"), ("h", "Layers"), ("l", "Loop")):
        press(page, key)
        soon(lambda name=name: page.get_by_role("button", name=name).get_attribute("aria-pressed") == "true")
    press(page, "1")
    soon(lambda: page.get_by_role("button", name="aasist").get_attribute("aria-pressed") == "false")
    press(page, "?")
    assert page.get_by_role("dialog").get_by_text("score again without the selection").is_visible()
    press(page, "Escape")
    drag(page, 0.2, 0.4)
    soon(lambda: selection(noted))
    press(page, "m")
    soon(lambda: page.get_by_role("button", name="Mute rest").get_attribute("aria-pressed") == "true")
    press(page, "Escape")
    soon(lambda: selection(noted) == [])


def test_a_file_is_opened_on_a_phone_and_its_name_is_text(open_page, rng):
    page, file = open_page(width=390, height=800, color_scheme="dark"), io.BytesIO()
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    soon(lambda: page.locator(".sslig-explorer.sslig-dark").count() == 1)
    soundfile.write(file, 0.1 * rng.standard_normal(32_000), 16_000, format="WAV")
    chosen = {"name": HOSTILE, "mimeType": "audio/wav", "buffer": file.getvalue()}
    page.locator("input[type=file]").set_input_files(chosen)
    soon(lambda: drawn(page) == HOSTILE)
    soon(lambda: page.locator(".sslig-busy").is_hidden())
    assert HOSTILE in page.locator(".sslig-side .sslig-heading").first.text_content()
    assert page.locator("img[src=x]").count() == 0
    page.locator("input[type=file]").set_input_files({"name": "a.exe", "mimeType": "x/y", "buffer": b"x"})
    page.get_by_role("alert").get_by_text("'a.exe': not a sound file").wait_for()


def test_an_exported_page_plays_without_a_kernel(open_page, visit, tmp_path):
    served = open_page()
    with served.expect_download() as download:
        served.get_by_label("export").select_option("html")
    path = tmp_path / "page.html"
    download.value.save_as(path)
    page = visit(path.as_uri()).page
    page.get_by_role("button", name="Play", exact=True).click()
    before = soon(lambda: page.evaluate(CURSOR))
    soon(lambda: page.evaluate(CURSOR) > before + 5)
    page.get_by_role("button", name="Pause").click()
    page.get_by_text("Numbers").click()
    page.locator("button.sslig-link").first.click()
    assert page.locator("table").count() == 2
    assert page.get_by_role("alert").count() == 0


def test_muting_is_exact_to_the_sample(visit):
    page = visit("about:blank").page
    tools = "Object.assign(window, { decodedSamples, mutedSamples, wavBlob });"
    page.add_script_tag(type="module", content=view.module("sound") + tools)
    soon(lambda: page.evaluate("() => 'wavBlob' in window"))
    played = page.evaluate("""async () => {
        const ones = new Float32Array(16000).fill(0.5);
        const parts = [false, true].map((inside) => mutedSamples(ones, 0.25, 0.5, inside));
        const coded = new Uint8Array(await wavBlob(parts[0]).arrayBuffer());
        return [...parts, await decodedSamples(coded)].map((samples) => [...samples]);
    }""")
    alone, without, decoded = map(np.array, played)
    time_s = np.arange(16_000) / 16_000
    assert (alone[(time_s < 0.25) | (time_s > 0.5)] == 0).all()
    assert alone[(time_s > 0.256) & (time_s < 0.494)] == pytest.approx(0.5)
    assert alone + without == pytest.approx(0.5)
    assert decoded == pytest.approx(alone, abs=1e-4)
