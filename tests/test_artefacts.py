import numpy as np
import pandas as pd
import pytest

from sslig import audio
from sslig.audio import AudioError
from sslig.cues import artefacts


def test_a_tone_between_silences(tone):
    """0.5 s of silence, 1 s of a tone of amplitude 0.5, 0.25 s of silence; frames are 20 ms, so ends blur by one."""
    found = artefacts.measure(np.concatenate([np.zeros(8_000), tone, np.zeros(4_000)]))
    assert set(found) == set(artefacts.MEASURES)
    assert found["duration_s"] == 1.75
    assert found["leading_silence_s"] == pytest.approx(0.5, abs=0.02)
    assert found["trailing_silence_s"] == pytest.approx(0.25, abs=0.02)
    assert found["level_dbfs"] == pytest.approx(10 * np.log10(0.5**2 / 2 / 1.75), abs=0.01)


def test_a_tone_has_no_silence_and_half_of_it_6_db_less(tone):
    loud, soft = artefacts.measure(tone), artefacts.measure(tone / 2)
    assert (loud["leading_silence_s"], loud["trailing_silence_s"]) == (0, 0)
    assert loud["level_dbfs"] == pytest.approx(-9.03, abs=0.01)
    assert loud["level_dbfs"] - soft["level_dbfs"] == pytest.approx(6.02, abs=0.01)


def test_digital_silence_is_silence_from_end_to_end():
    found = artefacts.measure(np.zeros(8_000, dtype=np.float32))
    assert found == {"duration_s": 0.5, "level_dbfs": -100, "leading_silence_s": 0.5, "trailing_silence_s": 0.5}


def test_what_is_nearly_silent_has_the_lowest_level():
    assert artefacts.measure(np.full(8_000, 1e-9))["level_dbfs"] == -100


@pytest.mark.parametrize("workers", [1, 3])
def test_files_are_measured_in_order(tmp_path, tone, workers):
    paths = [str(tmp_path / f"{length}.flac") for length in (16_000, 4_000, 8_000)]
    for path, length in zip(paths, (16_000, 4_000, 8_000), strict=True):
        audio.write_flac(path, tone[:length])
    table = artefacts.table(paths, workers)
    assert list(table.columns) == list(artefacts.MEASURES)
    assert table["duration_s"].tolist() == [1.0, 0.25, 0.5]


def test_a_broken_file_is_named(tmp_path):
    with pytest.raises(AudioError, match=r"none\.flac: no such file"):
        artefacts.table([str(tmp_path / "none.flac")])


def test_each_measure_is_a_detector_in_its_better_direction():
    """Duration: spoofs are longer, one error of four each. Level: bona fide are louder without error."""
    measures = pd.DataFrame(
        {
            "duration_s": [1.0, 1.1, 1.2, 2.5, 2.0, 2.1, 2.2, 1.05],
            "level_dbfs": [-10, -11, -12, -13, -20, -21, -22, -23],
        }
    )
    labels = np.array([0] * 4 + [1] * 4)
    found = artefacts.single_feature_eer(measures, labels).set_index("measure")
    assert found.loc["duration_s"].to_dict() == {"eer": pytest.approx(0.25), "larger_in": "spoof"}
    assert found.loc["level_dbfs"].to_dict() == {"eer": 0.0, "larger_in": "bonafide"}


def test_a_measure_that_tells_nothing_has_half_the_errors():
    found = artefacts.single_feature_eer(pd.DataFrame({"level_dbfs": [0.0] * 8}), np.array([0, 1] * 4))
    assert found["eer"].tolist() == [0.5]


def test_sets_stand_side_by_side():
    alone = pd.DataFrame(
        [(set_name, measure, 0.1 * number, "spoof")
         for set_name in ("train", "eval") for number, measure in enumerate(artefacts.MEASURES)],
        columns=["set", "measure", "eer", "larger_in"],
    )  # fmt: skip
    found = artefacts.summary(alone, ["eval", "train"])
    assert list(found.columns) == ["measure", "eval", "train"]
    assert found["measure"].tolist() == list(artefacts.MEASURES)
    assert found["eval"].tolist() == ["0 % (spoof)", "10 % (spoof)", "20 % (spoof)", "30 % (spoof)"]
