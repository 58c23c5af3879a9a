import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sslig.cues.contribution import ContributionError
from sslig.cues.time_correlation import correlation_table, loudness, time_correlation
from sslig.frames import SSL_CLOCK

METHOD = {"pearson": stats.pearsonr, "spearman": stats.spearmanr}


@pytest.mark.parametrize("method", METHOD)
def test_all_shifts_are_what_a_loop_finds(rng, method):
    attribution, track = rng.standard_normal(40), rng.integers(4, size=40).astype(float)
    loop = np.array([METHOD[method](attribution, np.roll(track, shift))[0] for shift in range(40)])
    found = time_correlation(attribution, track, method)
    assert found.r == pytest.approx(loop[0])
    assert (found.null_low, found.null_high) == pytest.approx(tuple(np.quantile(loop, [0.025, 0.975])))
    assert found.p == pytest.approx(np.mean(np.abs(loop) >= abs(loop[0]) - 1e-9))
    assert found.n_frames == 40


def test_a_track_follows_itself_and_no_shift_of_it():
    track = np.arange(50.0) ** 2
    found = time_correlation(track, 3 * track + 1)
    assert found.r == pytest.approx(1)
    assert found.p == pytest.approx(1 / 50)
    assert time_correlation(-track, track).r == pytest.approx(-1)


def test_slow_tracks_that_have_nothing_in_common_are_not_significant():
    """Random walks correlate by chance; an ordinary test calls most of them significant, shifts do not."""
    generator = np.random.default_rng(5)
    pairs = [np.cumsum(generator.standard_normal((2, 300)), axis=1) for _ in range(100)]
    pairs = [pair - np.linspace(0, 1, 300) * (pair[:, -1:] - pair[:, :1]) for pair in pairs]  # ends meet
    ordinary = np.mean([stats.pearsonr(*pair)[1] < 0.05 for pair in pairs])
    shifted = np.mean([time_correlation(*pair).p < 0.05 for pair in pairs])
    assert ordinary > 0.6
    assert shifted < 0.12


@pytest.mark.parametrize("pair", [(np.ones(5), np.arange(5.0)), (np.arange(5.0), np.full(5, 0.1)), ([1.0], [2.0])])
@pytest.mark.parametrize("method", METHOD)
def test_what_does_not_vary_has_no_correlation(pair, method):
    found = time_correlation(*map(np.asarray, pair), method)
    assert np.isnan(found[:4]).all()
    assert found.n_frames == len(pair[0])


@pytest.mark.parametrize(
    ("pair", "method", "message"),
    [
        ((np.ones(3), np.ones(4)), "pearson", r"attribution of shape \(3,\) and track of shape \(4,\)"),
        ((np.ones(0), np.ones(0)), "pearson", "one axis of the same frames"),
        ((np.ones(3), np.array([1, np.nan, 2])), "pearson", "NaN or infinite"),
        ((np.ones(3), np.ones(3)), "kendall", "'kendall'; accepted: pearson, spearman"),
    ],
)
def test_tracks_that_do_not_fit_are_refused(pair, method, message):
    with pytest.raises(ContributionError, match=message):
        time_correlation(*pair, method)


def test_loudness_is_the_rms_of_what_a_frame_sees(rng):
    samples = rng.standard_normal(2_000).astype(np.float32)
    found = loudness(samples, SSL_CLOCK)
    assert found.shape == (SSL_CLOCK.n_frames(2_000),)
    expected = [np.sqrt(np.mean(samples[320 * t : 320 * t + 400] ** 2)) for t in range(len(found))]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert loudness(np.zeros(100), SSL_CLOCK).shape == (0,)


@pytest.fixture
def explained(rng):
    """20 utterances: the attributions of bona fide follow the track `loud`, those of spoofs follow nothing."""
    rows, tracks = [], {}
    for number in range(20):
        utterance, key = f"u{number:02d}", ("bonafide", "spoof")[number % 2]
        tracks[utterance] = {"loud": rng.standard_normal(60), "flat": np.ones(60)}
        noise = rng.standard_normal(60)
        attribution = -2 * tracks[utterance]["loud"] + noise if key == "bonafide" else noise
        rows.append({"detector": "d", "utterance": utterance, "key": key, "speaker": number // 4,
                     "recording": number // 2, "by_frame": attribution})  # fmt: skip
    return pd.DataFrame(rows), tracks


@pytest.mark.parametrize("resample_recordings", [False, True])
def test_what_follows_is_told_from_chance(explained, resample_recordings):
    found = correlation_table(*explained, seed=0, rounds=300, resample_recordings=resample_recordings)
    assert len(found) == 2 * 2 * 2 * 2
    found = found.set_index(["key", "track", "evidence", "method"])
    follows = found.loc[("bonafide", "loud", "signed", "pearson")]
    assert follows["r"] == pytest.approx(-2 / np.sqrt(5), abs=0.06)
    assert follows["low"] < follows["r"] < follows["high"] < follows["null_low"]
    assert follows["p"] == pytest.approx(1 / 301)
    assert follows["p_holm"] < 0.05
    assert found.loc[("spoof", "loud", "signed", "pearson"), "p_holm"] > 0.05
    flat = found.xs("flat", level="track")
    assert flat[["n", "n_undefined"]].to_numpy().tolist() == [[0, 10]] * 8
    assert flat[["r", "p", "p_holm"]].isna().all(axis=None)


def test_chance_of_a_mean_is_narrower_than_of_one(explained):
    """The mean of n independent correlations, each of variance 1 / T, has variance 1 / (n T)."""
    table, tracks = explained
    spoof = table[table["key"] == "spoof"]
    row = correlation_table(spoof, tracks, seed=0, rounds=2000, resample_recordings=True).iloc[0]
    assert row["null_high"] - row["null_low"] == pytest.approx(2 * 1.96 / np.sqrt(10 * 60), rel=0.15)


def test_utterances_of_one_speaker_have_no_correlation_but_counts(explained):
    table, tracks = explained
    found = correlation_table(table.assign(speaker="s"), tracks, seed=0, rounds=9, resample_recordings=False)
    loud = found[found["track"] == "loud"]
    assert loud[["n", "n_undefined"]].to_numpy().tolist() == [[10, 0]] * 8
    assert loud[["r", "low", "null_low", "p", "p_holm"]].isna().all(axis=None)


def test_groups_are_made_of_the_columns_named(explained):
    table, tracks = explained
    table["reason"] = ["right", "right", "wrong", "wrong"] * 5
    options = {"seed": 0, "rounds": 5, "resample_recordings": True}
    found = correlation_table(table, tracks, ["reason"], ["size"], **options)
    assert found["reason"].unique().tolist() == ["right", "wrong"]
    assert (found["evidence"] == "size").all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, t: (a.drop(columns="recording"), t), r"columns \['recording'\] are missing"),
        (lambda a, t: (a[:0], t), "of 0 attributions"),
        (lambda a, t: (a, t | {"u03": {"loud": np.ones(60)}}), r"u03 has tracks \['loud'\], others \['loud', 'flat'\]"),
        (lambda a, t: (a, {}), r"u00 has tracks \[\]"),
        (
            lambda a, t: (a, t | {"u03": {"loud": np.ones(60), "flat": np.ones(59)}}),
            r"u03, flat: .*\(60,\) and .*\(59,\)",
        ),
    ],
)
def test_tables_that_do_not_fit_are_refused(explained, change, message):
    with pytest.raises(ContributionError, match=message):
        correlation_table(*change(*explained), seed=0, rounds=5, resample_recordings=True)
