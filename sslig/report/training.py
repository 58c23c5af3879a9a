"""What training gave: sizes of detectors, their best epochs, and how far seeds agree."""

import json
from collections.abc import Iterable, Mapping
from itertools import product

import numpy as np
import pandas as pd
from scipy import stats

from sslig import training
from sslig.models.detector import Detector
from sslig.report.display import span
from sslig.study import Study

EER, MIN_DCF = "dev EER (%)", "dev minDCF"
CONFIDENCE = 0.95


def sizes(models: Mapping[str, Detector]) -> pd.DataFrame:
    """Parameters of encoder and head of each detector, and what its head was given."""
    rows = []
    for name, model in models.items():
        encoder, head = (sum(p.numel() for p in part.parameters()) for part in (model.backbone, model.head))
        rows.append({
            "detector": name, "encoder": model.backbone.model.config.model_type, "layers": model.backbone.n_layers,
            "features": model.backbone.feature_size, "parameters of encoder": encoder, "parameters of head": head,
        })  # fmt: skip
    return pd.DataFrame(rows)


def best_epochs(epochs: pd.DataFrame) -> pd.DataFrame:
    """The epoch that was kept of each detector and seed, with its dev EER in percent."""
    kept = epochs.reset_index(drop=True)
    kept = kept.loc[kept.groupby(["detector", "seed"], sort=False)["dev_min_dcf"].idxmin()]
    names = {"epoch": "best epoch", "train_loss": "training loss", "dev_min_dcf": MIN_DCF}
    renamed = kept.rename(columns=names).assign(**{EER: 100 * kept["dev_eer"]})
    return renamed[["detector", "seed", "best epoch", "training loss", EER, MIN_DCF]]


def averages(experiment: Study, detectors: Iterable[str], seeds: Iterable[int]) -> pd.DataFrame:
    """The averages of epochs that were tried besides the best epoch, and which of both was kept; often none."""
    rows = []
    for detector, seed in product(detectors, seeds):
        record = json.loads((experiment.run(detector, seed) / training.RECORD).read_text(encoding="utf-8"))
        if "averaged_epochs" in record:
            epochs = ", ".join(map(str, record["averaged_epochs"]))
            rows.append((detector, seed, epochs, 100 * record["averaged_dev_eer"], record["averaged_dev_min_dcf"],
                         record["kept"].replace("_", " ")))  # fmt: skip
    return pd.DataFrame(rows, columns=["detector", "seed", "average of epochs", EER, MIN_DCF, "kept"])


def kept(best: pd.DataFrame, averaged: pd.DataFrame) -> pd.DataFrame:
    """Detector, seed and figures on dev of what was kept: of each run the best epoch, or the average where it was."""
    columns, runs = ["detector", "seed", EER, MIN_DCF], ["detector", "seed"]
    won = averaged[averaged["kept"] == "average"]
    return pd.concat([best[columns], won[columns]]).drop_duplicates(runs, keep="last").sort_values(runs)


def over_seeds(figures: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over seeds, and where the mean over all seeds is to be expected.

    The interval is Student's, ``mean -+ t(n - 1) * sd / sqrt(n)`` with 95 % confidence; one seed has none.

    Parameters
    ----------
    figures
        As of `kept`.
    """
    rows = []
    for (detector, part), name in product(figures.groupby("detector"), (EER, MIN_DCF)):
        n, mean, sd = len(part), part[name].mean(), part[name].std()
        half = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * sd / np.sqrt(n) if n > 1 else np.nan
        rows.append((detector, name, n, mean, sd, mean - half, mean + half))
    return pd.DataFrame(rows, columns=["detector", "measure", "seeds", "mean", "sd", "low", "high"])


def steps(experiment: Study, detectors: Iterable[str], seeds: Iterable[int]) -> pd.DataFrame:
    """The logs of steps under each other; runs of releases without a log have no rows."""
    paths = [experiment.run(detector, seed) / training.STEPS for detector, seed in product(detectors, seeds)]
    tables = [pd.read_csv(path, sep="\t") for path in paths if path.is_file()]
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()


def answer(epochs: pd.DataFrame, averaged: pd.DataFrame | None = None) -> str:
    """The page's answer: how far the detectors got on dev, each with the weights that were kept.

    Parameters
    ----------
    epochs
        Tables of epochs under each other.
    averaged
        As of `averages`; none: no run has an average.
    """
    best = best_epochs(epochs)
    eer = (best if averaged is None else kept(best, averaged))[EER]
    who = "the detectors reach" if len(eer) > 1 else "the detector reaches"
    verdict = "better than chance (50 %)" if eer.max() < 40 else "which at least one does hardly better than by chance"
    weights = "of the epochs that were kept" if averaged is None else "of the epochs (or averages) that were kept"
    reached = f"{who} an EER of {span(eer.min(), eer.max())} with the weights {weights}, {verdict}"
    return f"**Answer.** On the speakers of *dev*, {reached}."
