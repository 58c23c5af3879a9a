import numpy as np
import pytest
import torch

from sslig.attribution.evidence import by_frame, by_layer
from sslig.attribution.integrated_gradients import AttributionError


def test_aggregations_over_features_and_layers():
    """Two layers, one frame, two features: 3, -4 and 0, 12."""
    layers = by_layer(torch.tensor([[[3.0, -4.0]], [[0.0, 12.0]]], dtype=torch.float64))
    assert {name: values[:, 0].tolist() for name, values in layers.items()} == {
        "signed": [-1, 12],
        "absolute": [7, 12],
        "l2": [5, 12],
    }
    assert {name: by_frame(values, name).tolist() for name, values in layers.items()} == {
        "signed": [11],
        "absolute": [19],
        "l2": [13],
    }


def test_an_unknown_aggregation_is_refused():
    with pytest.raises(AttributionError, match="aggregation 'max'; accepted: signed, absolute, l2"):
        by_frame(np.zeros((1, 1)), "max")
