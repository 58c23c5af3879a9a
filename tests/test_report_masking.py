import dataclasses
import io

import numpy as np
import pandas as pd
import pytest
import soundfile

from sslig import stages
from sslig.corpora import protocol
from sslig.cues.effects import effects, rounds_needed
from sslig.cues.interventions import parse
from sslig.cues.masking import MASKS
from sslig.frames import SSL_CLOCK
from sslig.report import masking, masking_text

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
    said = masking_text.answer(table)
    assert said.startswith("**Answer.** Of 2 cues")
    assert "one needs `noise` (-" in said
    assert "other needs none of them beyond doubt (1 move its scores)" in said


def test_verdicts_say_what_is_supported_and_by_what(table):
    noise, volume, top = masking_text.verdicts(table).splitlines()
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
    note = masking_text.unmasked_note(table)
    assert note.startswith(
        "20 bona fide and 20 spoofs of 20 speakers were masked. Unmasked EER on the most that were masked: one"
    )


def test_the_note_on_unmasked_scores_tells_which_masks_have_fewer_utterances(table):
    explained = table["mask"] == "top_attribution(percent=10)"
    fewer = table.assign(
        n_bonafide=table["n_bonafide"].mask(explained, 4), unmasked=table["unmasked"].mask(explained, 1.0)
    )
    note = masking_text.unmasked_note(fewer[::-1])  # the explained ones first
    assert note.startswith(
        "20 bona fide and 20 spoofs of 20 speakers were masked. Under `top_attribution(percent=10)` it is 4 bona fide "
        "and 20 spoofs of 20 speakers."
    )
    assert "100 %" not in note
    of_one = table.assign(n_spoof=table["n_spoof"].mask(explained & (table["detector"] == "one"), 7))
    assert "Under `top_attribution(percent=10)` (of one) it is 20 bona fide and 7 spoofs" in (
        masking_text.unmasked_note(of_one)
    )


def scores_of(table, n_recordings):
    """A row for each recording, of two speakers, of every mask."""
    rows = table[["detector", "seed", "mask"]].drop_duplicates()
    parts = [rows.assign(speaker=f"S{n % 2}", recording=f"R{n}") for n in range(n_recordings)]
    return pd.concat(parts, ignore_index=True)


def test_the_rounds_are_checked_for_the_mask_on_the_fewest_recordings(table, study):
    enough = dataclasses.replace(study, masking=dataclasses.replace(study.masking, rounds=1000))
    masked = scores_of(table, 300)
    assert rounds_needed(6, 300) < 1000 < rounds_needed(6, 4)
    assert "too few" not in masking_text.interval_note(enough, table, masked)
    fewer = masked[(masked["mask"] != "noise") | masked["recording"].isin(["R0", "R1", "R2", "R3"])]
    note = masking_text.interval_note(enough, table, fewer)
    assert "1,000 rounds are too few for that many tests of a mask on 4 recordings" in note
    alone = masked[(masked["mask"] != "noise") | (masked["recording"] == "R0")]
    assert "on 1 recordings" in masking_text.interval_note(enough, table, alone)


@pytest.mark.parametrize(("speakers", "said"), [(20, None), (2, "With 2 speakers intervals")])
def test_few_speakers_are_said_to_speak_for_themselves(table, study, speakers, said):
    note = masking_text.interval_note(study, table.assign(n_speakers=speakers), scores_of(table, 300))
    assert ("not of others" in note) == (said is not None)
    assert said is None or said in note
    some = table.assign(n_speakers=np.where(table["mask"] == "noise", 5, 30))
    assert "With 5 to 30 speakers, as the mask has it," in (
        masking_text.interval_note(study, some, scores_of(table, 300))
    )


def with_masks(study, masks, sweeps):
    return dataclasses.replace(study, masking=dataclasses.replace(study.masking, masks=masks, sweeps=sweeps))


