"""What attributions say: how far they add up, where and in which layers evidence lies, what is worth showing."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from sslig import stages
from sslig.attribution import table
from sslig.attribution.integrated_gradients import FROZEN
from sslig.corpora.protocol import NONE
from sslig.data.dataset import Utterances
from sslig.frames import SAMPLE_RATE_HZ, FrameClock
from sslig.report.display import span
from sslig.study import Study


def completeness(attributions: pd.DataFrame) -> pd.DataFrame:
    """How far the attributions of each detector add up: residuals in percent, path points, and the share complete."""
    rows = []
    for (detector, selection), part in attributions.groupby(["detector", "selection"], sort=False):
        relative = 100 * part["relative_residual"]
        statuses = part["status"].value_counts()
        rows.append({
            "detector": detector, "selection": selection, "n": len(part),
            "median (%)": relative.median(), "worst (%)": relative.max(),
            "F(b) moved": (part["baseline_score"] - part["free_baseline_score"]).abs().median(),
            "points": int(part["steps"].median()), "complete": int(statuses.get("complete", 0)),
            "jump": int(statuses.get("jump", 0)), "not converged": int(statuses.get("not converged", 0)),
        })  # fmt: skip
    return pd.DataFrame(rows)


def layer_shares(attributions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Share of the absolute evidence that each layer carries: a row a detector, a column a layer, in percent."""
    shares = {}
    for detector, part in attributions.items():
        by_layer = np.array([np.abs(layers).sum(axis=1) for layers in part["by_layer"]])  # (utterance, layer)
        shares[detector] = 100 * (by_layer / by_layer.sum(axis=1, keepdims=True)).mean(axis=0)
    return pd.DataFrame(shares).T.rename(columns=lambda layer: f"layer {layer}").rename_axis("detector").reset_index()


def free_and_frozen(
    study: Study, attributions: Mapping[str, pd.DataFrame], seed: int
) -> pd.DataFrame:  # fmt: skip
    """Attributions of the same few utterances with the free and the frozen selection, where a detector selects."""
    parts = []
    for name, frozen in attributions.items():
        if set(frozen["selection"]) == {FROZEN}:
            free = stages.free_attributions(study, name, seed)
            parts += [free, frozen[frozen["utterance"].isin(free["utterance"])]]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def concentration(attributions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """How much of the time holds half of the absolute evidence, by detector: median and quartiles in percent."""
    rows = []
    for name, part in attributions.items():
        low, median, high = np.percentile([100 * half_share(frames) for frames in part["by_frame"]], [25, 50, 75])
        rows.append({"detector": name, "half the evidence in (% of frames)": median,
                     "lower quartile": low, "upper quartile": high})  # fmt: skip
    return pd.DataFrame(rows)


def half_share(frames: np.ndarray) -> float:
    """Share of the frames it reads, out of (frame,), that strongest first hold half of a head's absolute evidence."""
    frames = frames[: n_read(frames)]
    strongest = np.sort(np.abs(frames))[::-1]
    held = np.cumsum(strongest) >= strongest.sum() / 2
    return (int(np.argmax(held)) + 1) / len(frames)


def n_read(frames: np.ndarray) -> int:
    """How many of the (frame,) frames a head reads: SLS stops after a fixed number, and what follows is exactly 0."""
    read = np.flatnonzero(frames)
    return int(read[-1]) + 1 if len(read) else len(frames)


def agreement(attributions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Spearman correlation over time between the attributions of two detectors, averaged over shared utterances."""
    rows = []
    for one, other in combinations(attributions, 2):
        both = attributions[one].merge(attributions[other], on="utterance")
        found = []
        for x, y in zip(both["by_frame_x"], both["by_frame_y"], strict=True):
            n = min(n_read(x), n_read(y))  # where only one of them reads, they cannot agree
            found.append(pd.Series(x[:n]).corr(pd.Series(y[:n]), method="spearman"))
        rows.append({"detectors": f"{one} and {other}", "utterances": len(found), "mean": np.mean(found),
                     "lowest": np.min(found), "highest": np.max(found)})  # fmt: skip
    return pd.DataFrame(rows)


def examples(attributions: Mapping[str, pd.DataFrame], n: int) -> pd.DataFrame:
    """Up to `n` utterances worth showing: for each class in turn the most and the least spoof-like, by mean rank."""
    ranks = [part.set_index("utterance")["spoof_score"].rank(pct=True) for part in attributions.values()]
    described = next(iter(attributions.values()))[table.DESCRIPTION]
    described = described.assign(mean_rank=described["utterance"].map(pd.concat(ranks, axis=1).mean(axis=1)))
    real, spoof = (described[described["key"] == key].sort_values("mean_rank") for key in ("bonafide", "spoof"))
    order = [spoof.tail(1), real.head(1), spoof.head(1), real.tail(1)]
    titles = [f"The {kind} with the {end} scores" for kind, end in (
        ("spoof", "highest"), ("bona fide utterance", "lowest"), ("spoof", "lowest"), ("bona fide utterance", "highest")
    )]  # fmt: skip
    chosen = pd.concat(part.assign(title=title) for part, title in zip(order, titles, strict=True))
    return chosen.drop_duplicates("utterance").head(n)


def caption(example: pd.Series, attributions: Mapping[str, pd.DataFrame]) -> str:
    """Heading and scores of one example."""
    what = "bona fide" if example["key"] == "bonafide" else f"spoof by {example['attack']}"
    coded = "" if example["codec"] == NONE else f", coded with {example['codec']}"
    rows = {name: part.set_index("utterance").loc[example["utterance"]] for name, part in attributions.items()}
    scores = "; ".join(
        f"{name} {row['spoof_score']:+.2f} (baseline {row['baseline_score']:+.2f}, residual "
        f"{100 * row['relative_residual']:.2f} %, {row['status']})"
        for name, row in rows.items()
    )
    return f"### {example['title']}: {example['utterance']}\n\n{what}{coded}. Spoof scores: {scores}."


def player(example: pd.Series, files: Mapping[str, str]) -> dict[str, object]:
    """What `sslig.plots.players.players` needs for one example."""
    name = example["utterance"]
    return {"recordings": {name: [files[name]]}, "columns": ["utterance", "listen"]}


def as_scored(study: Study, path: str, clock: FrameClock) -> np.ndarray:
    """(samples,) The recording as it was scored and explained: cropped where the study says so, whole frames only."""
    crop = None if study.scoring.crop_s is None else round(study.scoring.crop_s * SAMPLE_RATE_HZ)
    return Utterances(pd.DataFrame({"path": [path]}), clock, crop, study.scoring.max_s)[0].samples.numpy()


def evidence(example: pd.Series, attributions: Mapping[str, pd.DataFrame], column: str) -> dict[str, np.ndarray]:
    """``by_frame`` or ``by_layer`` of one example, by detector."""
    return {name: part.set_index("utterance").at[example["utterance"], column] for name, part in attributions.items()}


def answer(attributions: Mapping[str, pd.DataFrame]) -> str:
    """The page's answer: how many explanations add up, and how concentrated the evidence is."""
    every = pd.concat(attributions.values())
    complete = int((every["status"] == "complete").sum())
    halves = concentration(attributions)["half the evidence in (% of frames)"]
    return (
        f"**Answer.** {complete} of {len(every)} explanations add up to the score (median residual "
        f"{100 * every['relative_residual'].median():.2f} % of the difference to the baseline). Half of the evidence "
        f"lies in {span(halves.min(), halves.max())} of the frames."
    )
