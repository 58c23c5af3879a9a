"""The annotator in a real browser, served by Voila as a process; its store is read in Python."""

import json
import time

import pytest

from sslig import audio
from sslig.annotation.plan import store_path
from sslig.annotation.store import Store
from sslig.frames import SSL_CLOCK

HOP_S = 0.02
NASTY = (
    "<img src=x onerror=\"document.title='hit'\"> <script>document.title='hit'</script> \"q\" שלום 👩\u200d👧 {{7*7}}"
)


@pytest.fixture(scope="module")
def server(copied, serving):
    with serving(copied(annotation={"listen_first": False})) as running:
        yield running


@pytest.fixture
def annotate(visit):
    """Opens the annotator under a name, at its first item."""

    def open_(server, name, **options):
        window = visit(server.url, **options)
        window.page.fill(".sslig-start input", name)
        window.page.click(".sslig-start button")
        return window, ready(window.page)

    return open_


def ready(page):
    page.wait_for_selector(".sslig-annotator[data-ready]")
    return page


def fields(server, name):
    """What the store holds of an annotator, all items together."""
    with Store(store_path(server.study), read_only=True) as store:
        return {field: value for state in store.states(name).values() for field, value in state.items()}


def eventually(expected, server, name, within_s=30):
    """What the store holds of an annotator, once all that is expected is there: a mapping, or fields alone."""
    end = time.monotonic() + within_s
    while True:
        now = fields(server, name)
        if all(field in now and (isinstance(expected, list) or now[field] == expected[field]) for field in expected):
            return now
        assert time.monotonic() < end, f"{now} lacks {expected}"
        time.sleep(0.05)


def card(page, track):
    return page.locator(f'.sslig-card[data-track="{track}"]')


def drag(page, track, start, end):
    """Drag over the curve of a track, from one share of its width to another."""
    box = page.locator(f'[data-lane="{track}"]').bounding_box()
    y = box["y"] + 0.6 * box["height"]
    page.mouse.move(box["x"] + start * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], y, steps=5)
    page.mouse.up()


def title(page):
    return page.inner_text(".sslig-heading h2 >> nth=0")


def moved_on(page, before):
    page.wait_for_function(f"document.querySelector('.sslig-heading h2').textContent !== {json.dumps(before)}")
    ready(page)


def test_a_marked_and_judged_region_is_stored_and_shown_again(annotate, server):
    window, page = annotate(server, "Ada")
    assert page.inner_text(".sslig-progress") == "0 of 8 done"
    page.keyboard.press(" ")
    page.wait_for_function("parseFloat(document.querySelector('.sslig-clock').textContent) > 0.3")
    page.keyboard.press(" ")

    drag(page, "CA-MHFA", 0.25, 0.45)
    samples = audio.n_samples(server.study.corpus_root / "flac_E_eval" / f"{title(page)}.flac")
    duration_s = SSL_CLOCK.n_samples(SSL_CLOCK.n_frames(samples)) / 16_000
    marked = eventually(["CA-MHFA.start_s", "CA-MHFA.end_s"], server, "Ada")
    assert marked["CA-MHFA.start_s"] == pytest.approx(0.25 * duration_s, abs=HOP_S)
    assert marked["CA-MHFA.end_s"] == pytest.approx(0.45 * duration_s, abs=HOP_S)

    for name in ("Spectral artefact", "4", "not heard"):
        card(page, "CA-MHFA").get_by_role("radio", name=name, exact=name == "4").click()
    page.wait_for_selector('.sslig-status[data-state="saved"]')
    window.page.reload()
    judged = card(ready(page), "CA-MHFA")
    assert judged.get_by_role("radio", name="Spectral artefact").get_attribute("aria-checked") == "true"
    assert judged.locator("h3").inner_text().endswith("✓")
    assert fields(server, "Ada") == marked | {
        "CA-MHFA.cue": "spectral",
        "CA-MHFA.locality": 4,
        "CA-MHFA.audible": False,
    }