@pytest.mark.parametrize(("masks", "swept", "expected"), [
    (["compressor"], ["compressor(ratio=2)", "compressor(ratio=8)"], {
        "compressor(ratio=2)": ("compressor", "ratio", 2), "compressor(ratio=8)": ("compressor", "ratio", 8),
        "compressor": ("compressor", "ratio", 4)}),
    (["spectral"], ["spectral(gain=0.5)"], {
        "spectral(gain=0.5)": ("spectral", "gain", 0.5), "spectral": ("spectral", "gain", 0.1)}),
    (["band(lo_hz=0, hi_hz=300)", "band(lo_hz=0, hi_hz=600)"], ["band(lo_hz=0, hi_hz=300, gain=0)"], {
        "band(lo_hz=0, hi_hz=300, gain=0)": ("band(lo_hz=0, hi_hz=300)", "gain", 0),
        "band(lo_hz=0, hi_hz=300)": ("band(lo_hz=0, hi_hz=300)", "gain", 0.1)}),
    (["noise", "noise(published=true)"], ["noise(alpha=0.5)", "noise(alpha=0.5, published=true)"], {
        "noise(alpha=0.5)": ("noise", "alpha", 0.5), "noise": ("noise", "alpha", 0.9),
        "noise(alpha=0.5, published=true)": ("noise(published=true)", "alpha", 0.5),
        "noise(published=true)": ("noise(published=true)", "alpha", 0.9)}),
    (["noise"], [], {}),
])  # fmt: skip
def test_a_sweep_is_by_the_number_that_differs(study, masks, swept, expected):
    assert masking.sweeps(with_masks(study, masks, swept)) == expected


@pytest.mark.parametrize(("masks", "swept", "found"), [
    (["noise"], ["noise(published=true)"], r"noise\(published=true\) differs from no other .* equal but for alpha"),
    (["time:pauses(fill=silence)"], ["time:pauses(fill=noise)"], r"time:pauses\(fill=noise\) .* it has none"),
    ([], ["codec:g722"], "masking.sweeps: codec:g722 .* it has none"),
    (["compressor"], ["compressor(ratio=2)", "compressor(threshold_db=-30)"],
     "compressor stands in two curves, by ratio and by threshold_db; accepted: one parameter"),
])  # fmt: skip
def test_sweeps_that_form_no_curve_are_refused(study, masks, swept, found):
    with pytest.raises(masking.SweepError, match=found):
        masking.sweeps(with_masks(study, masks, swept))


def test_an_empty_list_of_masks_is_not_the_default(study):
    assert masking.masks(with_masks(study, [], [])) == []
    assert masking.masks(with_masks(study, None, [])) == [parse(spec).spec for spec in MASKS]


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
    assert "50 rounds are too few for that many tests" in masking_text.interval_note(study, found, masked)


def test_every_mask_of_a_study_is_described(study):
    told = masking.mask_table(study).set_index("mask")
    assert told["paper"].tolist() == ["yes", "yes", "yes", ""]
    assert told.loc["volume", ["in", "control"]].tolist() == ["recording", "none"]
    assert masking_text.paper_note(masking.mask_table(study)) == (
        "Masks of this study: 4, among them 3 of the 6 of the paper."
    )
    assert told.at["noise", "what"].startswith("Frames without speech")


def test_a_spoof_is_heard_under_the_masks_in_the_waveform(study):
    example = masking.example(study, ["camhfa"], 0)
    assert example["key"] == "spoof"
    sounds = masking.heard(study, example, "camhfa", 0, SSL_CLOCK, None)
    labels = [label.split(":")[0] for label in sounds]
    assert labels[:3] == ["as it is", "spectral", "volume"]
    loud, _, quiet = (soundfile.read(io.BytesIO(coded))[0] for (coded,) in list(sounds.values())[:3])
    np.testing.assert_allclose(quiet, 0.1 * loud, atol=1e-4)
    assert example["path"] in set(protocol.load_set(study.corpus_root, "eval")["path"])


def test_nothing_is_heard_where_the_head_does_not_read(study):
    example = masking.example(study, ["camhfa"], 0)
    n_read = 5
    sounds = masking.heard(study, example, "camhfa", 0, SSL_CLOCK, n_read)
    in_time = {label.split(":")[1]: coded for label, (coded,) in sounds.items() if label.startswith("time:")}
    assert any(name.startswith("energy") or name.startswith("non_speech") for name in in_time)
    whole, _ = soundfile.read(io.BytesIO(sounds["as it is"][0]))
    behind = SSL_CLOCK.n_samples(n_read + 2)  # a fill fades over less than a frame
    for coded in in_time.values():
        changed, _ = soundfile.read(io.BytesIO(coded))
        np.testing.assert_array_equal(changed[behind:], whole[behind:])
        assert (changed[:behind] != whole[:behind]).any()
