"""Detectors whose encoder has the names of fairseq: SSL_Anti-spoofing (XLS-R with AASIST) and the release of SLS."""

import os
import re
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from sslig.errors import DetectorError
from sslig.models.aasist import AASIST
from sslig.models.backbone import TAKE, Backbone
from sslig.models.checkpoint import fill, read_state, with_new_weight_norm
from sslig.models.foreign import Composite, Origin
from sslig.models.sls import SLS

KIND = "fairseq-named checkpoint"
PREFIX = "ssl_model.model."
BACKBONE = "facebook/wav2vec2-xls-r-300m"
OUTPUTS = ("spoof", "bonafide")
"""The two outputs of both projects: ``bonafide`` is 1."""

FINAL_NORM = "encoder.layer_norm."
CROP_S = 64_600 / 16_000

PRETRAINING = ("quantizer.", "project_q.", "final_proj.", "target_glu.", "label_embs_concat")
"""Parts of fairseq's models that only pretraining uses."""

RENAMED = (
    (r"^mask_emb$", "masked_spec_embed"),
    (r"^layer_norm\.", "feature_projection.layer_norm."),
    (r"^post_extract_proj\.", "feature_projection.projection."),
    (r"^encoder\.pos_conv\.0\.", "encoder.pos_conv_embed.conv."),
    (r"^feature_extractor\.conv_layers\.(\d+)\.0\.", r"feature_extractor.conv_layers.\1.conv."),
    (r"^feature_extractor\.conv_layers\.(\d+)\.2(?:\.1)?\.", r"feature_extractor.conv_layers.\1.layer_norm."),
    (r"\.self_attn_layer_norm\.", ".layer_norm."),
    (r"\.self_attn\.", ".attention."),
    (r"\.fc1\.", ".feed_forward.intermediate_dense."),
    (r"\.fc2\.", ".feed_forward.output_dense."),
)
"""Patterns of fairseq's names, and the names of Hugging Face."""


class ReleasedSLS(nn.Module):
    """The head of the release of SLS, which differs from `sslig.models.sls` in what it reads and returns.

    It reads the outputs of the layers, without what enters the first, and the last before its normalisation; its two
    outputs go through a SELU.

    References
    ----------
    Zhang et al., "Audio Deepfake Detection with Self-Supervised XLS-R and SLS Classifier", ACM MM 2024.
    """

    MIN_FRAMES = 1

    def __init__(self, feature_size: int, n_frames: int) -> None:
        super().__init__()
        self.sls = SLS(0, feature_size, n_frames)
        self.sls.fc3 = nn.Linear(feature_size, len(OUTPUTS))
        self.n_frames = n_frames

    def forward(self, features: Tensor) -> Tensor:
        """(batch,) Spoof logits of (batch, layer, frame, feature) features."""
        spoof, bonafide = functional.selu(self.sls(features[:, 1:])).unbind(dim=1)
        return spoof - bonafide


def translated(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """An encoder's tensors under the names of Hugging Face; what only pretraining uses is left out."""
    return {_name(key): value for key, value in state.items() if not key.startswith(PRETRAINING)}


def _name(key: str) -> str:
    for old, new in RENAMED:
        key = re.sub(old, new, key)
    return with_new_weight_norm(key)


def is_fairseq(state: dict[str, Tensor]) -> bool:
    """Whether a checkpoint of tensors is a bare encoder, or a detector on one, with the names of fairseq."""
    return any(key.removeprefix(PREFIX).startswith(("encoder.pos_conv.0.", "post_extract_proj.")) for key in state)


def load(path: str | os.PathLike, backbone: str | dict[str, Any] = BACKBONE) -> Composite:
    """Load a detector from a `.pt` or `.pth` file, strictly, in evaluation mode.

    Both projects give the encoder waveforms as they are, without normalisation, and crops of 64,600 samples.

    Parameters
    ----------
    backbone
        Where the configuration of the encoder comes from: a name, a folder, or values with `model_type`.

    Raises
    ------
    DetectorError
        The file needs pickled code, holds only an encoder, or does not fill encoder and head exactly.
    """
    state = read_state(path)
    encoder_state = {key.removeprefix(PREFIX): value for key, value in state.items() if key.startswith(PREFIX)}
    head_state = {key: value for key, value in state.items() if not key.startswith(PREFIX)}
    if not encoder_state:
        raise DetectorError(f"{path}: a fairseq encoder without a head; {TAKE}")
    encoder = Backbone.shape_of(backbone)
    encoder.normalise = False
    encoder_state, what = translated(encoder_state), f"{path}: the weights of"
    if "fc0.weight" in head_state:
        head = _sls(path, head_state)
        if getattr(encoder.model.config, "do_stable_layer_norm", False):
            # The release reads the last layer before the encoder's final normalisation.
            encoder.model.encoder.layer_norm = nn.Identity()
            encoder_state = {key: value for key, value in encoder_state.items() if not key.startswith(FINAL_NORM)}
    elif "LL.weight" in head_state:
        head = _aasist(path, head_state)
    else:
        raise DetectorError(
            f"{path}: no head of SSL_Anti-spoofing (LL.weight) or SLS (fc0.weight): {list(head_state)[:5]}"
        )
    fill(encoder.model, encoder_state, f"{what} the encoder")
    origin = Origin(KIND, str(path), OUTPUTS, crop_s=CROP_S, notes={"head": type(head).__name__})
    return Composite(encoder, head, origin).eval()


def _sls(path: str | os.PathLike, state: dict[str, Tensor]) -> ReleasedSLS:
    head = ReleasedSLS(**SLS.config_of(state))
    fill(head.sls, state, f"{path}: the weights of the head")
    return head


def _aasist(path: str | os.PathLike, state: dict[str, Tensor]) -> AASIST:
    """The head with one output, the difference of the two that were trained: the same logit."""
    state = dict(state)
    for name in ("out_layer.weight", "out_layer.bias"):
        if name in state and len(state[name]) == len(OUTPUTS):
            spoof, bonafide = state[name].float().unbind(dim=0)
            state[name] = (spoof - bonafide).unsqueeze(0)
    head = AASIST(0, **AASIST.config_of(state))
    fill(head, state, f"{path}: the weights of the head")
    return head
