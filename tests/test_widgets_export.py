import io
import json
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest

from sslig.attribution.explanation import Explanation
from sslig.cues.tiers import Tier, read_audacity, read_textgrid
from sslig.cues.top_regions import top_regions
from sslig.frames import SSL_CLOCK
from sslig.widgets import export, view
from sslig.widgets.export import ExportError, exported
from sslig.widgets.opened import Opened

PLAIN = {"smooth": False, "common": False, "maps": False, "hidden": []}
HOSTILE = "<script>alert('x')</script> & Co"


@pytest.fixture
def one(tone, rng):
    """A second of a tone: evidence for spoof from frame 10 to 19, for bona fide from frame 30 to 34."""
    waveform = tone[: SSL_CLOCK.n_samples(SSL_CLOCK.n_frames(len(tone)))]
    frames = np.zeros(SSL_CLOCK.n_frames(len(waveform)))
    frames[10:20], frames[30:35] = 1.0, -0.5
    made = Explanation(np.stack([frames / 2, frames / 2]), 8.0, 0.5, 0.0, 16, "complete", "free", 0.5)
    tier = Tier("words", [0.1, 0.5], [0.3, 0.9], ("one", "two"), 1.0, {})
    about = {"key": "spoof", "attack": "A01", "codec": "C01", "speaker": "S1", "group": "mixed"}
    return Opened("E_1", about, waveform, SSL_CLOCK, {"sls": made}, {"sls": 1.5}, {"words": tier})


def make(one, kind, options=PLAIN, region=None):
    return exported(one, kind, options, region).content


def test_frames_are_a_table(one):
    table = pd.read_csv(io.BytesIO(make(one, "csv")), keep_default_na=False)
    assert table.columns.tolist() == ["frame", "time_s", "sls", "words"]
    assert table["time_s"].iloc[0] == 0.0125
    np.testing.assert_array_equal(table["sls"], one.attributions["sls"].by_frame)
    assert table.loc[table["words"] == "one", "time_s"].between(0.1, 0.3).all()
    assert set(table["words"]) == {"", "one", "two"}


def test_segments_regions_and_selection_are_tiers_of_a_textgrid(one, tmp_path):
    path = tmp_path / "view.TextGrid"
    path.write_bytes(make(one, "textgrid", region=(0.25, 0.5)))
    words, top, selection = read_textgrid(path)
    assert [tier.name for tier in (words, top, selection)] == ["words", "sls top regions", "selection"]
    assert words.labels == ("one", "two")
    strongest = top_regions(one.attributions["sls"].by_frame)[0]
    assert strongest.sign == 1
    assert top.labels[0] == f"1 spoof {100 * strongest.share:.0f} % unknown"
    # Frame t is drawn from 0.0025 + 0.02 t s.
    assert top.start_s[0] == pytest.approx(0.0025 + 0.02 * strongest.start)
    assert top.end_s[0] == pytest.approx(0.0025 + 0.02 * strongest.stop)
    assert (selection.start_s[0], selection.end_s[0]) == (0.25, 0.5)


def test_regions_are_labels_of_audacity(one, tmp_path):
    path = tmp_path / "view.txt"
    path.write_bytes(make(one, "audacity"))
    labels = read_audacity(path, "regions", 1.0)
    assert labels.labels[0].startswith("sls: 1 spoof ")
    assert len(labels) == len(top_regions(one.attributions["sls"].by_frame))


@pytest.mark.parametrize("options", [PLAIN, {"smooth": True, "common": True, "maps": True, "hidden": []}])
def test_pictures_are_drawn_as_the_view_is(one, options):
    assert make(one, "png", options, (0.2, 0.4)).startswith(b"\x89PNG")
    assert ElementTree.fromstring(make(one, "svg", options)).tag.endswith("svg")
    assert len(make(one, "svg", options | {"hidden": ["sls", "tier:words"]})) < len(make(one, "svg", options))


def embedded_data(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_a_page_holds_all_it_needs(one):
    page = make(one, "html").decode()
    data = embedded_data(page)
    assert data["numbers"]["scores"][0]["spoof_llr"] == 1.5
    assert data["view"]["mime"] == "audio/flac"
    assert data["view"]["audio"]["base64"].startswith("ZkxhQ")  # fLaC
    assert not re.search(r"""(?:src|href)=["']?http|@import|url\(http""", page)
    assert page.count("</script>") == 2


def test_names_in_a_page_are_text(one):
    hostile = Opened(HOSTILE, {}, one.waveform, one.clock, one.attributions, one.llrs,
                     {"words": Tier("words", [0.1], [0.2], (HOSTILE,), 1.0, {})})  # fmt: skip
    page = make(hostile, "html").decode()
    assert page.count("</script>") == 2
    assert "<script>alert" not in page
    assert embedded_data(page)["view"]["name"] == HOSTILE
    assert exported(hostile, "html", PLAIN).name == "_script_alert__x____script____Co.html"


def test_a_page_is_embedded_as_one_attribute(one):
    page = export.html_page(view.message(one.recording()), one.numbers())
    frame = export.embedded(page, HOSTILE).data
    attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', frame))
    assert "<" not in attributes["srcdoc"]
    assert "width: 100%" in attributes["style"]
    assert frame.count("<iframe") == 1
    assert export.player(one).data.count("<iframe") == 1
    assert "<script>alert" not in frame


def test_numbers_that_are_none_are_null(one):
    endless = Explanation(np.zeros((2, 49)), 1.0, 1.0, 0.2, 16, "not converged", "free", 1.0)
    other = Opened("E_2", {}, one.waveform, one.clock, {"sls": endless}, {"sls": 0.0})
    assert other.numbers()["scores"][0]["relative_residual"] is None
    assert embedded_data(make(other, "html").decode())["numbers"]["segments"] == []


def test_an_unknown_kind_is_refused(one):
    with pytest.raises(ExportError, match="export as 'docx'; accepted: png, svg, csv, textgrid, audacity, html"):
        make(one, "docx")
