import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sslig.cues.evidence import contribution_table, correlation_table, loudness
from sslig.errors import DataError
from sslig.frames import SSL_CLOCK

FEW = {"seed": 0, "rounds": 50, "recordings": False}
PAUSES = {"a": {"pause": np.array([1, 0, 0], bool)}, "b": {"pause": np.array([1, 1, 0, 0, 0, 0], bool)}}


def explained(*rows):
    """Attributions of one detector from (utterance, key, speaker, by_frame)."""
    table = pd.DataFrame(rows, columns=["utterance", "key", "speaker", "by_frame"])
    frames = [np.array(frames, float) for frames in table["by_frame"]]
    return table.assign(detector="d", recording=table["utterance"], by_frame=frames)


@pytest.fixture
def table():
    return explained(("a", "spoof", "s", [4, 1, 1]), ("b", "spoof", "t", [100, 0, 100, 100, 0, -100]))


def test_a_quarter_of_time_with_half_of_the_evidence_counts_twice():
    table = explained(("a", "spoof", "s", [3.0, -1.0, 2.0, 0.0]))
    (row,) = contribution_table(table, {"a": {"pause": np.arange(4) < 1}}, **FEW).to_dict("records")
    assert (row["share_of_time"], row["share"], row["relative"]) == pytest.approx((1 / 4, 1 / 2, 2))


def test_frames_are_pooled_with_each_utterance_at_its_mean_size(table):
    """Scaled sizes are 2, .5, .5 and 1.5, 0, 1.5, 1.5, 0, 1.5: 3.5 of 9 in 3 of 9 frames."""
    row = contribution_table(table, PAUSES, **FEW).iloc[0]
    assert row[["share_of_time", "share", "relative"]].tolist() == pytest.approx([3 / 9, 3.5 / 9, 3.5 / 3])
    assert row[["n", "n_with"]].tolist() == [2, 2]


def test_a_segment_with_more_than_its_share_is_significant(rng):
    rows, segments = [], {}
    for number in range(48):
        pause = rng.random(200) < 0.3
        segments[f"u{number}"] = {"pause": pause, "rest": ~pause, "none": np.zeros(200, bool)}
        frames = rng.standard_normal(200) * np.where(pause, 2, 1)
        rows.append((f"u{number}", ("bonafide", "spoof")[number % 2], f"s{number // 2}", frames))
    result = contribution_table(explained(*rows), segments, seed=0, rounds=1000, recordings=False)
    assert result.groupby("key").size().to_dict() == {"bonafide": 3, "spoof": 3}
    result = result.set_index(["key", "segment"])
    for key in ("bonafide", "spoof"):
        pause, rest, none = (result.loc[(key, name)] for name in ("pause", "rest", "none"))
        assert pause["relative"] == pytest.approx(2 / 1.3, abs=0.12)
        assert 1 < pause["low"] < pause["relative"] < pause["high"]
        assert pause["p_holm"] < 0.05
        assert rest["relative"] == pytest.approx(1 / 1.3, abs=0.06)
        assert (none["share_of_time"], none["share"], none["n_with"]) == (0, 0, 0)
        assert none[["relative", "low", "high", "p", "p_holm"]].isna().all()


def test_utterances_without_evidence_or_segment_are_pooled():
    silent = explained(("a", "spoof", "s", [0, 0, 0]), ("b", "spoof", "t", [1, 0, 0, 0, 0, 1]))
    assert contribution_table(silent, PAUSES, **FEW)["relative"][0] == pytest.approx((1 / 2) / (3 / 9))
    without = PAUSES | {"a": {"pause": np.zeros(3, bool)}}
    assert contribution_table(silent, without, **FEW)[["n", "n_with"]].to_numpy().tolist() == [[2, 1]]


def test_frames_after_the_attribution_are_ignored(table):
    longer = {name: {"pause": np.append(of["pause"], [True, True])} for name, of in PAUSES.items()}
    pd.testing.assert_frame_equal(contribution_table(table, longer, **FEW), contribution_table(table, PAUSES, **FEW))


def test_few_speakers_decide_nothing(table):
    row = contribution_table(table, PAUSES, **FEW).iloc[0]
    assert row["relative"] == pytest.approx(3.5 / 3)
    assert row[["low", "high", "p", "p_holm"]].isna().all()


