"""Each step of augmentation does what its name says, keeps type and length, and leaves its input unchanged."""

import audiomentations
import librosa
import numpy as np
import pytest
from scipy.signal import correlate, welch
from scipy.stats import ks_2samp

from sslig.corpora import recordings
from sslig.corpora.codecs import AMR_NB, transcode
from sslig.data import distortions
from sslig.data.distortions import ARGUMENTS, CHANGE_LENGTH, FILTERS, STEPS, check, defaults
from sslig.errors import StudyError

SPEECH = (0.5 * recordings.synthetic(1, 1)[0].sound()).astype(np.float32)
SIGNALS = {"speech": SPEECH, "loud": 3 * SPEECH, "silence": np.zeros(4_000, np.float32), "short": SPEECH[:50]}


def power(samples):
    return np.mean(samples.astype(np.float64) ** 2)


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("name", STEPS)
def test_a_step_keeps_type_length_and_input(name, signal):
    samples = SIGNALS[signal].copy()
    changed, again = (STEPS[name](samples, np.random.default_rng(4)) for _ in range(2))
    assert changed.dtype == np.float32
    assert changed.shape == samples.shape or name in CHANGE_LENGTH
    assert changed.size
    assert np.isfinite(changed).all()
    assert np.array_equal(changed, again)
    assert np.array_equal(samples, SIGNALS[signal])


def test_leading_silence_goes_and_the_rest_stays(rng, tone):
    silence = 1e-4 * rng.standard_normal(8_000).astype(np.float32)
    trimmed = distortions.trim_leading_silence(np.concatenate([silence, tone, silence]), rng)
    # A frame of 320 samples reaches over the onset by less than its length.
    assert 24_000 <= len(trimmed) < 24_320
    assert np.array_equal(trimmed[-24_000:], np.concatenate([tone, silence]))
    assert len(distortions.trim_leading_silence(np.zeros(4_000, np.float32), rng)) == 4_000


def test_a_span_of_the_drawn_share_is_zeroed_anywhere(rng):
    ones, spans = np.ones(1_000, np.float32), []
    for _ in range(400):
        zeros = np.flatnonzero(distortions.zero_span(ones, rng) == 0)
        assert np.array_equal(zeros, np.arange(zeros[0], zeros[-1] + 1))
        spans.append((zeros[0], len(zeros)))
    starts, lengths = np.transpose(spans)
    assert 200 <= lengths.min() < 210
    assert 490 < lengths.max() <= 500
    assert starts.min() < 20
    assert (starts + lengths).max() > 980


@pytest.mark.parametrize("mu", [255, 15])
def test_mu_law_is_that_of_librosa(mu, rng):
    samples = np.concatenate([SPEECH, [-1.0, 0.0, 1.0]]).astype(np.float32)
    expected = librosa.mu_expand(librosa.mu_compress(samples, mu=mu, quantize=True), mu=mu, quantize=True)
    companded = distortions.mu_law(samples, rng, mu=mu)
    assert companded == pytest.approx(expected, abs=1e-6)
    assert len(np.unique(companded)) <= mu + 2


def test_gaussian_noise_has_the_drawn_level(rng):
    noise = distortions.gaussian_noise(np.zeros(50_000, np.float32), rng, amplitude=(0.01, 0.01))
    assert np.sqrt(power(noise)) == pytest.approx(0.01, rel=0.02)


@pytest.mark.parametrize("name", ["gaussian_snr", "coloured_noise"])
def test_noise_has_the_drawn_ratio_to_the_signal(name, rng):
    noisy = STEPS[name](SPEECH, rng, snr_db=(12, 12))
    assert 10 * np.log10(power(SPEECH) / power(noisy - SPEECH)) == pytest.approx(12, abs=0.2)


