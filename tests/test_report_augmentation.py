"""Versions of one utterance as a page shows them: what they are made of, what is measured, and what is said."""

import io

import numpy as np
import pandas as pd
import pytest
import soundfile

from sslig import audio
from sslig.corpora import protocol
from sslig.data import rawboost
from sslig.data.augment import PUBLISHED, Step, build
from sslig.data.distortions import STEPS
from sslig.errors import CorpusError
from sslig.report import augmentation
from sslig.report.augmentation import LENGTH, LEVEL, SNR, Example, Version

HALF_GAIN = {"name": "gain", "gain_db": [-6.0, -6.0]}


@pytest.fixture
def original(tone):
    return Example("T_1", tone)


def one_fact(tone, version):
    return augmentation.facts([Version("original", tone), Version("changed", version)]).iloc[0]


def test_the_example_is_bona_fide_and_the_same_for_a_seed(corpus):
    table = protocol.load_set(corpus, "train").set_index("utterance")
    found = [augmentation.example(corpus, seed) for seed in (3, 3)]
    assert found[0].utterance == found[1].utterance
    assert table.loc[found[0].utterance, "key"] == "bonafide"
    np.testing.assert_array_equal(found[0].samples, audio.read(table.loc[found[0].utterance, "path"]))
    assert found[0].utterance in augmentation.example_note(found[0])
    # All of the corpus are too short: the longest bona fide utterance is nearest.
    assert len(found[0].samples) == 9_500


def test_a_long_utterance_is_cut(corpus, monkeypatch):
    monkeypatch.setattr(augmentation, "LENGTH_S", (0.1, 0.25))
    found = augmentation.example(corpus, 0)
    assert len(found.samples) == 4_000
    assert augmentation.example_note(found).endswith("its first 0.25 s are used.")


def test_a_set_without_bona_fide_is_refused(corpus, monkeypatch):
    spoofs = protocol.load_set(corpus, "train").query("key == 'spoof'")
    monkeypatch.setattr(protocol, "load_set", lambda *_: spoofs)
    with pytest.raises(CorpusError, match="none of 4 utterances of train is bonafide"):
        augmentation.example(corpus, 0)


def test_every_step_and_every_algorithm_stands_in_one_group():
    found = augmentation.groups()
    names = [name for steps in found.values() for name in steps]
    assert sorted(names) == sorted([*(set(STEPS) - {"rawboost"}), *(f"rawboost {n}" for n in rawboost.ALGORITHMS)])
    assert set(found["filters"]) == {
        "band_pass", "band_stop", "high_pass", "high_shelf", "low_pass", "low_shelf", "peaking"
    }  # fmt: skip
    assert all(step.p == 1 for steps in found.values() for step in steps.values())


def test_versions_are_drawn_apart_and_repeat_for_a_seed(original):
    steps = {"first": Step("gaussian_noise"), "second": Step("gaussian_noise")}
    first, again = (augmentation.versions(original, steps, seed=5) for _ in range(2))
    assert [version.name for version in first] == ["original", "first", "second"]
    assert first[0].samples is original.samples
    assert first[1].about == "amplitude 0.001 to 0.015"
    assert not np.array_equal(first[1].samples, first[2].samples)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)


def test_draws_are_those_of_the_whole_pipeline_and_say_what_changed(original):
    config = [HALF_GAIN, {"name": "mu_law", "p": 0}, {"chain": [HALF_GAIN]}]
    found = augmentation.draws(original, config, seed=0, n=2)
    assert [(version.name, version.about) for version in found] == [
        ("original", ""), ("draw 1", "gain, part 3"), ("draw 2", "gain, part 3")
    ]  # fmt: skip
    drawn = augmentation.draws(original, PUBLISHED, seed=1, n=6)[1:]
    for epoch, version in enumerate(drawn):
        np.testing.assert_array_equal(version.samples, build(PUBLISHED)(original.samples, epoch, "T_1", 1))
        assert (version.about == "as it was") == np.array_equal(version.samples, original.samples)


@pytest.mark.parametrize(("p", "expected"), [(0, 0), (1, 20)])
def test_draws_that_change_are_counted(original, p, expected):
    assert augmentation.n_changed(original, [{**HALF_GAIN, "p": p}], seed=0, n=20) == expected


