import pytest
import torch
from torch import nn
from torch.nn import functional

from sslig.errors import DetectorError
from sslig.models import fairseq
from sslig.models.aasist import AASIST
from sslig.models.backbone import Backbone
from sslig.models.fairseq import ReleasedSLS, translated
from sslig.models.sls import SLS

NAMES = (  # Hugging Face -> fairseq, in the order in which they are tried
    ("masked_spec_embed", "mask_emb"),
    ("feature_projection.layer_norm.", "layer_norm."),
    ("feature_projection.projection.", "post_extract_proj."),
    ("encoder.pos_conv_embed.conv.parametrizations.weight.original0", "encoder.pos_conv.0.weight_g"),
    ("encoder.pos_conv_embed.conv.parametrizations.weight.original1", "encoder.pos_conv.0.weight_v"),
    ("encoder.pos_conv_embed.conv.", "encoder.pos_conv.0."),
    (".conv.", ".0."),
    (".feed_forward.intermediate_dense.", ".fc1."),
    (".feed_forward.output_dense.", ".fc2."),
    (".attention.", ".self_attn."),
)


@pytest.fixture(params=["layer", "group"])
def encoder(request, tiny_backbone):
    """A tiny encoder: of XLS-R with layer norm before each block, or of wav2vec 2.0 Base with group norm."""
    torch.manual_seed(4)
    norms = {"feat_extract_norm": request.param, "do_stable_layer_norm": request.param == "layer", "conv_bias": True}
    return Backbone.from_config(tiny_backbone | {"model_type": "wav2vec2"} | norms).eval()


def fairseq_name(key, group):
    if key.startswith("feature_extractor.conv_layers."):
        key = key.replace(".layer_norm.", ".2." if group else ".2.1.")
    elif key.startswith("encoder.layers.") and ".layer_norm." in key:
        key = key.replace(".layer_norm.", ".self_attn_layer_norm.")
    for new, old in NAMES:
        key = key.replace(new, old) if not key.startswith("encoder.layers.") or new[0] == "." else key
    return key


def under_fairseq_names(encoder):
    group = encoder.model.config.feat_extract_norm == "group"
    state = {fairseq_name(key, group): value for key, value in encoder.model.state_dict().items()}
    return state | {"quantizer.vars": torch.zeros(3), "final_proj.weight": torch.zeros(2, 2)}


@pytest.fixture
def waveforms():
    return 0.1 * torch.randn(2, 8_000, generator=torch.Generator().manual_seed(1))


def test_names_become_those_of_hugging_face(encoder):
    state = under_fairseq_names(encoder)
    assert {"mask_emb", "encoder.pos_conv.0.weight_g", "encoder.layers.1.self_attn_layer_norm.weight"} <= set(state)
    assert {"encoder.layers.0.fc1.weight", "encoder.layers.0.self_attn.k_proj.bias", "layer_norm.weight"} <= set(state)
    assert set(translated(state)) == set(encoder.model.state_dict())


def save(path, encoder, head_state):
    state = {f"module.ssl_model.model.{key}": value for key, value in under_fairseq_names(encoder).items()}
    torch.save(state | {f"module.{key}": value for key, value in head_state.items()}, path)
    return path


def two_outputs(head, layer):
    """The state dict of a head whose last layer has two outputs, and those two outputs' weights."""
    torch.manual_seed(5)
    replaced = nn.Linear(getattr(head, layer).in_features, 2)
    state = {key: value for key, value in head.state_dict().items() if not key.startswith(f"{layer}.")}
    return state | {f"{layer}.{key}": value for key, value in replaced.state_dict().items()}, replaced


def test_ssl_anti_spoofing_gives_the_difference_of_its_outputs(tmp_path, encoder, waveforms):
    torch.manual_seed(6)
    head = AASIST(0, encoder.feature_size, n_bins=24).eval()
    state, last = two_outputs(head, "out_layer")
    detector = fairseq.load(save(tmp_path / "Best_LA_model_for_DF.pth", encoder, state), encoder.config)
    torch.testing.assert_close(detector.features(waveforms), encoder(waveforms))
    # The trained model: the same features, and a linear map with two outputs at the end; bona fide is output 1.
    head.out_layer = last
    with torch.no_grad():
        outputs = head(encoder(waveforms))
        torch.testing.assert_close(detector(waveforms), outputs[:, 0] - outputs[:, 1], atol=1e-5, rtol=1e-5)


def release_of_sls(state, layers):
    """Outputs of the release of SLS, as its paper and code describe it, for (batch, layer, frame, feature) layers."""
    n_frames = 3 * (state["fc1.weight"].shape[1] // (layers.shape[3] // 3))
    layers = functional.pad(layers, (0, 0, 0, n_frames - layers.shape[2]))
    gate = torch.sigmoid(functional.linear(layers.mean(dim=2), state["fc0.weight"], state["fc0.bias"]))
    image = (layers * gate[..., None]).sum(dim=1, keepdim=True)  # (batch, 1, frame, feature)
    norm = [state[f"first_bn.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
    pooled = functional.max_pool2d(functional.selu(functional.batch_norm(image, *norm)), 3).flatten(1)
    hidden = functional.selu(functional.linear(pooled, state["fc1.weight"], state["fc1.bias"]))
    return functional.selu(functional.linear(hidden, state["fc3.weight"], state["fc3.bias"]))


def test_the_release_of_sls_reads_layer_outputs_and_ends_in_a_selu(tmp_path, encoder, waveforms):
    torch.manual_seed(6)
    state, _ = two_outputs(SLS(0, encoder.feature_size, n_frames=30), "fc3")
    detector = fairseq.load(save(tmp_path / "sls.pth", encoder, state), encoder.config)
    outputs = []
    hooks = [
        layer.register_forward_hook(lambda *call: outputs.append(call[-1])) for layer in encoder.model.encoder.layers
    ]
    with torch.no_grad():
        encoder(waveforms)
        layers = torch.stack([part[0] if isinstance(part, tuple) else part for part in outputs], dim=1)
        expected = release_of_sls(state, layers)
        torch.testing.assert_close(detector(waveforms), expected[:, 0] - expected[:, 1], atol=1e-5, rtol=1e-5)
    assert len(hooks) == 2
    assert isinstance(detector.head, ReleasedSLS)


def test_what_does_not_fit_is_refused(tmp_path, encoder):
    torch.save(under_fairseq_names(encoder), tmp_path / "xlsr2_300m.pt")
    with pytest.raises(DetectorError, match=r"a fairseq encoder without a head; .* facebook/wav2vec2-xls-r-300m"):
        fairseq.load(tmp_path / "xlsr2_300m.pt", encoder.config)
    path = save(tmp_path / "other.pth", encoder, {"linear.weight": torch.zeros(1)})
    with pytest.raises(DetectorError, match=r"no head of SSL_Anti-spoofing .* or SLS"):
        fairseq.load(path, encoder.config)
    state, _ = two_outputs(AASIST(0, encoder.feature_size, n_bins=24), "out_layer")
    path = save(tmp_path / "small.pth", encoder, state)
    with pytest.raises(DetectorError, match=r"weights of the encoder do not fit: .*size mismatch"):
        fairseq.load(path, encoder.config | {"hidden_size": 32})


def test_a_fairseq_file_is_no_backbone_and_the_message_says_what_is(tmp_path):
    with pytest.raises(DetectorError, match=r"xlsr2_300m\.pt' is a checkpoint of fairseq; take .*wav2vec2-xls-r-300m"):
        Backbone.from_pretrained(tmp_path / "xlsr2_300m.pt")