@pytest.mark.parametrize("decay_db", [-6.0, 6.0])
def test_coloured_noise_has_the_density_of_the_library(decay_db, rng, tone):
    def density(noises):
        total = np.mean([welch(noise, 16_000, nperseg=256)[1] for noise in noises], axis=0)
        return 10 * np.log10(total[2:-2].reshape(25, 5).mean(axis=1) / total.sum())  # (band,)

    library = audiomentations.AddColorNoise(5, 5, decay_db, decay_db, p=1.0)
    samples, ranges = tone[:4_000], {"snr_db": (5, 5), "decay_db": (decay_db, decay_db)}
    ours = [distortions.coloured_noise(samples, rng, **ranges) - samples for _ in range(200)]
    theirs = [library(samples, 16_000) - samples for _ in range(200)]
    assert density(ours) == pytest.approx(density(theirs), abs=2)


def test_gain_is_a_factor(rng, tone):
    assert distortions.gain(tone, rng, gain_db=(-20, -20)) == pytest.approx(tone / 10, rel=1e-6)


def test_speed_moves_length_and_pitch(rng, tone):
    faster = distortions.speed(tone, rng, factor=(1.1, 1.1))
    assert len(faster) == round(16_000 / 1.1)
    peak_hz = np.abs(np.fft.rfft(faster)).argmax() * 16_000 / len(faster)
    assert peak_hz == pytest.approx(484, abs=1.5)


@pytest.mark.parametrize("name", distortions.CODECS)
def test_coded_samples_stay_in_place(name, rng):
    lags = correlate(distortions.codec(SPEECH, rng, codecs=(name,)), SPEECH)
    assert abs(int(lags.argmax()) - (len(SPEECH) - 1)) <= 2


def test_codecs_draw_bit_rates_within_the_range(monkeypatch, rng):
    drawn = []
    monkeypatch.setattr(distortions, "transcode", lambda samples, coding, rate: drawn.append((coding.name, rate)))
    for _ in range(300):
        distortions.codec(SPEECH, rng, bit_rate=(7_000, 12_500))
    rates = {name: {rate for coding, rate in drawn if coding == name} for name, _ in drawn}
    assert rates["Opus"] == {7_000, 8_000, 9_000, 10_000, 11_000, 12_000}
    assert rates["AMR-NB"] == {7_400, 7_950, 10_200, 12_200}
    # The one rate in the range, and for the last the nearest.
    assert (rates["MP3"], rates["AAC"], rates["G.722"]) == ({8_000}, {12_000}, {64_000})


@pytest.mark.parametrize("bit_rate", AMR_NB.bit_rates)
def test_amr_nb_keeps_the_telephone_band_in_place(bit_rate):
    coded = transcode(SPEECH, AMR_NB, bit_rate)
    f_hz, density = welch(coded, 16_000, nperseg=512)
    assert abs(int(correlate(coded, SPEECH).argmax()) - (len(SPEECH) - 1)) <= 2
    assert density[f_hz > 4_200].sum() < 1e-3 * density.sum()


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("zero_spam", {}, r"unknown step 'zero_spam'; known: .*zero_span, .*codec"),
        ("zero_span", {"shear": (0, 1)}, r"zero_span has no parameter 'shear'; known: share"),
        ("zero_span", {"share": (0.5, 0.2)}, r"zero_span.share is \(0.5, 0.2\); the smaller number comes first"),
        ("zero_span", {"share": (0.5, 1.2)}, r"zero_span.share.1 is 1.2; .* less than or equal to 1"),
        ("zero_span", {"share": 0.3}, r"zero_span.share is 0.3"),
        ("low_pass", {"cutoff_hz": (100, 8_000)}, r"cutoff_hz.1 is 8000; .* 7920"),
        ("mu_law", {"mu": 255.5}, r"mu_law.mu is 255.5; .*integer"),
        ("mu_law", {"mu": True}, r"mu_law.mu is True; .*integer"),
        ("gain", {"gain_db": [False, True]}, r"gain.gain_db.0 is False"),
        ("gain", {"gain_db": [float("nan"), 1]}, r"gain_db.0 is nan"),
        ("trim_leading_silence", {"silence_db": 0}, r"silence_db is 0; .* -0.1"),
        ("codec", {"codecs": ["opus", "mp4"]}, r"codecs.1 is 'mp4'; .*'opus', 'mp3', 'aac', 'amr_nb' or 'g722'"),
        ("codec", {"codecs": []}, r"codec.codecs is \[\]"),
        ("rawboost", {"algorithm": 9}, r"rawboost.algorithm is 9; .*8"),
    ],
)
def test_a_wrong_step_or_parameter_is_named_with_what_is_accepted(name, parameters, message):
    with pytest.raises(StudyError, match=message):
        check(name, parameters)