def test_versions_become_players_and_panels(tone):
    made = [Version("original", tone), Version("gain", 4 * tone, "gain_db 12")]
    found = augmentation.recordings(made)
    assert list(found) == ["original", "gain: gain_db 12"]
    (coded,) = found["gain: gain_db 12"]
    assert soundfile.read(io.BytesIO(coded))[0].max() == pytest.approx(1, abs=1e-4)
    assert list(augmentation.waveforms(made)) == ["original", "gain"]


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_change_of_level_is_no_distance(tone, factor):
    found = one_fact(tone, np.float32(factor) * tone)
    assert found[LEVEL] == pytest.approx(20 * np.log10(factor))
    assert (found[LENGTH], found["peak"], found[SNR]) == (0, pytest.approx(0.5 * factor), np.inf)


def test_noise_of_a_tenth_lies_20_db_below(tone):
    """A cosine is orthogonal to the tone over whole periods."""
    noise = 0.05 * np.cos(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    found = one_fact(tone, (tone + noise).astype(np.float32))
    assert found[SNR] == pytest.approx(20, abs=1e-3)
    assert found[LEVEL] == pytest.approx(10 * np.log10(1.01), abs=1e-4)


def test_another_length_has_no_snr_and_silence_no_level(tone):
    assert one_fact(tone, tone[160:])[LENGTH] == -10
    assert np.isnan(one_fact(tone, tone[160:])[SNR])
    silent = one_fact(tone, 0 * tone)
    assert (silent[LEVEL], silent[SNR]) == (-np.inf, -np.inf)


def test_a_silent_original_is_refused(tone):
    with pytest.raises(ValueError, match="original: all 16000 samples are zero"):
        one_fact(0 * tone, tone)


def facts(*rows):
    return pd.DataFrame(rows, columns=["step", LENGTH, LEVEL, "peak", SNR])


def test_the_note_reads_the_facts():
    table = facts(("same", 0, 0, 1, np.inf), ("trim", -50, 0.1, 1, np.nan), ("noise", 0, 0.1, 1, -0.2),
                  ("gain", 0, 6, 1, np.inf))  # fmt: skip
    assert augmentation.facts_note(table) == (
        "Nothing was changed by `same`. The length was changed by `trim` (-50 ms). Of the steps that keep the length, "
        "`noise` (SNR 0 dB) goes furthest."
    )
    assert augmentation.facts_note(table.iloc[1:2]) == "The length was changed by `trim` (-50 ms)."


def test_the_published_configuration_as_a_table():
    table = augmentation.configuration("published").set_index("step")
    assert table["part"].tolist() == [1, 2, 3, 4] + 10 * [5]
    assert table.loc["zero_span"].tolist() == [2, "", 30, "share 0.2 to 0.5"]
    # 0.3 of the chain, 0.9 of each group, one of three noises and of seven filters
    assert table.loc["gaussian_snr"].tolist() == [5, "chain, one of 3", pytest.approx(9), "snr_db 5 to 40"]
    assert table.loc["peaking", "probability (%)"] == pytest.approx(27 / 7)


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (Step("mu_law"), "mu 255"),
        (Step("gain", parameters={"gain_db": [-3, 3]}), "gain_db -3 to 3"),
        (Step("codec", parameters={"codecs": ["mp3", "g722"]}), "codecs mp3, g722; bit_rate 4750 to 64000"),
        (Step("rawboost"), "algorithm 5 (lnl_convolutive, isd_additive)"),
        (Step("rawboost", parameters={"algorithm": 3, "parameters": {"n_bands": 2}}),
         "algorithm 3 (ssi_additive); n_bands 2"),
    ],
)  # fmt: skip
def test_values_of_a_step(step, text):
    assert augmentation.values(step) == text


def test_ranges_of_rawboost_stand_in_one_row_each():
    table = augmentation.rawboost_ranges().set_index("parameter")
    assert table.loc["f_hz"].tolist() == ["20", "8000"]
    assert table.loc["snr_db"].tolist() == ["10", "40"]
    assert table.loc["n_f"].tolist() == ["5", "5"]


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (None, "without augmentation"),
        ([], "without augmentation"),
        ("published", "with the pipeline called `published`"),
        ([HALF_GAIN, "mu_law", "gain"], "with a list of its own, of `gain` and `mu_law`"),
    ],
)
def test_what_a_study_trains_with(write_experiment, tmp_path, original, config, text):
    study = write_experiment(tmp_path, training={"augmentation": config})
    assert augmentation.use(study) == text
    table = facts(("same", 0, 0, 1, np.inf), ("noise", 0, 0.1, 1, 12.3), ("gain", 0, 6, 1, np.inf))
    said = augmentation.answer(study, original, table, seed=0)
    assert said.startswith("**Answer.** 2 of 3 augmentations change this utterance, `noise` (SNR 12 dB) most of")
    acts = "; that changes it in 200 of 200 draws" if config == [HALF_GAIN, "mu_law", "gain"] else ""
    assert said.endswith(f"This study trains {text}{acts}.")
