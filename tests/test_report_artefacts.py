"""The artefact page on small frames, with values worked out by hand."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sslig import stages
from sslig.cues import shortcut_model
from sslig.cues.effects import rounds_needed
from sslig.cues.masked_trials import two_sided_p
from sslig.cues.tiers import Tier
from sslig.frames import SSL_CLOCK
from sslig.report import artefact_evidence as evidence
from sslig.report import artefact_notes as notes
from sslig.report import artefact_text as text
from sslig.report import artefacts

N = 20
"""Utterances of each class."""
TIERS = {
    "speech": Tier("speech", [0, 0.5], [0.5, 1], ("leading", "speech"), 1.0, {}),
    "voicing": Tier("voicing", [0, 0.5], [0.5, 1], ("unvoiced", "voiced"), 1.0, {}),
    "phones": Tier("phones", [0.5], [1], ("AA",), 1.0, {}),
    "words": Tier("words", [0.5], [1], ("ah",), 1.0, {}),
}
"""Of an utterance of one second: half a second without sound, then a vowel."""


@pytest.fixture
def study(tmp_path, write_experiment):
    options = {"evaluation": {"rounds": 50, "resample_recordings": True}, "artefacts": {"workers": 1}}
    return write_experiment(tmp_path, **options)


@pytest.fixture
def scores():
    """Two detectors on 20 bona fide and 20 spoofs of four speakers; both err on the same 5 spoofs.

    At the threshold of an EER of 25 % they err on 5 bona fide too: those with the highest scores, which differ.
    """
    table = pd.DataFrame({
        "utterance": [f"E_{i:02d}" for i in range(2 * N)], "key": ["bonafide"] * N + ["spoof"] * N,
        "attack": ["-"] * N + ["A01"] * N, "codec": "-", "speaker": [f"S{i % 4}" for i in range(2 * N)],
        "recording": [f"R{i}" for i in range(2 * N)],
    })  # fmt: skip
    good = np.r_[np.linspace(-2, -1, N), np.linspace(-3, -2.1, 5), np.linspace(1, 2, N - 5)]
    poor = good.copy()
    poor[:5] = 3
    return pd.concat([table.assign(detector="good", spoof_score=good), table.assign(detector="poor", spoof_score=poor)])


@pytest.fixture
def measures(scores, rng):
    """Spoofs are longer than bona fide, and the five that all get wrong are the noisiest."""
    names = scores["utterance"].unique()
    noise_db = np.r_[rng.normal(-60, 1, N), rng.normal(-30, 1, 5), rng.normal(-60, 1, N - 5)]
    return pd.DataFrame({"utterance": names, "duration_s": np.r_[np.arange(1.0, 1 + N), np.arange(31.0, 31 + N)],
                         "noise_floor_dbfs": noise_db, "clipping_share": 0.0})  # fmt: skip


@pytest.fixture
def linear(monkeypatch):
    """Linear models in place of trees, which take longer."""
    monkeypatch.setitem(shortcut_model.MODELS, "boosting", shortcut_model.ridge)


@pytest.fixture
def measured(measures, scores):
    return artefacts.trials(measures, scores)


# measures ------------------------------------------------------------------------------------------------------------


def test_groups_are_class_and_what_all_detectors_say(measured):
    assert measured["group"].value_counts().to_dict() == {
        "bona fide, right": 10, "bona fide, mixed": 10, "spoof, right": 15, "spoof, wrong": 5,
    }  # fmt: skip
    assert artefacts.names(measured) == ["duration_s", "noise_floor_dbfs", "clipping_share"]


def test_an_utterance_that_a_detector_could_not_score_is_left_out(measures, scores):
    fewer = scores[(scores["detector"] == "good") | (scores["utterance"] != "E_00")]
    assert "E_00" not in set(artefacts.trials(measures, fewer)["utterance"])


def test_rounds_suffice_for_the_correction(study):
    assert artefacts.rounds(study, 1, 40) == 50
    needed = artefacts.rounds(study, 28, 40)
    assert 28 * two_sided_p(np.ones(needed), 40) < text.ALPHA <= 28 * two_sided_p(np.ones(needed - 1), 40)


def test_no_more_rounds_are_drawn_where_they_would_not_help(study):
    """28 tests of 10 units want half a million rounds; those of two or of one cannot be written."""
    assert rounds_needed(28, 10) > artefacts.MOST_ROUNDS
    assert [artefacts.rounds(study, 28, n) for n in (1, 2, 10)] == [50] * 3
    assert [artefacts.supportable(study, 28, n) for n in (1, 2, 10, 40)] == [False, False, False, True]


def test_measures_alone_are_sorted_and_told_with_their_direction(study, measured):
    found = artefacts.alone(study, measured)
    assert found["measure"].tolist() == ["duration_s", "noise_floor_dbfs", "clipping_share"]
    shown = artefacts.alone_table(found)
    assert shown.iloc[0][["EER (%)", "larger in", "Cliff's delta", "p (Holm)"]].tolist() == [
        "0.0 [0.0, 0.0]", "spoof", "+1.00 [+1.00, +1.00] ●", "< 0.05",
    ]  # fmt: skip
    assert shown.iloc[2][["EER (%)", "larger in", "p (Holm)"]].tolist() == ["50.0 [50.0, 50.0]", "neither", "1"]
    said = notes.alone_note(found)
    assert said.startswith("1 of 3 measures differs between the classes beyond doubt")
    assert "The strongest is `duration_s` (larger in spoof) with an EER of 0 % [0, 0]." in said


def test_nothing_beyond_doubt_is_said(study, measured):
    found = artefacts.alone(study, measured[["key", "speaker", "recording", "clipping_share"]])
    assert notes.alone_note(found).startswith("None of 1 measures differ")
    assert "(larger in neither class)" in notes.alone_note(found)
    answer = notes.answer(found, pd.DataFrame(), ["Nothing more."])
    assert answer.endswith("50], which chance among so many measures would explain too. Nothing more.")


def test_wrong_is_compared_with_right_where_there_are_enough(study, measured):
    found = artefacts.between(study, measured)
    assert set(found["group_b"]) == {"spoof, wrong"}  # no bona fide is wrong by all
    shown = artefacts.effect_table(found)
    assert shown.columns.tolist() == ["measure", "spoof, wrong: EER (%)", "spoof, wrong: delta"]
    assert shown["measure"].tolist()[2] == "clipping_share"
    delta = found.set_index("measure")["delta"]
    assert delta[["duration_s", "noise_floor_dbfs", "clipping_share"]].tolist() == [-1, 1, 0]
    said = notes.between_note(found)
    assert said.startswith("Of bona fide utterances there are fewer than 5 in a group")
    assert "2 of 3 measures tell the spoof utterances" in said


def test_no_group_is_large_enough(study, measured):
    found = artefacts.between(study, measured[measured["group"] != "spoof, wrong"])
    assert found.empty
    assert notes.between_note(found).count("too few to compare") == 2


def test_few_speakers_and_too_many_tests_are_said(study, measured, rng):
    table, _ = attributions(rng)
    said = notes.interval_note(study, measured, table, 10)
    assert "draws of the 4 speakers and, within each drawn speaker, of the 40 recordings. *Beyond doubt*" in said
    assert "a p-value below 0.05 after Holm's correction." in said
    assert "With 4 speakers they say little about other speakers" in said
    assert "read *beyond doubt* as on recordings of these speakers" in said
    assert "too few to correct" not in said
    few = notes.interval_note(study, measured, table[table["recording"] < "E_15"], 10)
    assert "too few to correct for that many tests of classes of segments: nothing could be supported there." in few
    many = measured.assign(speaker=measured["recording"])
    assert "other speakers" not in notes.interval_note(study, many, table, 1)


def test_one_speaker_alone_tells_nothing(write_experiment, tmp_path, measured):
    options = {"evaluation": {"rounds": 50, "resample_recordings": False}, "artefacts": {"workers": 1}}
    study, one = write_experiment(tmp_path, **options), measured.assign(speaker="S")
    assert notes.between_note(artefacts.between(study, one)).count("all are of one speaker") == 2
    assert artefacts.alone_table(artefacts.alone(study, one))["EER (%)"].tolist() == [text.NOTHING] * 3
    assert notes.answer(artefacts.alone(study, one), pd.DataFrame(), []).endswith("the strongest is not defined.")


def test_means_by_class_and_by_group(measured):
    shown = artefacts.mean_table(measured, "key").set_index("measure")
    assert shown.columns.tolist() == ["bona fide (n = 20)", "spoof (n = 20)"]
    assert shown.loc["duration_s"].tolist() == ["10.5 ± 5.9", "40.5 ± 5.9"]
    by_group = artefacts.mean_table(measured.assign(duration_s=1234.5), "group").set_index("measure")
    assert by_group.columns.tolist()[0] == "bona fide, right (n = 10)"
    assert by_group.loc["duration_s"].iloc[0] == "1,234 ± 0"
    assert artefacts.measure_table(measured)["unit"].tolist() == ["s", "dB", "share"]


def test_scores_go_with_measures(study, measured, scores, linear):
    """The scores of `good` rise with the duration within each class, but for the five spoofs that are wrong."""
    correlations, fits, importances = artefacts.of_scores(study, measured, scores)
    rho = correlations.set_index(["detector", "key", "measure"])["spearman"]
    assert rho["good", "bonafide", "duration_s"] == pytest.approx(1)
    shown = artefacts.correlation_table(correlations, "bonafide", at_least=1)
    assert shown["measure"].tolist() == ["duration_s"]
    assert shown["good"][0].startswith("+1.00 [+1.00, +1.00] ●")
    assert "good `duration_s` (bona fide, +1.00; beyond doubt are " in notes.score_note(correlations)
    assert " of the 4 correlations with a measure in either class)" in notes.score_note(correlations)
    assert set(fits["folds_of"]) == {"recording", "speaker"}
    table = artefacts.fit_table(fits)
    assert len(table) == 2 * 2 * 3
    assert table.columns.tolist() == ["detector", "new to the model", "utterances", "R2, linear", "R2, trees"]
    assert artefacts.strongest_table(importances, 1)["strongest measures"].str.contains("duration_s|noise_floor").all()
    low, high = fits[(fits["model"] == "ridge") & (fits["key"] == "all") & (fits["folds_of"] == "recording")]["r2"]
    assert f"{min(low, high):.2f} to {max(low, high):.2f} on new recordings" in notes.answer(
        artefacts.alone(study, measured), fits, []
    )


def test_one_speaker_has_no_folds_of_speakers(study, measured, scores, linear):
    one = scores.assign(speaker="S")
    _, fits, importances = artefacts.of_scores(study, measured.assign(speaker="S"), one[one["detector"] == "good"])
    assert set(fits["folds_of"]) == {"recording"}
    assert notes.fit_note(fits) == "Too few speakers for folds that share none."
    assert notes.fit_note(pd.DataFrame()) == "Too few recordings and speakers for folds that share none."
    assert len(artefacts.strongest_table(importances)) == 3


def test_what_was_left_out_is_named(measured):
    nothing = pd.DataFrame({"utterance": [], "reason": []})
    assert notes.left_out_note(measured, nothing) == (
        "Measured were 20 bona fide and 20 spoof utterances of 4 speakers. None was left out."
    )
    lost = pd.DataFrame({"utterance": ["E_9"], "reason": ["no sound"]})
    assert notes.left_out_note(measured, lost).endswith("**1 were left out**: E_9 (no sound).")


# evidence ------------------------------------------------------------------------------------------------------------


def attributions(rng, sign=1):
    """Evidence of one detector that is the loudness (times `sign`), in 12 utterances of each class; and the tracks."""
    names = [f"E_{i:02d}" for i in range(24)]
    loud = {name: rng.random(60) for name in names}
    table = pd.DataFrame({
        "utterance": names, "key": ["bonafide"] * 12 + ["spoof"] * 12, "speaker": ["S0", "S1"] * 12,
        "recording": names, "detector": "good", "by_frame": [sign * loud[name] for name in names],
    })  # fmt: skip
    return table, {name: {"loudness": loud[name], "voicing": rng.random(60)} for name in names}


def test_evidence_that_is_loudness_follows_it(study, rng):
    table, tracks = attributions(rng)
    found = evidence.follows(study, table, tracks)
    assert len(found) == 2 * 2 * 2
    shown = evidence.follow_table(found)
    assert shown.columns.tolist() == ["over time", "of the", "detector", "utterances", "n", "correlation", "by chance",
                                      "p (Holm)"]  # fmt: skip
    assert shown["correlation"].iloc[0] == "+1.00 [+1.00, +1.00] ●"
    said = evidence.follow_sentence(found)
    louder = "where it is louder in 2 (+1.00) and where it is quieter in 0"
    assert said.startswith(f"Of 2 combinations of detector and class, the evidence is stronger {louder}, and it speaks "
                           f"more for spoof {louder}; chance alone")  # fmt: skip


def test_evidence_that_is_not_loudness_does_not_follow_it(study, rng):
    table, tracks = attributions(rng)
    other = table.assign(by_frame=[rng.standard_normal(60) for _ in range(24)])
    found = evidence.follows(study, other, tracks).assign(p_holm=1.0)
    assert evidence.follow_sentence(found).startswith("Evidence follows loudness no more than by chance")
    nothing = found.assign(r=np.nan)
    assert evidence.follow_sentence(nothing) == "Whether evidence follows loudness cannot be said of these utterances."


def test_evidence_in_half_of_the_frames_is_twice_its_share(study, rng):
    """All evidence lies in the first half of the frames, which is non-speech; a class that is nowhere has no number."""
    table, _ = attributions(rng)
    half = np.arange(60) < 30
    table["by_frame"] = [np.where(half, 1.0, 0.0) for _ in range(24)]
    masks = {name: {"non_speech": half, "phone:vowel": np.zeros(60, bool)} for name in table["utterance"]}
    found = evidence.lies(study, table, masks)
    rows = found[found["segment"] == "non_speech"]
    assert rows["relative"].tolist() == [2, 2]
    shown = evidence.segment_table(found).set_index("segment")
    assert shown.loc["non-speech"].tolist() == ["50 to 50", *["2.00 [2.00, 2.00] ●"] * 2]
    assert shown.loc["vowels", "good, spoof"] == text.NOTHING
    said = evidence.segment_sentence(found)
    assert said == ("More evidence than their share of time lies in non-speech (2.00 times it), for at least one "
                    "detector and class.")  # fmt: skip
    assert evidence.segment_sentence(found.assign(p_holm=1.0)).startswith("No class of segments")


def test_frames_that_a_head_does_not_read_do_not_count(study, monkeypatch):
    """An SLS head takes 30 of 60 frames, pooled by threes, so that the last it reads may have no evidence."""
    frames = np.r_[np.ones(28), np.zeros(32)]
    heads = {"sls": SimpleNamespace(n_frames=30), "camhfa": SimpleNamespace()}
    monkeypatch.setattr(stages, "checkpoint", lambda study, name, seed: name)
    monkeypatch.setattr(evidence.Detector, "from_pretrained", lambda name: SimpleNamespace(head=heads[name]))
    told = stages.explained(study)[["utterance", "key", "attack", "codec", "speaker"]]
    made = {"sls": told.assign(detector="sls", by_frame=[frames] * len(told)),
            "camhfa": told.assign(detector="camhfa", by_frame=[frames + 1] * len(told))}  # fmt: skip
    monkeypatch.setattr(stages, "attributions", lambda study, name, seed: made[name])
    monkeypatch.setattr(stages, "segmented", lambda study: told[["utterance"]].iloc[1:])
    found = evidence.explained(study, ["camhfa", "sls"], 0)
    assert len(found) == 2 * (len(told) - 1)  # the first has no segments
    assert found.groupby("detector")["by_frame"].first().map(len).to_dict() == {"camhfa": 60, "sls": 30}
    assert {"recording", "path"} <= set(found.columns)


@pytest.fixture
def decoded(study, monkeypatch):
    """Tracks and masks of `TIERS`, or of some of them."""

    def made(names=tuple(TIERS)):
        tiers = {name: TIERS[name] for name in names}
        samples = np.r_[np.zeros(8_000), np.ones(8_000)].astype(np.float32)
        monkeypatch.setattr(stages, "segmented", lambda study: None)
        monkeypatch.setattr(stages, "tiers_by_utterance", lambda table: {"E_1": tiers})
        monkeypatch.setattr(evidence, "as_scored", lambda study, path, clock: samples)
        explained = pd.DataFrame({"utterance": ["E_1", "E_1"], "path": ["a.flac", "a.flac"]})
        return evidence.tracks_and_masks(study, explained, SSL_CLOCK)

    return made


@pytest.mark.parametrize(
    ("names", "tracks", "masks", "absent"),
    [
        (
            ["speech", "phones", "words"],
            ["loudness"],
            len(evidence.SEGMENTS) - 1,
            "voicing and voicing on- and offsets",
        ),
        (["voicing"], ["loudness", "voicing"], 1, "non-speech, vowels, "),
        ([], ["loudness"], 0, "voicing, non-speech, vowels, "),
    ],
)
def test_what_no_tier_was_decoded_for_is_left_out_and_named(decoded, names, tracks, masks, absent):
    found = decoded(names)
    assert list(found[0]["E_1"]) == tracks
    assert len(found[1]["E_1"]) == masks
    assert f"nothing is said of {absent}" in evidence.absent_note(*found)


def test_no_class_of_segments_gives_an_empty_table(study, rng):
    table, tracks = attributions(rng)
    found = evidence.lies(study, table, {name: {} for name in tracks})
    assert found.empty
    assert evidence.shown_segments(found) == {}
    assert evidence.segment_sentence(found).startswith("No class of segments")


def test_tracks_and_masks_are_of_the_same_frames(decoded):
    n_frames = SSL_CLOCK.n_frames(16_000)
    tracks, masks = decoded()
    assert evidence.absent_note(tracks, masks) == ""
    late = SSL_CLOCK.centre_s(n_frames) >= 0.5
    np.testing.assert_array_equal(tracks["E_1"]["voicing"], late)
    assert tracks["E_1"]["loudness"][[0, -1]].tolist() == [0, 1]
    np.testing.assert_array_equal(masks["E_1"]["non_speech"], ~late)
    np.testing.assert_array_equal(masks["E_1"]["phone:vowel"], late)
    assert masks["E_1"]["onsets"].sum() == 2  # within 20 ms of 0.5 s
    assert list(masks["E_1"]) == list(evidence.SEGMENTS)


def test_a_class_that_was_not_explained_is_said(rng):
    table, _ = attributions(rng)
    assert evidence.set_note(table) == "Explained and segmented: 12 bona fide and 12 spoof utterances."
    said = evidence.set_note(table[table["key"] == "spoof"])
    assert (
        said == "Explained and segmented: 0 bona fide and 12 spoof utterances. Nothing can be said of bona fide ones."
    )


# numbers -------------------------------------------------------------------------------------------------------------


def test_numbers_with_intervals():
    assert text.interval(0.256, 0.2, 0.3, 2) == "0.26 [0.20, 0.30]"
    assert text.interval(-0.256, -0.3, 0.1, 1, "+") == "-0.3 [-0.3, +0.1]"
    assert text.interval(np.nan, np.nan, np.nan, 2) == text.NOTHING
    assert [text.p_text(p) for p in (0.04996, 0.05, 1.0, np.nan)] == ["< 0.05", "0.05", "1", ""]
    assert text.span(pd.Series([0.301, 0.299])) == "0.30"
    assert text.span(pd.Series([0.3, -0.2]), "+") == "-0.20 to +0.30"