@pytest.mark.parametrize("segment", [np.ones(3, bool), np.array([1, 1, 1, 1, 1, np.nan])])
def test_unfit_segments_are_refused(table, segment):
    with pytest.raises(DataError, match=r"shape \(6,\) and track of shape"):
        contribution_table(table, PAUSES | {"b": {"pause": segment}}, **FEW)


@pytest.fixture
def followed(rng):
    """30 utterances: the attributions of bona fide follow the track `loud`, those of spoofs follow nothing."""
    rows, tracks = [], {}
    for number in range(30):
        utterance, key = f"u{number:02d}", ("bonafide", "spoof")[number % 2]
        tracks[utterance] = {"loud": rng.standard_normal(60), "flat": np.ones(60)}
        noise = rng.standard_normal(60)
        frames = -2 * tracks[utterance]["loud"] + noise if key == "bonafide" else noise
        about = {"utterance": utterance, "key": key, "speaker": number // 4, "recording": number}
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
def test_a_followed_track_differs_from_chance(followed, recordings):
    result = correlation_table(*followed, seed=0, rounds=300, recordings=recordings)
    assert len(result) == 2 * 2 * 2
    result = result.set_index(["key", "track", "evidence"])
    row = result.loc[("bonafide", "loud", "signed")]
    assert row["r"] == pytest.approx(-2 / np.sqrt(5), abs=0.07)
    assert row["low"] < row["r"] < row["high"] < row["null_low"]
    assert row["p_shift"] == pytest.approx(1 / 301)
    assert row["excess"] == pytest.approx(row["r"] - row["swapped"])
    assert row["p"] == max(row["p_shift"], row["p_swap"])
    assert row["p_holm"] < 0.05
    assert result.loc[("spoof", "loud", "signed"), "p_holm"] > 0.05
    flat = result.xs("flat", level="track")
    assert flat[["n", "n_undefined"]].to_numpy().tolist() == [[0, 15]] * 4
    assert flat[["r", "p", "p_holm"]].isna().all(axis=None)


def test_r_is_the_mean_rank_correlation(followed):
    table, tracks = followed
    result = correlation_table(table, tracks, seed=0, rounds=20, recordings=True)
    result = result.set_index(["key", "track", "evidence"])["r"]
    spoofs = table[table["key"] == "spoof"]
    for evidence, of_frames in {"size": np.abs, "signed": np.asarray}.items():
        each = [
            stats.spearmanr(of_frames(row.by_frame), tracks[row.utterance]["loud"])[0] for row in spoofs.itertuples()
        ]
        assert result[("spoof", "loud", evidence)] == pytest.approx(np.mean(each))


def test_chance_of_a_mean_is_narrower_than_of_one_utterance(followed):
    """The mean of n independent correlations, each with variance 1 / T, has variance 1 / (n T)."""
    table, tracks = followed
    result = correlation_table(table, tracks, seed=0, rounds=2000, recordings=True)
    row = result.set_index(["key", "track", "evidence"]).loc[("spoof", "loud", "signed")]
    assert row["null_high"] - row["null_low"] == pytest.approx(2 * 1.96 / np.sqrt(15 * 60), rel=0.15)


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
    assert (result.loc[result["evidence"] == "signed", "p_shift"] < 0.05).mean() < 0.12
    assert result[["swapped", "p_swap", "p"]].isna().all(axis=None)  # one utterance has nothing to swap with


def test_a_map_of_position_alone_follows_no_track(rng):
    """Loudness that begins and ends low: shifts call a map of position significant, swapped utterances do not."""
    rows, tracks = [], {}
    for number in range(24):
        n_frames = 80 + 5 * (number % 5)
        arch = np.sin(np.pi * (np.arange(n_frames) + 0.5) / n_frames)
        tracks[f"u{number}"] = {"loud": arch + 0.3 * rng.standard_normal(n_frames)}
        about = {"utterance": f"u{number}", "key": "spoof", "speaker": f"s{number // 3}", "recording": number}
        rows.append(about | {"detector": "d", "by_frame": arch + 0.3 * rng.standard_normal(n_frames)})
    result = correlation_table(pd.DataFrame(rows), tracks, seed=0, rounds=500, recordings=True)
    row = result.set_index("evidence").loc["signed"]
    assert row["r"] > 0.5
    assert row["p_shift"] < 0.01
    assert row["swapped"] == pytest.approx(row["r"], abs=0.05)
    assert row["p"] > 0.05
