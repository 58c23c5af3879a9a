"""What Integrated Gradients give where layers stand on the axis that the library takes for examples."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from captum.attr import IntegratedGradients
from torch import Tensor, nn

from sslig import scoring, stages
from sslig.attribution.target import ROWS_AT_ONCE
from sslig.models.detector import Detector, select_device
from sslig.report.audit_annotations import DETECTORS
from sslig.report.display import listed
from sslig.report.explanation import n_read
from sslig.corpora.sample import stratified
from sslig.study import Study

RELEASED_POINTS = 50
"""Path points of the released call: what captum takes where none are asked for, by Gauss-Legendre quadrature."""

LAYERS_FIRST = ("aasist", "sls")
"""Heads whose features the release keeps as (layer, batch, frame, feature), attribution included."""

STRONGEST = 0.1


def layers_as_examples(head: nn.Module, features: Tensor, baseline: Tensor, points: int = RELEASED_POINTS) -> Tensor:
    """(layer, frame, feature) What captum returns for a (layer, 1, frame, feature) tensor, as the release passes it.

    captum lays the path points along dimension 0. The head then sees one utterance of `points` times as many layers:
    AASIST, which reads the last one, sees the last path point only; SLS, which sums over layers, sees all points at
    once; CA-MHFA, which has a weight for each layer, cannot read it.

    Parameters
    ----------
    head
        From (batch, layer, frame, feature) to (batch,), in evaluation mode.
    features, baseline
        (1, layer, frame, feature) of one utterance, and where the path starts.
    points
        Path points.

    Raises
    ------
    RuntimeError
        The head has a fixed number of layers.
    """

    def released(x: Tensor) -> Tensor:
        return head(x.transpose(0, 1))  # (points * layer, 1, frame, feature) as one utterance

    method = IntegratedGradients(released)
    return method.attribute(features.transpose(0, 1), baseline.transpose(0, 1), n_steps=points).detach()[:, 0]


def batch_first(head: nn.Module, features: Tensor, baseline: Tensor, points: int = RELEASED_POINTS) -> Tensor:
    """(layer, frame, feature) The same call with the utterance on dimension 0; parameters as `layers_as_examples`."""
    found = IntegratedGradients(head).attribute(
        features, baseline, n_steps=points, internal_batch_size=ROWS_AT_ONCE
    )
    return found.detach()[0]


def compare(study: Study, detectors: Sequence[str], seed: int, n: int) -> pd.DataFrame:
    """Both calls on `n` explained utterances and each detector, from the baseline of the study, nodes selected freely.

    Returns
    -------
    DataFrame
        ``detector``, ``head``, ``utterance``, ``difference`` F(x) - F(b), ``batch_first`` and ``layers_first`` (frame,)
        attributions; the last is missing where the head refuses the call.
    """
    chosen = stratified(stages.explained(study), n, study.corpus.seed)
    options = dataclasses.replace(study.scoring, batch_size=1)
    rows = []
    for name in detectors:
        model = Detector.from_pretrained(stages.checkpoint(study, name, seed))
        start, device = stages.baseline(study, name, seed), select_device(study.device)
        batches, _ = scoring.batches(chosen, model, options)
        with scoring.evaluating(model, device):
            for batch in batches:
                with torch.no_grad():
                    features = model.features(batch.waveforms.to(device))
                found = _both(model.head, features, start.like(features))
                utterance = chosen["utterance"].iloc[batch.rows[0]]
                rows.append({"detector": name, "head": model.head_name, "utterance": utterance, **found})
    return pd.DataFrame(rows)


def table(found: pd.DataFrame) -> pd.DataFrame:
    """`compare` summed up: a row a detector, medians over utterances.

    ``adds up to`` is the sum of the attribution in percent of F(x) - F(b), 100 where it is complete; ``correlation``
    the rank correlation over time of both calls, and ``strongest shared`` the share of the strongest tenth of the
    frames of one that is among those of the other. Frames that a head does not read are left out.
    """
    rows = []
    for name, part in found.groupby("detector", sort=False):
        refused = part["layers_first"].isna().all()
        pairs = [] if refused else [_read(row) for row in part.itertuples()]
        rows.append({
            "detector": name,
            "in the release": "layers first" if part["head"].iloc[0] in LAYERS_FIRST else "batch first",
            "batch first adds up to (%)": _sums(part, "batch_first"),
            "layers first adds up to (%)": "refused by the head" if refused else _sums(part, "layers_first"),
            "correlation": np.median([_correlation(*pair) for pair in pairs]) if pairs else np.nan,
            "strongest shared (%)": np.median([100 * _shared(*pair) for pair in pairs]) if pairs else np.nan,
        })  # fmt: skip
    return pd.DataFrame(rows)


def note(found: pd.DataFrame) -> str:
    """The table in words: how far the released order adds up, and how like the profiles are."""
    summed, said = table(found), []
    for (name, part), row in zip(found.groupby("detector", sort=False), summed.to_dict("records"), strict=True):
        if part["layers_first"].isna().all():
            said.append(f"{name} refuses it, so its order cannot be mistaken in silence")
        else:
            reached = _adds_up(part, "layers_first")
            said.append(f"{name} adds up to {reached.min():.1f} to {reached.max():.1f} % of F(x) - F(b), and its "
                        f"profile correlates with the batch-first one by {row['correlation']:.2f}, sharing "
                        f"{row['strongest shared (%)']:.0f} % of the strongest tenth of the frames")  # fmt: skip
    return (
        f"With layers on the axis of examples and {RELEASED_POINTS} points, on {found['utterance'].nunique()} "
        f"utterances: {'; '.join(said)}. "
        f"The release calls {listed([DETECTORS[head] for head in LAYERS_FIRST])} that way."
    )


def profiles(found: pd.DataFrame) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(frame,) twice by detector, batch first and layers first, on the first utterance; without heads that refuse."""
    first = found[(found["utterance"] == found["utterance"].min()) & found["layers_first"].notna()]
    return {row.detector: (row.batch_first, row.layers_first) for row in first.itertuples()}


