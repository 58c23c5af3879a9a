"""What training gave: sizes of detectors and their best epochs."""

from collections.abc import Mapping

import pandas as pd

from sslig.models.detector import Detector
from sslig.report.display import span


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
    names = {"epoch": "best epoch", "train_loss": "training loss", "dev_min_dcf": "dev minDCF"}
    renamed = kept.rename(columns=names).assign(**{"dev EER (%)": 100 * kept["dev_eer"]})
    return renamed[["detector", "seed", "best epoch", "training loss", "dev EER (%)", "dev minDCF"]]


def answer(epochs: pd.DataFrame) -> str:
    """The page's answer: how far the detectors got on dev."""
    eer = best_epochs(epochs)["dev EER (%)"]
    who = "the detectors reach" if len(eer) > 1 else "the detector reaches"
    verdict = "better than chance (50 %)" if eer.max() < 40 else "which at least one does hardly better than by chance"
    return f"**Answer.** On the speakers of *dev*, {who} an EER of {span(eer.min(), eer.max())} at best, {verdict}."
