"""Maps whose place is known: what each measure gives in closed form, and that a map that knows nothing is at chance."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from sslig.attribution.baselines import Baseline
from sslig.attribution.context import Context, Draw
from sslig.attribution.methods import explain_head
from sslig.attribution.target import SPACES
from sslig.frames import SSL_CLOCK
from sslig.validation.localisation import WEIGHTS, feature_change, over_shifts, plain_maps, rows
from sslig.validation.statistics import LOCALISATION

TRUTH = np.array([False, False, True, True, False, False, False, False, False, False])
FRAMES = np.array([1.0, 0.0, 3.0, 2.0, -5.0, 2.0, 0.0, 0.0, 0.0, 0.0])


def measures(frames, truth):
    return {name: values[0] for name, values in over_shifts(frames, truth).items()}


def test_measures_of_a_map_by_hand():
    """5 of 8 of the positive evidence in 2 of 10 frames; one of the top two for sure, the other ties with one outside;
    of 16 pairs the 3 wins all 8, the 2 wins 7 and ties one."""
    assert set(WEIGHTS) == set(LOCALISATION)
    assert measures(FRAMES, TRUTH) == pytest.approx(
        {
            "relevance_mass": 5 / 8,
            "relevance_rank": (1 + 1 / 2) / 2,
            "pointing_20ms": 1,
            "pointing_100ms": 1,
            "roc_auc": 15.5 / 16,
            "evidence_ratio": 5 / 8 / 0.2,
            "skill": ((2 * 15.5 / 16 - 1) + (5 / 8 - 0.2) / 0.8) / 2,
        }
    )


@pytest.mark.parametrize(
    ("peak", "ms_20", "ms_100"), [(2, 1, 1), (3, 1, 1), (4, 1, 1), (1, 1, 1), (5, 0, 1), (8, 0, 1), (9, 0, 0)]
)
def test_a_peak_near_the_place_hits_it(peak, ms_20, ms_100):
    """A frame is 20 ms: one frame away is within the first tolerance, five are within the second."""
    values = measures(np.eye(10)[peak], TRUTH)
    assert (values["pointing_20ms"], values["pointing_100ms"]) == (ms_20, ms_100)


@pytest.mark.parametrize("seed", range(5))
def test_measures_agree_with_others_and_with_shifting_by_hand(seed):
    generator = np.random.default_rng(seed)
    frames, truth = generator.normal(size=37).round(1), np.zeros(37, dtype=bool)  # rounding makes ties
    truth[5:12], truth[20:22] = True, True
    shifted = over_shifts(frames, truth)
    assert shifted["roc_auc"][0] == pytest.approx(roc_auc_score(truth, frames))
    for shift in range(37):
        by_hand = measures(np.roll(frames, shift), truth)
        assert {name: values[shift] for name, values in shifted.items()} == pytest.approx(by_hand, abs=1e-12)


def test_chance_is_exact():
    """Over all shifts: the share of time, 1 for the ratio, 1/2 for the area, and the widened place for the peak."""
    frames, truth = np.random.default_rng(0).normal(size=50), np.arange(50) < 8
    expected = dict(zip(LOCALISATION, [0.5, 8 / 50, 8 / 50, 9 / 50, 13 / 50, 1, 0], strict=True))
    assert {row["statistic"]: row["chance"] for row in rows(frames, truth)} == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_cells_are_shifted_in_time_and_in_frequency(seed):
    generator = np.random.default_rng(seed)
    cells, truth = generator.normal(size=(4, 9)).round(1), np.zeros((4, 9), dtype=bool)
    truth[1:3, 2:5] = True
    shifted = over_shifts(cells, truth, hop_s=0.1)
    assert shifted["roc_auc"][0] == pytest.approx(roc_auc_score(truth.ravel(), cells.ravel()))
    for number, (bands, times) in enumerate(np.ndindex(4, 9)):
        by_hand = over_shifts(np.roll(cells, (bands, times), axis=(0, 1)), truth, hop_s=0.1)
        assert {name: values[number] for name, values in shifted.items()} == pytest.approx(
            {name: values[0] for name, values in by_hand.items()}, abs=1e-12
        )
    chance = {name: values.mean() for name, values in shifted.items()}
    share = 6 / 36  # within 100 ms is one more cell at each end, and within 20 ms none
    expected = [0.5, share, share, share, 10 / 36, 1, 0]
    assert chance == pytest.approx(dict(zip(LOCALISATION, expected, strict=True)), abs=1e-12)


def test_a_perfect_map_beats_all_shifts():
    table = {row["statistic"]: row for row in rows(TRUTH.astype(float), TRUTH)}
    values = {name: row["value"] for name, row in table.items()}
    assert values == pytest.approx(dict.fromkeys(LOCALISATION, 1) | {"evidence_ratio": 5})
    assert table["relevance_mass"]["beaten"] == (9 + 0.5) / 10  # all shifts but none
    assert table["relevance_mass"]["draws"] == 10


def test_a_map_without_evidence_for_spoof_has_no_mass_and_still_a_rank():
    table = {row["statistic"]: row for row in rows(-1.0 - TRUTH, TRUTH)}
    assert np.isnan(table["relevance_mass"]["value"])
    assert np.isnan(table["evidence_ratio"]["chance"])
    assert table["roc_auc"]["value"] == table["relevance_rank"]["value"] == 0
    assert table["skill"]["value"] == pytest.approx((-1 - 0.2 / 0.8) / 2)


def test_a_flat_map_is_at_chance():
    for row in rows(np.ones(10), TRUTH):
        assert row["value"] == pytest.approx(row["chance"], abs=1e-12)
        assert row["beaten"] == 0.5


class Placed(torch.nn.Module):
    """A detector whose evidence lies in frames 6 to 9 by construction: 4 more of them, each through a tanh."""

    def forward(self, x):
        return torch.tanh(x[:, :, 6:10]).sum(dim=(1, 2, 3))


METHODS = [
    *("ig", "ig(baseline=zero)", "expected_gradients(draws=2)", "gradient_x_input", "smoothgrad_ig"),
    *("gradient_shap(samples=16, draws=2)", "occlusion(width_ms=20, stride_ms=20)"),
]


@pytest.mark.parametrize("spec", METHODS)
@pytest.mark.parametrize("aggregation", ["signed", "absolute", "l2"])
def test_evidence_fixed_by_construction_is_found_whole(spec, aggregation):
    features = 0.5 + torch.rand(1, 2, 20, 3, generator=torch.Generator().manual_seed(0))
    inputs = {label: dict.fromkeys(SPACES, -torch.ones(2, 20, 3) * (0.1 + 0.1 * label)) for label in (0, 1)}
    start = Baseline("bonafide_mean", torch.zeros(2, 3), {}, torch.zeros(2, 3))
    context = Context({"bonafide_mean": start}, tuple(Draw(label, each) for label, each in inputs.items()))
    frames = explain_head(spec, Placed(), features, context).frames(aggregation)
    values = measures(frames, (np.arange(20) >= 6) & (np.arange(20) < 10))
    assert values == pytest.approx(dict.fromkeys(LOCALISATION, 1) | {"evidence_ratio": 5}, abs=1e-12)


def test_noise_finds_the_place_no_better_than_chance():
    """The `random` method over 200 utterances: the interval of the mean advantage holds 0."""
    truth, context, features = np.arange(40) < 10, Context({}), torch.zeros(1, 2, 40, 3)
    maps = [explain_head("random", Placed(), features, context.of(str(number))).by_frame for number in range(200)]
    table = pd.DataFrame([row for frames in maps for row in rows(frames, truth)])
    difference = (table["value"] - table["chance"]).groupby(table["statistic"])
    assert (difference.mean().abs() < 3 * difference.std() / np.sqrt(200)).all()


@pytest.fixture
def waveform():
    """(1, samples) 50 frames: a tone in the second half."""
    samples = 0.001 * np.random.default_rng(0).standard_normal(SSL_CLOCK.n_samples(50))
    samples[8_000:] += 0.3 * np.sin(2 * np.pi * 300 * np.arange(len(samples) - 8_000) / 16_000)
    return torch.from_numpy(samples.astype(np.float32)).unsqueeze(0)


def test_energy_is_where_the_sound_is_and_non_speech_where_speech_is_not(waveform, tiny_detector):
    maps = plain_maps(tiny_detector("sls").head, torch.zeros(1, 3, 50, 16), waveform, SSL_CLOCK)
    assert set(maps) == {"energy", "voice_activity", "non_speech"}
    assert maps["energy"][:24].max() < 1e-4
    assert maps["energy"][26:] == pytest.approx(0.045, rel=0.05)  # half the square of the amplitude
    assert (maps["voice_activity"] + maps["non_speech"] == 1).all()
    assert set(np.unique(maps["voice_activity"])) <= {0, 1}


def test_attention_of_the_head_that_has_it(waveform, tiny_detector):
    features = torch.randn(1, 3, 50, 16, generator=torch.Generator().manual_seed(0))
    head = tiny_detector("camhfa").head
    attention = plain_maps(head, features, waveform, SSL_CLOCK)["attention"]
    assert attention == pytest.approx(head.attention(features)[0].mean(dim=0).detach().numpy(), rel=1e-5)
    assert attention.sum() == pytest.approx(1)
    assert "attention" not in plain_maps(tiny_detector("aasist").head, features, waveform, SSL_CLOCK)


def test_the_change_of_features_lies_where_they_changed():
    features = torch.zeros(1, 2, 4, 3)
    twin = features.clone()
    twin[0, :, 2] = 2.0
    assert feature_change(features, twin).tolist() == pytest.approx([0, 0, np.sqrt(24), 0])