def _both(head: nn.Module, features: Tensor, baseline: Tensor) -> dict[str, object]:
    with torch.no_grad():
        difference = (head(features) - head(baseline)).item()
    try:
        layers_first = _by_frame(layers_as_examples(head, features, baseline))
    except RuntimeError:  # the shape does not fit, which is the finding for heads with a weight for each layer
        layers_first = None
    return {"difference": difference, "batch_first": _by_frame(batch_first(head, features, baseline)),
            "layers_first": layers_first}  # fmt: skip


def _by_frame(attribution: Tensor) -> np.ndarray:
    return attribution.double().sum(dim=(0, 2)).cpu().numpy()  # (frame,)


def _adds_up(part: pd.DataFrame, column: str) -> np.ndarray:
    """(utterance,) The sum of an attribution in percent of F(x) - F(b)."""
    return 100 * np.array([values.sum() for values in part[column]]) / part["difference"].to_numpy()


def _sums(part: pd.DataFrame, column: str) -> str:
    low, median, high = np.percentile(_adds_up(part, column), [0, 50, 100])
    return f"{median:.1f} ({low:.1f} to {high:.1f})"


def _read(row: tuple) -> tuple[np.ndarray, np.ndarray]:
    n = n_read(row.batch_first)
    return row.batch_first[:n], row.layers_first[:n]


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    return pd.Series(one).corr(pd.Series(other), method="spearman")


def _shared(one: np.ndarray, other: np.ndarray) -> float:
    n = max(1, round(STRONGEST * len(one)))
    first, second = (set(np.argsort(-np.abs(values), kind="stable")[:n]) for values in (one, other))
    return len(first & second) / n
