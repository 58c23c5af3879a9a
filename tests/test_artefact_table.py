import os

import numpy as np
import pandas as pd
import pytest

from sslig import audio
from sslig.cues import artefact_table, artefacts
from sslig.cues.artefacts import ArtefactError
from sslig.cues.tiers import Tier

LENGTHS = {"b": 16_000, "a": 4_000, "c": 8_000}


@pytest.fixture
def utterances(tmp_path, tone):
    """Three tones of different lengths, and a file that is not there."""
    for name, length in LENGTHS.items():
        audio.write_flac(tmp_path / f"{name}.flac", tone[:length])
    names = [*LENGTHS, "none"]
    return pd.DataFrame({"utterance": names, "path": [str(tmp_path / f"{name}.flac") for name in names]})


@pytest.mark.parametrize("workers", [1, 2])
def test_files_are_measured_in_order_and_broken_ones_left_out(utterances, workers):
    table, left_out = artefact_table.table(utterances, workers)
    assert list(table.columns) == ["utterance", *artefacts.names(f0=False)]
    assert table["utterance"].tolist() == list(LENGTHS)
    assert table["duration_s"].tolist() == [1.0, 0.25, 0.5]
    assert left_out["utterance"].tolist() == ["none"]
    assert left_out["reason"][0].endswith("none.flac: no such file")


def test_nothing_to_measure_is_an_error(utterances):
    with pytest.raises(ArtefactError, match=r"none of 1 utterances could be measured: .*none\.flac: no such file"):
        artefact_table.table(utterances[3:], 1)


def test_an_utterance_twice_is_an_error(utterances):
    with pytest.raises(ArtefactError, match="b stands twice"):
        artefact_table.table(pd.concat([utterances, utterances]), 1)


def speech(start_s):
    return {name: Tier("speech", [start_s], [length / 16_000], ("speech",), length / 16_000, {})
            for name, length in LENGTHS.items()}  # fmt: skip


def test_voice_activity_is_taken_from_tiers(utterances):
    table, _ = artefact_table.table(utterances[:3], 1, speech=speech(0.125))
    assert table["leading_silence_s"].tolist() == [0.125] * 3
    with pytest.raises(ArtefactError, match="none has no voice activity"):
        artefact_table.table(utterances, 1, speech=speech(0.125))


@pytest.fixture
def counted(monkeypatch):
    """How many recordings were measured so far."""
    seen = []

    def measure(*args):
        seen.append(args)
        return artefacts.measure(*args)

    monkeypatch.setattr(artefact_table, "measure", measure)
    return seen


def test_the_cache_is_used_again_while_nothing_changed(utterances, tmp_path, counted):
    cache = tmp_path / "cache" / "measures.parquet"
    first, _ = artefact_table.table(utterances[:2], 1, cache=cache)
    assert len(counted) == 2
    again, left_out = artefact_table.table(utterances, 1, cache=cache)
    assert len(counted) == 3
    assert left_out["utterance"].tolist() == ["none"]
    pd.testing.assert_frame_equal(again[:2], first)


@pytest.mark.parametrize("change", ["file", "tiers", "f0"])
def test_what_changed_is_measured_again(utterances, tmp_path, counted, tone, change):
    cache, rows = tmp_path / "measures.parquet", utterances[:3]
    artefact_table.table(rows, 1, cache=cache, speech=speech(0.1))
    if change == "file":
        audio.write_flac(rows["path"].iloc[0], tone[::-1] / 2)
        os.utime(rows["path"].iloc[0], ns=(1, 1))
    start_s = 0.15 if change == "tiers" else 0.1
    table, _ = artefact_table.table(rows, 1, f0=change == "f0", cache=cache, speech=speech(start_s))
    assert len(counted) - 3 == {"file": 1, "tiers": 3, "f0": 3}[change]
    assert table["utterance"].tolist() == list(LENGTHS)
    assert ("f0_mean_hz" in table) == (change == "f0")
    assert np.isclose(table["leading_silence_s"], start_s).all()
