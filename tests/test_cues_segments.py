import json

import numpy as np
import pandas as pd
import pytest

from sslig import audio, files
from sslig.cues import segments
from sslig.cues.alignment import words_of
from sslig.cues.segments import COLUMNS, SOURCES, Spoken, by_utterance, decode, source_of
from sslig.cues.tiers import Tier
from sslig.errors import InputError

SOURCE = {"tool": "hand"}


@pytest.fixture
def recordings(tmp_path, tone) -> pd.DataFrame:
    """Two tones, between them a file that is none, and a recording shorter than a frame."""
    audio.write_flac(tmp_path / "one.flac", tone)
    (tmp_path / "broken.flac").write_bytes(b"no sound")
    audio.write_flac(tmp_path / "short.flac", tone[:200])
    audio.write_flac(tmp_path / "two.flac", tone[:8_000])
    names = ["one", "broken", "short", "two"]
    return pd.DataFrame({"utterance": names, "path": [str(tmp_path / f"{name}.flac") for name in names]})


def test_sources_are_named():
    assert [source_of(name) for name in SOURCES] == list(SOURCES.values())
    for name in ("whisper", "ctc", "ctc:phones", "ctc:phones:", "ctc:tones:some/model"):
        with pytest.raises(InputError, match=f"unknown source '{name}'; accepted: vad, .*ctc:<tier>:<model>"):
            source_of(name)


def test_a_ctc_model_is_a_source(monkeypatch):
    """It is loaded when first used; its folder or name on the Hub may hold a colon."""

    class Model:
        def __init__(self, name):
            self.name = name

        def words(self, samples):
            return Tier("words", [0], [1], (self.name,), len(samples), SOURCE)

    monkeypatch.setattr(segments, "_ctc", Model)
    assert source_of("ctc:words:some/model:1")(np.zeros(1), Spoken()).labels == ("some/model:1",)


def test_recordings_are_decoded_in_order(recordings):
    decoded = decode(recordings, ["pocketsphinx:words", "voicing"])
    assert tuple(decoded.table.columns) == COLUMNS
    assert decoded.table["utterance"].drop_duplicates().tolist() == ["one", "short", "two"]
    assert decoded.left_out["utterance"].tolist() == ["broken"]
    assert "broken.flac: not a sound file" in decoded.left_out["reason"][0]
    sources = {source["tier"]: source for source in decoded.sources}
    assert sources["voicing"]["tool"] == "praat-parselmouth"
    assert sources["words"]["model"] == "en-us, en-us.lm.bin"
    assert sources["words"]["utterances"] == 3
    assert json.loads(json.dumps(decoded.sources)) == decoded.sources


def test_the_number_of_workers_does_not_decide(recordings):
    alone, together = (decode(recordings, ["pocketsphinx:phones", "voicing"], workers) for workers in (1, 2))
    pd.testing.assert_frame_equal(alone.table, together.table)
    pd.testing.assert_frame_equal(alone.left_out, together.left_out)
    assert alone.sources == together.sources


def test_every_source_decodes(recordings):
    for kind in ("aligned", "pocketsphinx"):
        decoded = decode(recordings, ["vad", "voicing", f"{kind}:phones", f"{kind}:words"])
        tiers = {source["tier"] for source in decoded.sources}
        assert set(decoded.table["tier"]) == tiers == {"speech", "phones", "words", "voicing"}


def test_tiers_come_back(recordings, tmp_path):
    """Through a file too; a tier without stretches is an empty tier, not a missing one."""
    decoded = decode(recordings, ["pocketsphinx:words", "voicing"])
    files.write_parquet(tmp_path / "tiers.parquet", decoded.table)
    tiers = by_utterance(pd.read_parquet(tmp_path / "tiers.parquet"))
    assert list(tiers) == ["one", "short", "two"]
    back, short = tiers["one"], tiers["short"]
    direct = SOURCES["voicing"](audio.read(recordings["path"][0]), Spoken())
    assert back["voicing"].labels == direct.labels
    np.testing.assert_array_equal(back["voicing"].start_s, direct.start_s)
    np.testing.assert_array_equal(back["voicing"].end_s, direct.end_s)
    assert {name: len(tier) for name, tier in short.items()} == {"words": 0, "voicing": 1}
    assert {tier.duration_s for tier in short.values()} == {200 / 16_000}


def test_what_cannot_be_read_is_all_left_out(recordings):
    decoded = decode(recordings[recordings["utterance"] == "broken"], ["voicing"])
    assert (len(decoded.table), len(decoded.left_out), decoded.sources) == (0, 1, [])
    assert tuple(decoded.table.columns) == COLUMNS


def test_faulty_requests_are_refused(recordings):
    with pytest.raises(InputError, match="unknown source 'praat'"):
        decode(recordings, ["praat"])
    with pytest.raises(InputError, match="sources voicing, voicing give tiers voicing, voicing"):
        decode(recordings, ["voicing", "voicing"])


def test_segments_are_the_golden_ones(golden):
    """Of three utterances, by the sources of the demo."""
    expected = pd.read_parquet(golden / "tables" / "segments.parquet")
    names = sorted(expected["utterance"].unique())[:3]
    utterances = pd.DataFrame(
        {"utterance": names, "path": [golden / "corpus" / "flac_E_eval" / f"{name}.flac" for name in names]}
    )
    table = decode(utterances, ["vad", "voicing", "pocketsphinx:phones", "pocketsphinx:words"]).table
    expected = expected[expected["utterance"].isin(names)].reset_index(drop=True)
    pd.testing.assert_frame_equal(table.drop(columns="model"), expected, rtol=1e-5, check_dtype=False)


def test_a_recogniser_is_refused_for_another_language(recordings):
    with pytest.raises(
        InputError, match=r"one.flac: pocketsphinx:words recognises US English, .*'it'; .*aligned:words"
    ):
        decode(recordings.assign(language="it"), ["pocketsphinx:words"])


@pytest.mark.parametrize(
    ("language", "tier", "model"),
    [("it", "words", "silero_vad.jit"), ("it", "phones", "none"), ("en", "phones", "en-us, en-us-phone.lm.bin")],
)
def test_what_stands_in_for_a_missing_transcript(recordings, language, tier, model):
    decoded = decode(recordings.assign(language=language), [f"aligned:{tier}"])
    assert [(source["tier"], source["model"], source["utterances"]) for source in decoded.sources] == [(tier, model, 3)]


def test_transcripts_of_several_languages_are_aligned(golden):
    """The words are those of the transcripts; the study's own corpus says what they are."""
    recordings = pd.read_csv(golden / "corpus" / "recordings.tsv", sep="\t", dtype=str)
    chosen = recordings.groupby("language").head(1)
    paths = [golden / "corpus" / "flac_E_eval" / f"{name}.flac" for name in chosen["utterance"]]
    decoded = decode(chosen.assign(path=paths), ["aligned:words"])
    words = decoded.table.groupby("utterance")["label"].agg(" ".join)
    spoken = [" ".join(words_of(*row)) for row in chosen[["transcript", "language"]].to_numpy()]
    assert words[chosen["utterance"]].tolist() == spoken
    assert set(decoded.table["model"]) == {"en-us, aligned to the transcript"}