@pytest.mark.parametrize("name", STEPS)
def test_defaults_are_accepted(name):
    assert check(name, defaults(name)) == defaults(name)


TIME_S = np.arange(16_000) / 16_000


def gain_db(name, frequency_hz, **ranges):
    """Change of the level of a tone by a filter, after its onset."""
    tone = np.sin(2 * np.pi * frequency_hz * TIME_S).astype(np.float32)
    filtered = FILTERS[name](tone, np.random.default_rng(0), **ranges)
    return 10 * np.log10(np.mean(filtered[8_000:].astype(float) ** 2) / np.mean(tone[8_000:].astype(float) ** 2))


@pytest.mark.parametrize(
    ("name", "ranges", "expected_db"),
    [
        ("low_pass", {"cutoff_hz": (1000, 1000), "rolloff_db": (12, 12)}, {100: 0, 1000: -3, 2000: -12.97}),
        ("high_pass", {"cutoff_hz": (1000, 1000), "rolloff_db": (12, 12)}, {100: -40.22, 1000: -3, 6000: 0}),
        ("band_pass", {"centre_hz": (2000, 2000), "bandwidth_fraction": (0.5, 0.5)}, {1500: -3, 2500: -3}),
        ("band_stop", {"centre_hz": (2000, 2000), "bandwidth_fraction": (0.5, 0.5)}, {200: 0, 1500: -3, 2500: -3}),
        ("peaking", {"centre_hz": (1000, 1000), "gain_db": (9, 9), "q": (5, 5)}, {50: 0, 1000: 9, 7000: 0}),
        ("high_shelf", {"centre_hz": (1000, 1000), "gain_db": (-6, -6), "q": (0.7, 0.7)}, {50: 0, 1000: -3, 7000: -6}),
        ("low_shelf", {"centre_hz": (1000, 1000), "gain_db": (6, 6), "q": (0.7, 0.7)}, {50: 6, 1000: 3, 7000: 0}),
    ],
)
def test_a_filter_changes_tones_as_designed(name, ranges, expected_db):
    levels = {frequency_hz: gain_db(name, frequency_hz, **ranges) for frequency_hz in expected_db}
    assert levels == pytest.approx(expected_db, abs=0.15)


@pytest.mark.parametrize("name", FILTERS)
def test_draws_spread_as_those_of_the_library_and_leave_the_global_generator(name, rng, monkeypatch):
    drawn, theirs = [], []
    monkeypatch.setattr(distortions, "apply_filter", lambda library, samples, values: drawn.append(values))
    library = getattr(audiomentations, FILTERS[name].library)(p=1.0)
    samples, state = np.zeros(10, np.float32), np.random.get_state()[1].copy()  # noqa: NPY002
    for _ in range(2_000):
        FILTERS[name](samples, rng)
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002
    for _ in range(2_000):
        library.randomize_parameters(samples, 16_000)
        theirs.append({key: value for key, value in library.parameters.items() if key != "should_apply"})
    assert drawn[0].keys() == theirs[0].keys() <= set(ARGUMENTS.values())
    for key in theirs[0]:
        # Two samples of 2,000 from one distribution are further apart once in some 200,000 times.
        assert ks_2samp([values[key] for values in drawn], [values[key] for values in theirs]).statistic < 0.08


def test_slopes_are_multiples_of_six_within_the_range(monkeypatch, rng):
    drawn = set()
    monkeypatch.setattr(distortions, "apply_filter", lambda library, samples, values: drawn.add(values["rolloff"]))
    for _ in range(100):
        FILTERS["low_pass"](np.zeros(10, np.float32), rng, rolloff_db=(6, 24))
    assert drawn == {6, 12, 18, 24}
