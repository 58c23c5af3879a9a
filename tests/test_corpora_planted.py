import json
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from sslig import audio
from sslig.corpora import planted, protocol, recordings
from sslig.corpora.planted import (
    KINDS,
    Original,
    draw_places,
    fades,
    kind_of,
    noise_floor,
    plan,
    plant,
    truth_cells,
    truth_mask,
)
from sslig.errors import CorpusError
from sslig.frames import SSL_CLOCK
from sslig.stats.metrics import eer

PER_SET = 4
PLACES = [(8_000, 9_600), (16_000, 16_400)]
LONG = Original("train", "T_1", "S1", "F", "nowhere.flac", "r1", 8 * 16_000, ((0.5, 2.5), (3.0, 7.5)))


@pytest.fixture(scope="module")
def speech():
    """(samples,) One and a half seconds of the synthetic voice."""
    return recordings.synthetic(1, 1)[0].sound()[:24_000]


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Four recordings of one voice in each set; cues may lie from 0.2 to 1.4 s."""
    folder = tmp_path_factory.mktemp("originals")
    originals = []
    for recording in recordings.synthetic(n_speakers=3, per_speaker=PER_SET):
        path, sound = folder / f"{recording.id.replace('/', '_')}.flac", recording.sound()
        audio.write_flac(path, sound)
        name = list(protocol.SETS)[int(recording.speaker[-1]) - 1]
        about = (name, path.stem, recording.speaker, recording.gender, str(path), recording.id)
        originals.append(Original(*about, len(sound), ((0.2, 1.4),)))
    return originals


@pytest.fixture(scope="module")
def corpus(originals, tmp_path_factory):
    """A corpus of limited bands."""
    root = tmp_path_factory.mktemp("planted")
    planted.build_planted("band", originals, root, seed=0, workers=1)
    return root


def contents(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def inside(n_samples, places):
    mask = np.zeros(n_samples, dtype=bool)
    for start, stop in places:
        mask[start:stop] = True
    return mask


def twins(root, set_name):
    """(bona fide samples, spoof samples, places of the spoof) of each recording of a set."""
    table = protocol.with_recordings(root, protocol.load_set(root, set_name))
    rows = dict(iter(planted.truth(root, set_name).groupby("utterance")))
    for _, pair in table.groupby("recording"):
        by_key = pair.set_index("key")
        bonafide, spoof = (audio.read(by_key.loc[key, "path"]) for key in ("bonafide", "spoof"))
        yield bonafide, spoof, rows[by_key.loc["spoof", "utterance"]]


class TestCorpus:
    def test_the_layout_is_that_of_asvspoof_5(self, corpus):
        for name in protocol.SETS:
            table = protocol.load_set(corpus, name)
            assert table["key"].value_counts().to_dict() == {"bonafide": PER_SET, "spoof": PER_SET}
            assert set(table["attack"]) == {"-", "band"}
            assert table["utterance"].is_monotonic_increasing

    @pytest.mark.parametrize("kind", KINDS)
    def test_twins_differ_in_the_places_only(self, kind, originals, tmp_path):
        planted.build_planted(kind, originals, tmp_path, seed=0, workers=1)
        for bonafide, spoof, places in twins(tmp_path, "eval"):
            bounds = np.rint(places[["start_s", "end_s"]].to_numpy() * 16_000).astype(int)
            within = inside(len(bonafide), bounds)
            assert np.array_equal(bonafide[~within], spoof[~within])
            assert (bonafide[within] != spoof[within]).mean() > 0.5

    def test_the_bona_fide_is_the_original_after_the_same_coding(self, corpus, originals):
        table = pd.read_csv(corpus / protocol.RECORDINGS, sep="\t").set_index("original")
        for original in originals:
            names = table.loc[[original.utterance], "utterance"]
            rows = protocol.load_set(corpus, original.set).set_index("utterance").loc[names]
            bonafide = audio.read(rows.loc[rows["key"] == "bonafide", "path"].iloc[0])
            assert np.abs(bonafide - audio.read(original.path)).max() <= 1.5 / 32768

    def test_plain_measures_do_not_separate_the_classes(self, corpus):
        pairs = [pair for name in protocol.SETS for pair in twins(corpus, name)]
        for measure in (len, np.std, lambda samples: abs(samples.mean()), lambda samples: samples[:1600].std()):
            bonafide, spoof = (np.array([measure(pair[i]) for pair in pairs], float) for i in (0, 1))
            assert 0.4 <= eer(bonafide, spoof) <= 0.6

    def test_sets_share_no_recording_and_only_spoofs_have_places(self, corpus):
        table = pd.read_csv(corpus / protocol.RECORDINGS, sep="\t")
        assert table.groupby("recording")["utterance"].agg(lambda names: names.str[0].nunique()).eq(1).all()
        assert table.groupby("recording").size().eq(2).all()
        for name in protocol.SETS:
            spoofs = protocol.load_set(corpus, name).query("key == 'spoof'")["utterance"]
            assert sorted(planted.truth(corpus, name)["utterance"].unique()) == sorted(spoofs)

    def test_workers_and_an_interruption_change_nothing(self, originals, corpus, tmp_path):
        shutil.copytree(corpus, tmp_path, dirs_exist_ok=True)
        (tmp_path / "corpus.json").unlink()
        next((tmp_path / "flac_T").iterdir()).unlink()
        planted.build_planted("band", originals, tmp_path, seed=0, workers=2)
        assert contents(tmp_path) == contents(corpus)

    def test_another_severity_changes_the_spoofs(self, originals, corpus, tmp_path):
        shutil.copytree(corpus, tmp_path, dirs_exist_ok=True)
        planted.build_planted("band", originals, tmp_path, severity=6.0, seed=0, workers=1)
        assert json.loads((tmp_path / "corpus.json").read_text())["severity"] == 6.0
        first, second = contents(corpus / "flac_E_eval"), contents(tmp_path / "flac_E_eval")
        assert sum(first[name] != second[name] for name in first) == PER_SET

    def test_recordings_without_room_are_left_out_of_both_classes(self, originals, tmp_path):
        full = [replace(originals[0], stretches_s=()), *originals[1:]]
        planted.build_planted("band", full, tmp_path, seed=0, workers=1)
        summary = json.loads((tmp_path / "corpus.json").read_text())
        assert summary["without_room"] == {"train": 1, "dev": 0, "eval": 0}
        assert protocol.load_set(tmp_path, "train")["key"].value_counts().to_dict() == {"bonafide": 3, "spoof": 3}

    def test_a_corpus_without_places_is_named(self, tmp_path):
        with pytest.raises(CorpusError, match=r"places\.tsv: no such file; only corpora of planted cues"):
            planted.truth(tmp_path, "eval")


def test_a_frame_is_marked_if_it_sees_a_sample_of_a_place():
    rows = pd.DataFrame({"start_s": [400 / 16_000, 2_000 / 16_000], "end_s": [401 / 16_000, 2_960 / 16_000]})
    # Frame t sees samples 320 t to 320 t + 399: sample 400 is past frame 0, and sample 2000 past frame 5.
    assert np.flatnonzero(truth_mask(rows, SSL_CLOCK, 12)).tolist() == [1, 6, 7, 8, 9]
    assert not truth_mask(rows.head(0), SSL_CLOCK, 12).any()


def test_a_cell_is_marked_if_half_of_it_lies_in_a_place():
    rows = pd.DataFrame([(0.05, 0.25, 2_000.0, 4_000.0)], columns=["start_s", "end_s", "low_hz", "high_hz"])
    cells = truth_cells(rows, np.array([0, 0.1, 0.2, 0.3]), np.array([0, 1_000, 3_000, 4_000, 8_000]))
    # Of the cells in time 1/2, 1 and 1/2 lie in the place; in frequency 0, 1/2, 1 and 0.
    assert cells.tolist() == [[False] * 3, [False, True, False], [True] * 3, [False] * 3]
    assert not truth_cells(rows.head(0), np.arange(3.0), np.arange(3.0)).any()


class TestPlaces:
    @staticmethod
    def places_s(kind, original, seed=0):
        places = draw_places(KINDS[kind], original, np.random.default_rng(seed))
        return [(start / 16_000, stop / 16_000) for start, stop in places]

    @pytest.mark.parametrize(("kind", "n"), [("phone_glitch", 16), ("band", 3), ("band_stretch", 3), ("splice", 3)])
    def test_places_lie_within_stretches_at_the_given_rate(self, kind, n):
        places = self.places_s(kind, LONG)
        assert len(places) == n
        shortest, longest = KINDS[kind].duration_s
        for start, stop in places:
            assert any(first <= start and stop <= last for first, last in LONG.stretches_s)
            assert shortest - 1e-4 <= stop - start <= longest + 1e-4
        assert all(after[0] - before[1] >= 0.1 for before, after in pairwise(places))

    def test_pauses_are_taken_whole(self):
        pauses = ((0.5, 0.6), (0.65, 0.7), (1.0, 1.04), (2.0, 2.5))
        assert self.places_s("noise_floor", replace(LONG, stretches_s=pauses)) == [(0.5, 0.6), (2.0, 2.5)]

    def test_boundaries_lie_around_the_ends_of_pauses(self):
        places = self.places_s("boundary", replace(LONG, stretches_s=((1.0, 2.0),)))
        assert np.mean(places, axis=1) == pytest.approx([1.0, 2.0], abs=1e-3)
        assert all(0.02 - 1e-4 <= stop - start <= 0.04 + 1e-4 for start, stop in places)

    @pytest.mark.parametrize(
        ("stretches_s", "n"),
        [
            (((1.0, 1.035),), 1),  # both ends are so near that one place covers them
            (tuple((start / 2, start / 2 + 0.1) for start in range(1, 15)), 28),
            (((0.0, 8.0),), 0),  # a place would leave the recording
        ],
    )
    def test_boundaries_are_planted_wherever_there_is_room(self, stretches_s, n):
        assert len(self.places_s("boundary", replace(LONG, stretches_s=stretches_s))) == n

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_recording_without_room_has_no_place(self, kind):
        assert self.places_s(kind, replace(LONG, stretches_s=())) == []
        short = replace(LONG, stretches_s=((1.0, 1.05),))
        assert (self.places_s(kind, short) == []) == (kind != "boundary")


class TestPlan:
    @staticmethod
    def originals(**changes):
        return [
            replace(LONG, set=name, utterance=f"{name[0].upper()}_{number}", recording=f"{name}{number}", **changes)
            for name in protocol.SETS
            for number in range(3)
        ]

    def test_each_recording_has_a_bona_fide_and_a_spoof_with_the_same_places(self):
        pairs = plan("splice", self.originals(), 1.0, seed=0)
        assert len({twin.utterance for twin in pairs}) == len(pairs) == 18
        for bonafide, spoof in zip(pairs[::2], pairs[1::2], strict=True):
            assert (bonafide.spoof, spoof.spoof) == (False, True)
            assert bonafide.original == spoof.original
            assert bonafide.places == spoof.places
        assert {twin.utterance[0] for twin in pairs if twin.set == "dev"} == {"D"}

    def test_a_plan_depends_on_the_seed_and_not_on_the_order(self):
        originals = self.originals()
        assert plan("splice", originals, 1.0, 0) == plan("splice", originals[::-1], 1.0, 0)
        assert plan("splice", originals, 1.0, 0) != plan("splice", originals, 1.0, 1)

    def test_other_recordings_do_not_move_the_places(self):
        fewer = [original for original in self.originals() if not original.utterance.endswith("2")]
        places = {twin.original.utterance: twin.places for twin in plan("band", self.originals(), 20.0, 0)}
        assert all(places[twin.original.utterance] == twin.places for twin in plan("band", fewer, 20.0, 0))

    def test_a_recording_in_two_sets_is_refused(self):
        with pytest.raises(CorpusError, match="recording r1 is in train and in dev; a recording belongs to one set"):
            plan("band", [LONG, replace(LONG, set="dev", utterance="D_1")], 20.0, 0)

    def test_a_set_without_room_is_refused(self):
        with pytest.raises(CorpusError, match=r"band: none of 3 bona fide recordings of train .*speech of 0.5 s"):
            plan("band", self.originals(stretches_s=()), 20.0, 0)

    @pytest.mark.parametrize("severity", [-0.1, 1.1])
    def test_a_severity_out_of_range_is_refused(self, severity):
        with pytest.raises(CorpusError, match=f"splice: severity {severity}; accepted: 0.0 to 1.0 share of vocoded"):
            plan("splice", self.originals(), severity, 0)


class TestCues:
    @pytest.mark.parametrize("name", KINDS)
    def test_a_cue_changes_its_places_only_and_keeps_their_mean(self, name, speech):
        kind = KINDS[name]
        changed = plant(kind, speech, PLACES, kind.severity, np.random.default_rng(0))
        assert np.array_equal(changed[~inside(len(speech), PLACES)], speech[~inside(len(speech), PLACES)])
        for start, stop in PLACES:
            assert (changed != speech)[start:stop].mean() > 0.9
            assert changed[start:stop].mean() == pytest.approx(speech[start:stop].mean(), abs=1e-7)

    @pytest.mark.parametrize("name", ["phone_glitch", "boundary", "band", "splice"])
    def test_a_place_keeps_its_loudness(self, name, speech):
        changed = plant(KINDS[name], speech, PLACES, KINDS[name].severity, np.random.default_rng(0))
        for start, stop in PLACES:
            before, after = (np.sqrt(np.mean(samples[start:stop] ** 2)) for samples in (speech, changed))
            assert abs(20 * np.log10(after / before)) < 2  # the phases of cross-faded signals do not match

    @pytest.mark.parametrize("name", ["phone_glitch", "boundary", "band_stretch", "splice"])
    def test_a_share_of_0_changes_nothing(self, name, speech):
        assert plant(KINDS[name], speech, PLACES, 0.0, np.random.default_rng(0)) == pytest.approx(speech, abs=1e-6)

    def test_the_noise_has_the_given_level_relative_to_the_recording(self, speech):
        added = noise_floor(speech, PLACES, -18.0, np.random.default_rng(0)) - speech
        level_db = 20 * np.log10(np.sqrt(np.mean(added**2)) / np.sqrt(np.mean(speech.astype(float) ** 2)))
        assert level_db == pytest.approx(-18, abs=1e-4)

    def test_frequencies_below_1_khz_are_attenuated_by_the_severity(self):
        time_s = np.arange(16_000) / 16_000
        low, high = np.sin(2 * np.pi * 300 * time_s), np.sin(2 * np.pi * 4_000 * time_s)
        middle = slice(2_000, -2_000)
        changed = plant(KINDS["band"], low + high, [(0, 16_000)], 20.0, np.random.default_rng(0))[middle]
        amplitude = [2 * np.abs(np.mean(changed * tone[middle])) for tone in (low, high)]
        assert 20 * np.log10(amplitude[0] / amplitude[1]) == pytest.approx(-20, abs=0.1)
        assert changed.std() == pytest.approx(1, rel=0.01)

    def test_a_band_in_a_stretch_is_steady_noise_of_the_same_power_and_the_rest_stays(self, speech):
        place = slice(8_000, 16_000)
        changed = KINDS["band_stretch"].change(speech, [(8_000, 16_000)], 1.0, np.random.default_rng(0))
        before, after = (np.abs(np.fft.rfft(samples[place] * np.hanning(8_000))) ** 2 for samples in (speech, changed))
        frequency_hz = np.fft.rfftfreq(8_000, 1 / 16_000)
        inside, outside = (
            (frequency_hz > 2_000) & (frequency_hz < 4_000),
            (frequency_hz < 1_600) | (frequency_hz > 4_500),
        )
        assert after[outside].sum() == pytest.approx(before[outside].sum(), rel=0.01)
        assert 0.5 < after[inside].sum() / before[inside].sum() < 2

    def test_the_truth_lies_in_the_band_of_the_kind(self, corpus):
        bounds = planted.truth(corpus, "eval")[["low_hz", "high_hz"]].drop_duplicates()
        assert bounds.to_numpy().tolist() == [list(KINDS["band"].band_hz)] == [[1_000, 8_000]]

    def test_a_flat_spectrum_has_equal_magnitudes(self, speech):
        changed = KINDS["boundary"].change(speech, [(8_000, 8_401)], 1.0, np.random.default_rng(0))
        size = np.abs(np.fft.rfft(changed[8_000:8_401]))[1:]  # of an odd length, only the mean has no phase to turn
        assert size == pytest.approx(np.full(200, size.mean()), rel=1e-3)

    def test_an_unknown_kind_is_refused(self):
        with pytest.raises(CorpusError, match="no kind of planted cue 'click'; accepted: noise_floor, phone_glitch"):
            kind_of("click")


class TestFades:
    def test_the_share_rises_and_falls_within_the_place(self):
        share = fades(1000, [(100, 900)])
        assert not share[:100].any()
        assert not share[900:].any()
        assert (share[180:820] == 1).all()  # 5 ms are 80 samples
        assert share[100:180] == pytest.approx((1 - np.cos(np.pi * (np.arange(80) + 0.5) / 80)) / 2)
        assert share[100:900] == pytest.approx(share[100:900][::-1])

    def test_a_short_place_is_faded_over_a_quarter_at_each_end(self):
        share = fades(100, [(20, 60)])
        assert (share[30:50] == 1).all()
        assert (share[20:30] < 1).all()
