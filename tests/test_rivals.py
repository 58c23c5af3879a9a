import numpy as np
import pytest
import torch

from sslig.frames import SSL_CLOCK
from sslig.validation import rivals


@pytest.fixture
def waveform():
    """(1, samples) 50 frames: a tone in the second half."""
    samples = 0.001 * np.random.default_rng(0).standard_normal(SSL_CLOCK.n_samples(50))
    samples[8_000:] += 0.3 * np.sin(2 * np.pi * 300 * np.arange(len(samples) - 8_000) / 16_000)
    return torch.from_numpy(samples.astype(np.float32)).unsqueeze(0)


def test_energy_is_where_the_sound_is(waveform):
    energy = rivals.of_recording(waveform, SSL_CLOCK)["energy"]
    assert energy.shape == (50,)
    assert energy[:24].max() < 1e-4
    assert energy[26:] == pytest.approx(0.045, rel=0.05)  # half the square of the amplitude


def test_speech_and_non_speech_are_each_others_rest(waveform, monkeypatch):
    found = rivals.of_recording(waveform, SSL_CLOCK)
    assert set(found) == {"energy", "voice_activity", "non_speech"}
    assert (found["voice_activity"] + found["non_speech"] == 1).all()
    assert set(np.unique(found["voice_activity"])) <= {0, 1}


def test_attention_of_the_one_head_that_has_it(tiny_detector):
    features = torch.randn(1, 3, 30, 16, generator=torch.Generator().manual_seed(0))
    head = tiny_detector("camhfa").head
    found = rivals.of_head(head, features)
    assert found["attention"] == pytest.approx(head.attention(features)[0].mean(dim=0).detach().numpy(), rel=1e-5)
    assert found["attention"].sum() == pytest.approx(1)
    assert rivals.of_head(tiny_detector("aasist").head, features) == {}
    assert rivals.of_head(tiny_detector("sls").head, features) == {}


def test_the_change_of_features_lies_where_they_changed():
    features = torch.zeros(1, 2, 4, 3)
    twin = features.clone()
    twin[0, :, 2] = 2.0
    assert rivals.feature_change(features, twin).tolist() == pytest.approx([0, 0, np.sqrt(24), 0])
