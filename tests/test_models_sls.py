import pytest
import torch

from sslig.models.sls import SLS

N_LAYERS, FEATURE_SIZE, READ = 3, 16, 9


def features_of(n_frames, batch=2):
    generator = torch.Generator().manual_seed(n_frames)
    return torch.randn(batch, N_LAYERS, n_frames, FEATURE_SIZE, generator=generator)


@pytest.fixture
def head():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SLS(N_LAYERS, FEATURE_SIZE, n_frames=READ).eval()


def test_the_published_number_of_frames_is_the_default():
    assert SLS.config_of(SLS(13, 768).state_dict()) == {"feature_size": 768, "n_frames": 201}


def test_frames_after_the_last_one_read_cannot_influence_the_logit(head):
    features = features_of(20)
    changed = features.clone()
    changed[:, :, READ:] = 100
    torch.testing.assert_close(head(changed), head(features), atol=0, rtol=0)
    torch.testing.assert_close(head(features[:, :, :READ]), head(features), atol=0, rtol=0)
    changed[:, :, READ - 1] = 100
    assert (head(changed) - head(features)).abs().min() > 1e-3


def test_short_features_are_padded_with_zeros(head):
    short = features_of(4)
    padded = torch.cat([short, torch.zeros(2, N_LAYERS, READ - 4, FEATURE_SIZE)], dim=2)
    torch.testing.assert_close(head(short), head(padded), atol=0, rtol=0)


def test_a_closed_gate_shuts_a_layer_out(head):
    """The gate is sigmoid(fc0(mean over frames)): a large negative feature under a large weight closes it."""
    with torch.no_grad():
        head.fc0.weight.zero_()
        head.fc0.weight[0, 0] = 100.0
        head.fc0.bias.zero_()
    features = features_of(READ)
    features[..., 0] = 5.0
    features[:, 1, :, 0] = -5.0  # closes layer 1
    louder, silent = features.clone(), features.clone()
    louder[:, 1, :, 1:] *= 7
    silent[:, 0, :, 1:] *= 7
    torch.testing.assert_close(head(louder), head(features), atol=1e-5, rtol=0)
    assert (head(silent) - head(features)).abs().min() > 1e-3
