import argparse

import pytest
import torch
from torch import nn

from sslig.errors import DetectorError
from sslig.models.checkpoint import fill, read_state, with_new_weight_norm


@pytest.mark.parametrize("wrapper", ["model_state", "model_state_dict", "state_dict", "model"])
def test_tensors_are_taken_out_of_what_a_trainer_saves(tmp_path, wrapper):
    torch.save({wrapper: {"module.weight": torch.ones(2)}, "epoch": 3}, tmp_path / "best.pth")
    state = read_state(tmp_path / "best.pth")
    assert list(state) == ["weight"]
    assert torch.equal(state["weight"], torch.ones(2))


def test_a_pickled_configuration_is_refused_with_the_way_to_convert_it(tmp_path):
    torch.save({"args": argparse.Namespace(lr=1), "model": {"weight": torch.ones(2)}}, tmp_path / "xlsr.pt")
    with pytest.raises(DetectorError, match=r"xlsr\.pt: refused.*argparse\.Namespace.*weights_only=False.*out\.pt"):
        read_state(tmp_path / "xlsr.pt")


def test_weight_norm_has_the_names_of_today():
    assert with_new_weight_norm("conv.weight_g") == "conv.parametrizations.weight.original0"
    assert with_new_weight_norm("conv.weight_v") == "conv.parametrizations.weight.original1"
    assert with_new_weight_norm("conv.weight") == "conv.weight"


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"weight": torch.ones(1, 3), "bias": torch.ones(1)}, "size mismatch for weight"),
        ({"weight": torch.ones(1, 2)}, "Missing key.*bias"),
        ({"weight": torch.ones(1, 2), "bias": torch.ones(1), "more": torch.ones(1)}, "Unexpected key.*more"),
    ],
)
def test_weights_fit_exactly_or_not_at_all(state, message):
    with pytest.raises(DetectorError, match=f"the weights of the head do not fit: .*{message}"):
        fill(nn.Linear(2, 1), state, "the weights of the head")
