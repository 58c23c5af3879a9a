"""How weights move: AdamW over groups with learning rates of their own, and how these rates change."""

from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import ExponentialLR, LRScheduler, OneCycleLR

from sslig.models.backbone import Backbone
from sslig.models.detector import Detector
from sslig.study import Training

SCHEDULES = ("constant", "exponential", "one_cycle")


def optimiser(detector: Detector, options: Training) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) over the backbone's groups, lowest first, then the head."""
    groups = backbone_groups(detector.backbone, options.lr_backbone, options.layer_decay)
    groups.append({"params": list(detector.head.parameters()), "lr": options.lr_head})
    return torch.optim.AdamW(groups, weight_decay=options.weight_decay)


def backbone_groups(backbone: Backbone, lr: float, layer_decay: float) -> list[dict[str, Any]]:
    """Parameters of the backbone with their learning rates; one group where the rate does not decay over layers.

    Layer l of L has the rate ``lr * layer_decay ** (L - l)`` and what stands before layer 1 that of a layer 0
    (Clark et al. 2020, ELECTRA, arXiv 2003.10555, section 3.1). What stands behind the last layer goes with it.
    """
    if layer_decay == 1:
        return [{"params": list(backbone.parameters()), "lr": lr}]
    layers: list[nn.Module] = list(backbone.model.encoder.layers)
    stable = getattr(backbone.model.config, "do_stable_layer_norm", False)  # not all encoders have the choice
    behind = [backbone.model.encoder.layer_norm] if stable else []
    depth = {id(p): number for number, layer in enumerate(layers, 1) for p in layer.parameters()}
    depth |= {id(p): len(layers) for module in behind for p in module.parameters()}
    groups = [{"params": [], "lr": lr * layer_decay ** (len(layers) - number)} for number in range(len(layers) + 1)]
    for parameter in backbone.parameters():
        groups[depth.get(id(parameter), 0)]["params"].append(parameter)
    return groups


def schedule(optimizer: torch.optim.Optimizer, options: Training, steps: int) -> LRScheduler | None:
    """The schedule of all groups over `steps` optimiser steps, moved on after each; none where rates are constant.

    ``exponential`` has ``lr(t) = lr * lr_end ** (t / steps)``; ``one_cycle`` (Smith & Topin 2018, arXiv 1708.07120)
    rises from lr / 25 to lr over the first 30 % and falls to lr / 250,000, both as half a cosine.
    """
    if options.schedule == "exponential":
        return ExponentialLR(optimizer, options.lr_end ** (1 / steps))
    if options.schedule == "one_cycle":
        rates = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, rates, total_steps=steps, cycle_momentum=False)
    return None
