import time

import pytest
import torch

from sslig.attribution import costs
from sslig.attribution.costs import measured

CPU = torch.device("cpu")


@pytest.mark.skipif(not costs.CLEAR.exists(), reason="only Linux tells the resident memory of a block of work")
def test_memory_counts_though_it_is_freed_within():
    with measured(CPU) as cost:
        torch.ones(16 * 2**20).sum()  # 64 MiB in float32
    assert 60 < cost.peak_mib < 90
    with measured(CPU) as cost:
        torch.ones(2**10).sum()
    assert cost.peak_mib < 10


def test_seconds_are_those_of_the_clock():
    with measured(CPU) as cost:
        time.sleep(0.02)
    assert 0.02 <= cost.seconds < 2


def test_what_the_system_does_not_tell_is_nan(monkeypatch, tmp_path):
    monkeypatch.setattr(costs, "CLEAR", tmp_path / "none")
    monkeypatch.setattr(costs, "STATUS", tmp_path / "none")
    with measured(CPU) as cost:
        pass
    assert cost.peak_mib != cost.peak_mib
    assert cost.seconds >= 0
