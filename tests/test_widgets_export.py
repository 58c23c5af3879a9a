import io
import json
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest

from sslig.attribution.explanation import Explanation
from sslig.cues.cue_profile import top_regions
from sslig.cues.tiers import Tier
from sslig.errors import InputError
from sslig.frames import SSL_CLOCK
from sslig.widgets import export
from sslig.widgets.export import exported
from sslig.widgets.recording import ExplainedRecording

PLAIN = {"smooth": False, "common": False, "maps": False, "hidden": []}
HOSTILE = "<script>alert('x')</script> & Co"


def recording(tone, name="E_1", label="one"):
    """A second of a tone: evidence for spoof from frame 10 to 19, for bona fide from frame 30 to 34."""
    frames = np.zeros(49)
    frames[10:20], frames[30:35] = 1.0, -0.5
    explanation = Explanation(np.stack([frames / 2, frames / 2]), 8.0, 0.5, 0.0, 16, "complete")
    tier = Tier("words", [0.1, 0.5], [0.3, 0.9], (label, "two"), 1.0, {})
    about = {"key": "spoof", "attack": "A01", "codec": "C01", "speaker": "S1", "group": "mixed"}
    waveform = tone[: SSL_CLOCK.n_samples(49)]
    return ExplainedRecording(name, about, waveform, SSL_CLOCK, {"sls": explanation}, {"sls": 1.5}, {"words": tier})


@pytest.fixture
def spoof(tone):
    return recording(tone)


@pytest.fixture
def hostile(tone):
    return recording(tone, HOSTILE, HOSTILE)


def content(recording, kind, options=PLAIN, region=None):
    return exported(recording, kind, options, region).content


def test_frames_are_a_table(spoof):
    table = pd.read_csv(io.BytesIO(content(spoof, "csv")), keep_default_na=False)
    assert table.columns.tolist() == ["frame", "time_s", "sls", "words"]
    assert table["time_s"].iloc[0] == 0.0125
    np.testing.assert_array_equal(table["sls"], spoof.explanations["sls"].by_frame)
    assert table.loc[table["words"] == "one", "time_s"].between(0.1, 0.3).all()
    assert set(table["words"]) == {"", "one", "two"}


def test_segments_regions_and_selection_are_tiers(spoof):
    words, top, selection = export.region_tiers(spoof, (0.25, 0.5))
    assert [tier.name for tier in (words, top, selection)] == ["words", "sls top regions", "selection"]
    assert words.labels == ("one", "two")
    strongest = top_regions(spoof.explanations["sls"].by_frame)[0]
    assert strongest.sign == 1
    assert top.labels[0] == f"1 spoof {100 * strongest.share:.0f} % unknown"
    # Frame t is drawn from 0.0025 + 0.02 t s.
    assert top.start_s[0] == pytest.approx(0.0025 + 0.02 * strongest.start)
    assert top.end_s[0] == pytest.approx(0.0025 + 0.02 * strongest.stop)
    assert (selection.start_s[0], selection.end_s[0]) == (0.25, 0.5)


def test_a_textgrid_has_all_tiers(spoof):
    text = content(spoof, "textgrid", region=(0.25, 0.5)).decode()
    assert [name in text for name in ('"words"', '"sls top regions"', '"selection"')] == [True] * 3


def test_regions_are_labels_of_audacity(spoof):
    rows = [line.split("\t") for line in content(spoof, "audacity").decode().splitlines()]
    assert rows[0][2].startswith("sls: 1 spoof ")
    assert float(rows[0][0]) < float(rows[0][1])
    assert len(rows) == len(top_regions(spoof.explanations["sls"].by_frame))


@pytest.mark.parametrize("options", [PLAIN, {"smooth": True, "common": True, "maps": True, "hidden": []}])
def test_pictures_are_drawn_like_the_view(spoof, options):
    assert content(spoof, "png", options, (0.2, 0.4)).startswith(b"\x89PNG")
    picture = content(spoof, "svg", options)
    assert ElementTree.fromstring(picture).tag.endswith("svg")
    assert len(content(spoof, "svg", options | {"hidden": ["sls", "tier:words"]})) < len(picture)


def embedded_data(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_a_page_holds_all_it_needs(spoof):
    page = content(spoof, "html").decode()
    data = embedded_data(page)
    assert data["numbers"]["scores"][0]["spoof_llr"] == 1.5
    assert data["view"]["mime"] == "audio/flac"
    assert data["view"]["audio"]["base64"].startswith("ZkxhQ")  # fLaC
    assert not re.search(r"""(?:src|href)=["']?http|@import|url\(http""", page)
    assert page.count("</script>") == 2


def test_names_in_a_page_are_text(hostile):
    page = content(hostile, "html").decode()
    assert page.count("</script>") == 2
    assert "<script>alert" not in page
    assert embedded_data(page)["view"]["name"] == HOSTILE
    assert exported(hostile, "html", PLAIN).name == "_script_alert__x____script____Co.html"


def test_a_player_is_one_frame_of_a_book(hostile):
    frame = export.player(hostile).data
    attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', frame))
    assert "<" not in attributes["srcdoc"]
    assert "width: 100%" in attributes["style"]
    assert frame.count("<iframe") == 1
    assert "<script>alert" not in frame


def test_an_unknown_kind_is_refused(spoof):
    with pytest.raises(InputError, match="export as 'docx'; accepted: png, svg, csv, textgrid, audacity, html"):
        content(spoof, "docx")