def test_keys_do_everything(annotate, server):
    _, page = annotate(server, "Bo")
    proposed = [float(card(page, "AASIST").locator("input").nth(i).input_value()) for i in range(2)]
    for key in ("2", ".", ".", "h", "t", "6", ",", "h", "h"):
        page.keyboard.press(key)
    first = {"AASIST.cue": "phoneme", "AASIST.locality": 2, "AASIST.audible": True}
    stored = eventually(first | {"CA-MHFA.cue": "noise", "CA-MHFA.locality": 5, "CA-MHFA.audible": False}, server, "Bo")
    # A judgement accepts the region as it was proposed.
    assert [stored["AASIST.start_s"], stored["AASIST.end_s"]] == pytest.approx(proposed, abs=0.006)

    page.keyboard.press("d")
    assert "Still open: SLS: cue, SLS: locality, SLS: audible" in page.inner_text(".sslig-alert:not(:empty)")
    for key in ("t", "Home", "ArrowRight", "ArrowRight", "i", *3 * ["ArrowRight"], "o"):
        page.keyboard.press(key)
    eventually({"SLS.start_s": 0.2, "SLS.end_s": 0.5}, server, "Bo")
    for key in ("8", "3", "u"):
        page.keyboard.press(key)
    eventually({"SLS.cue": "unclear"}, server, "Bo")
    for key in ("U", ".", "h", "g"):
        page.keyboard.press(key)
    eventually({"SLS.cue": "transition"}, server, "Bo")
    page.keyboard.type("n2h? nothing odd")  # in a text field, keys are letters
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert "cue: Silence / pause" in page.inner_text("dialog")
    page.keyboard.press("Escape")
    before = title(page)
    page.keyboard.press("d")
    moved_on(page, before)
    assert page.inner_text(".sslig-progress") == "1 of 8 done"
    eventually({"done": True, "comment": "n2h? nothing odd"}, server, "Bo")


def test_text_is_never_markup(annotate, server):
    name = '<b>Zoë</b> "O\'Hara"'
    _, page = annotate(server, name)
    page.fill(".sslig-text textarea >> nth=0", NASTY)
    card(page, "SLS").locator("textarea").fill(NASTY)
    eventually({"comment": NASTY, "SLS.comment": NASTY}, server, name)
    page.reload()
    assert ready(page).input_value(".sslig-text textarea >> nth=0") == NASTY
    assert page.inner_text(".sslig-who") == name
    assert page.locator("img, .sslig-annotator b, .sslig-annotator script").count() == 0
    assert page.title() == "annotate"


def test_an_empty_name_is_asked_for_again(visit, server):
    page = visit(server.url).page
    page.fill(".sslig-start input", "   ")
    page.click(".sslig-start button")
    assert page.wait_for_selector("text=1 to 80 visible characters are needed").is_visible()


def test_a_server_that_dies_and_a_page_that_closes_lose_nothing(annotate, copied, serving, free_port):
    """The store holds what was typed a second ago; the browser keeps later changes until the server is back."""
    study, port = copied(annotation={"listen_first": False}), free_port()
    with serving(study, port=port) as server:
        _, page = annotate(server, "Cy", checked=False)
        page.fill(".sslig-text textarea >> nth=0", "before")
        page.wait_for_timeout(1000)
        server.kill()
        assert fields(server, "Cy") == {"comment": "before"}
    page.fill(".sslig-text textarea >> nth=1", "after")
    page.wait_for_selector("text=The server does not answer", timeout=15_000)
    page.close()
    with serving(study, port=port) as server:
        page = page.context.new_page()
        page.goto(server.url)
        ready(page)
        eventually({"comment": "before", "similarity": "after"}, server, "Cy")


def test_it_fits_a_phone(annotate, server):
    _, page = annotate(server, "Di", width=390, height=800, has_touch=True, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.fill(".sslig-text textarea >> nth=0", "a hum")
    card(page, "AASIST").get_by_role("radio", name="Local glitch").wait_for(state="visible")
    for element in page.locator(".sslig-annotator :is(button, select, textarea, input):visible").all():
        box = element.bounding_box()
        assert 0 <= box["x"] <= box["x"] + box["width"] <= 390
    assert page.evaluate("document.querySelector('.sslig').classList.contains('sslig-dark')")
    card(page, "AASIST").get_by_role("radio", name="Local glitch").tap()
    eventually({"comment": "a hum", "AASIST.cue": "glitch"}, server, "Di")


SECRETS = ["E_000", "aasist", "camhfa", "sls", "AASIST", "CA-MHFA", "SLS", "bona", "spoof", "confident", "#009E73"]


def test_a_blind_page_discloses_nothing(visit, copied, serving):
    """Every frame that reaches the page is read: apart from its own code, none holds a secret."""
    with serving(copied(annotation={"blind": True, "listen_first": False})) as server:
        page, frames = visit("about:blank").page, []
        page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: frames.append(frame)))
        page.goto(server.url)
        page.fill(".sslig-start input", "Eve")
        page.click(".sslig-start button")
        ready(page)
        for _ in range(3):
            before = title(page)
            page.keyboard.press("n")
            moved_on(page, before)
        texts = [frame if isinstance(frame, str) else frame.decode("utf-8", "ignore") for frame in frames]
        texts = [text for text in texts if '"_esm"' not in text]
        assert any('"kind": "item"' in text or '"kind":"item"' in text for text in texts)
        shown = page.inner_text("body")
        assert [secret for secret in SECRETS if any(secret in text for text in [shown, *texts])] == []
        assert [card(page, letter).count() for letter in "ABCD"] == [1, 1, 1, 1]
        page.goto("about:blank")  # before the server stops
