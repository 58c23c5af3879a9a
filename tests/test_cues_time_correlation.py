import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sslig.cues.time_correlation import correlation_table, loudness
from sslig.errors import DataError
from sslig.frames import SSL_CLOCK


@pytest.fixture
def explained(rng):
    """20 utterances: the attributions of bona fide follow the track `loud`, those of spoofs follow nothing."""
    rows, tracks = [], {}
    for number in range(20):
        utterance, key = f"u{number:02d}", ("bonafide", "spoof")[number % 2]
        tracks[utterance] = {"loud": rng.standard_normal(60), "flat": np.ones(60)}
        noise = rng.standard_normal(60)
        frames = -2 * tracks[utterance]["loud"] + noise if key == "bonafide" else noise
        about = {"utterance": utterance, "key": key, "speaker": number // 4, "recording": number // 2}
        rows.append(about | {"detector": "d", "by_frame": frames})
    return pd.DataFrame(rows), tracks


def test_loudness_is_the_rms_within_the_receptive_field(rng):
    samples = rng.standard_normal(2_000).astype(np.float32)
    track = loudness(samples, SSL_CLOCK)
    assert track.shape == (SSL_CLOCK.n_frames(2_000),)
    expected = [np.sqrt(np.mean(samples[320 * t : 320 * t + 400] ** 2)) for t in range(len(track))]
    np.testing.assert_allclose(track, expected, rtol=1e-5)
    assert loudness(np.zeros(100), SSL_CLOCK).shape == (0,)


@pytest.mark.parametrize("recordings", [False, True])
def test_a_followed_track_differs_from_chance(explained, recordings):
    result = correlation_table(*explained, seed=0, rounds=300, recordings=recordings)
    assert len(result) == 2 * 2 * 2
    result = result.set_index(["key", "track", "evidence"])
    row = result.loc[("bonafide", "loud", "signed")]
    assert row["r"] == pytest.approx(-2 / np.sqrt(5), abs=0.07)
    assert row["low"] < row["r"] < row["high"] < row["null_low"]
    assert row["p"] == pytest.approx(1 / 301)
    assert row["p_holm"] < 0.05
    assert result.loc[("spoof", "loud", "signed"), "p_holm"] > 0.05
    flat = result.xs("flat", level="track")
    assert flat[["n", "n_undefined"]].to_numpy().tolist() == [[0, 10]] * 4
    assert flat[["r", "p", "p_holm"]].isna().all(axis=None)


def test_r_is_the_mean_rank_correlation(explained):
    table, tracks = explained
    result = correlation_table(table, tracks, seed=0, rounds=20, recordings=True)
    result = result.set_index(["key", "track", "evidence"])["r"]
    spoofs = table[table["key"] == "spoof"]
    for evidence, of_frames in {"size": np.abs, "signed": np.asarray}.items():
        each = [
            stats.spearmanr(of_frames(row.by_frame), tracks[row.utterance]["loud"])[0] for row in spoofs.itertuples()
        ]
        assert result[("spoof", "loud", evidence)] == pytest.approx(np.mean(each))


def test_chance_of_a_mean_is_narrower_than_of_one_utterance(explained):
    """The mean of n independent correlations, each with variance 1 / T, has variance 1 / (n T)."""
    table, tracks = explained
    row = (
        correlation_table(table, tracks, seed=0, rounds=2000, recordings=True)
        .set_index(["key", "track", "evidence"])
        .loc[("spoof", "loud", "signed")]
    )
    assert row["null_high"] - row["null_low"] == pytest.approx(2 * 1.96 / np.sqrt(10 * 60), rel=0.15)


def test_slow_unrelated_tracks_are_not_significant():
    """An ordinary test calls most pairs of random walks correlated; shifts do not."""
    generator, rows, tracks = np.random.default_rng(5), [], {}
    for number in range(100):
        pair = np.cumsum(generator.standard_normal((2, 300)), axis=1)
        pair -= np.linspace(0, 1, 300) * (pair[:, -1:] - pair[:, :1])  # both ends meet
        tracks[f"u{number}"] = {"walk": pair[1]}
        rows.append({"detector": f"d{number}", "key": "spoof", "utterance": f"u{number}", "by_frame": pair[0]})
    table = pd.DataFrame(rows).assign(speaker="s")
    ordinary = np.mean(
        [stats.spearmanr(row.by_frame, tracks[row.utterance]["walk"])[1] < 0.05 for row in table.itertuples()]
    )
    result = correlation_table(table, tracks, seed=0, rounds=200, recordings=False)
    assert ordinary > 0.6
    assert (result.loc[result["evidence"] == "signed", "p"] < 0.05).mean() < 0.12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table, tracks: (table.drop(columns="recording"), tracks), r"columns \['recording'\] are missing"),
        (lambda table, tracks: (table, tracks | {"u03": {"loud": np.ones(60)}}), r"u03 has tracks \['loud'\]"),
        (
            lambda table, tracks: (table, {name: dict.fromkeys(of, np.ones(59)) for name, of in tracks.items()}),
            r"\(60,\) and track of shape \(59,\)",
        ),
    ],
)
def test_unfit_tracks_are_refused(explained, change, message):
    with pytest.raises(DataError, match=message):
        correlation_table(*change(*explained), seed=0, rounds=5, recordings=True)
