import io

import numpy as np
import pandas as pd
import pytest
import soundfile

from sslig import protocol, stages
from sslig.cues.effects import effects
from sslig.frames import SSL_CLOCK
from sslig.report import masking

N, DRAWS = 40, 20


@pytest.fixture
def table():
    """Effects on two detectors: under `noise` one loses all separation and the other only shifts; nothing else acts."""
    generator = np.random.default_rng(3)
    parts = []
    for detector in ("one", "other"):
        key = np.repeat(["bonafide", "spoof"], N // 2)
        score = np.where(key == "spoof", 2.0, -2.0) + generator.standard_normal(N)
        for mask, control in (("noise", DRAWS), ("volume", 0), ("top_attribution(percent=10)", DRAWS)):
            masked = score + 0.01 * generator.standard_normal(N)
            if mask == "noise":
                masked = 0.1 * score if detector == "one" else masked - 3
            parts.append(pd.DataFrame({
                "detector": detector, "seed": 0, "mask": mask, "key": key, "attack": "-", "spoof_score": score,
                "utterance": [f"E_{n:03d}" for n in range(N)], "speaker": [f"S{n % 20}" for n in range(N)],
                "recording": [f"E_{n:03d}" for n in range(N)], "masked_score": masked, "status": "applied",
                "share": 0.25, "n_runs": 2, "mean_run_s": 0.1, "longest_run_s": 0.3,
                "control_scores": [score[n] + 0.01 * generator.standard_normal(control) for n in range(N)],
            }))  # fmt: skip
    return effects(pd.concat(parts, ignore_index=True), seed=0, rounds=3000, resample_recordings=True)


@pytest.fixture(scope="module")
def study(tmp_path_factory, write_experiment):
    """A study with a few masks made for CA-MHFA."""
    values = {"utterances": 8, "draws": 4, "rounds": 50, "workers": 1, "sweeps": ["noise(alpha=0.5)"],
              "masks": ["noise", "volume", "phonemes", "top_attribution(percent=20)"]}  # fmt: skip
    made = write_experiment(
        tmp_path_factory.mktemp("masks"), masking=values, evaluation={"rounds": 20, "resample_recordings": True},
        attribution={"utterances": 8, "max_steps": 32},
    )  # fmt: skip
    stages.masked(made, "camhfa", 0)
    return made


def test_the_answer_names_what_a_detector_needs_and_what_only_moves_it(table):
    said = masking.answer(table)
    assert said.startswith("**Answer.** Of 2 cues")
    assert "one needs `noise` (-" in said
    assert "other needs none of them beyond doubt (1 move its scores)" in said


def test_verdicts_say_what_is_supported_and_by_what(table):
    noise, volume, top = masking.verdicts(table).splitlines()
    assert noise.startswith("- `noise`: it lowers the separation of one")
    assert "it lowers the bona fide scores of other" in noise
    assert noise.endswith("(beyond the control).")
    assert volume == "- `volume`: no effect on any detector is supported."
    assert top.startswith("- `top_attribution(percent=10)`: no effect")


def test_cells_mark_what_is_supported_and_what_has_no_control(table):
    cells = masking.cue_table(table).set_index("mask")
    assert cells.columns.tolist() == ["one", "other"]
    assert cells.at["noise", "one"].endswith(" ●")
    assert not cells.at["noise", "other"].endswith(" ●")
    assert cells.at["volume", "one"].startswith("(")


def test_the_full_table_shows_the_control_behind_a_bar(table):
    full = masking.full_table(table, "one").set_index("mask")
    assert list(full.columns) == [heading for heading, _, _ in masking.COLUMNS.values()]
    assert " | " in full.at["noise", "EER (%)"]
    assert " | " not in full.at["volume", "EER (%)"]


def test_the_note_on_unmasked_scores_tells_rates_and_counts(table):
    note = masking.unmasked_note(table)
    assert note.startswith("20 bona fide and 20 spoofs of 20 speakers were masked. Unmasked EER on these: one")


def test_a_study_has_effects_doses_and_coverage(study):
    masked = masking.masked_of(study, ["camhfa"], [0])
    found = masking.effect_table(study, masked)
    assert found["mask"].unique().tolist() == ["noise", "volume", "phonemes", "top_attribution(percent=20)"]
    assert masking.sweeps(study) == {"noise(alpha=0.5)": ("noise", "alpha", 0.5), "noise": ("noise", "alpha", 0.9)}
    assert set(masking.dose_table(study, masked)["value"]) == {0.5, 0.9}
    covered = masking.coverage_table(study, masked).set_index("mask")
    assert covered.index.tolist() == ["noise", "phonemes", "top_attribution(percent=20)"]
    assert 0 < covered.at["phonemes", "frames (%)"] <= 26  # of 29 frames, 7
    assert masking.source_table(study)["tier"].tolist() == ["phones", "speech", "voicing", "words"]
    assert "50 rounds are too few for that many tests" in masking.interval_note(study, found)


def test_every_mask_of_a_study_is_described(study):
    told = masking.mask_table(study).set_index("mask")
    assert told["paper"].tolist() == ["yes", "yes", "yes", ""]
    assert told.loc["volume", ["in", "control"]].tolist() == ["recording", "none"]
    assert told.at["noise", "what"].startswith("Frames without speech")


def test_a_spoof_is_heard_under_the_masks_in_the_waveform(study):
    example = masking.example(study, ["camhfa"], 0)
    assert example["key"] == "spoof"
    sounds = masking.heard(study, example, "camhfa", 0, SSL_CLOCK)
    labels = [label.split(":")[0] for label in sounds]
    assert labels[:3] == ["as it is", "spectral", "volume"]
    loud, _, quiet = (soundfile.read(io.BytesIO(coded))[0] for (coded,) in list(sounds.values())[:3])
    np.testing.assert_allclose(quiet, 0.1 * loud, atol=1e-4)
    assert example["path"] in set(protocol.load_set(study.corpus_root, "eval")["path"])
