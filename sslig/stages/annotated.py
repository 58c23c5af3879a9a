"""What the annotators of a study hear, and which regions they judge."""

import numpy as np
import pandas as pd

from sslig.annotation import plan
from sslig.annotation.plan import Item
from sslig.annotation.store import Store
from sslig.corpora import protocol
from sslig.cues.top_regions import described, top_regions
from sslig.frames import FrameClock
from sslig.models.detector import Detector
from sslig.stages.attributed import EXPLAINED_SET, attributions
from sslig.stages.masked import segmented, tiers_by_utterance
from sslig.stages.selected import selected
from sslig.stages.trained import checkpoint
from sslig.study import Study, StudyError

CLASSES = {"bonafide": "bona fide", "spoof": "spoof"}


def annotated_utterances(experiment: Study, detectors: list[str], seed: int) -> pd.DataFrame:
    """The utterances that are annotated: rows of the protocol with ``path`` and ``group``.

    They are those that the experiment names, else all that every detector explains. The group is the reason for which
    the selection of the study has an utterance, or the class of those that it has not.

    Raises
    ------
    StudyError
        A named utterance is not explained by all of the detectors.
    """
    explained = [set(attributions(experiment, name, seed)["utterance"]) for name in detectors]
    by_all = sorted(set.intersection(*explained))
    reasons = selected(experiment, detectors, seed)[0].set_index("utterance")["reason"]
    names = experiment.annotation.utterances or by_all
    if lacking := [one for one in names if one not in by_all]:
        raise StudyError(f"{experiment.path}: annotation.utterances: {len(lacking)} of {len(names)} are not among "
                              f"the {len(by_all)} explained ones; the first: {lacking[0]!r}")  # fmt: skip
    table = protocol.load_set(experiment.corpus_root, EXPLAINED_SET)
    table = table[table["utterance"].isin(names)].sort_values("utterance").reset_index(drop=True)
    group = [reasons.get(row.utterance, CLASSES[row.key]) for row in table.itertuples()]
    order = [*dict.fromkeys(reasons), *CLASSES.values()]
    return table.assign(group=group).sort_values("group", key=lambda column: column.map(order.index), kind="stable")


def annotated_regions(
    experiment: Study, detectors: list[str], seed: int, *, classes: bool = False
) -> pd.DataFrame:  # fmt: skip
    """The top region of each detector in each explained utterance (`sslig.cues.top_regions`).

    Parameters
    ----------
    classes
        Whether to say what is spoken there, for which the utterances are decoded (`sslig.stages.segmented`).

    Returns
    -------
    DataFrame
        ``utterance``, ``detector``, ``start_s``, ``end_s``, ``share``, ``sign``, ``segment_class`` and ``read_s``, the
        end of the evidence of the detector. ``start_s`` is NaN where it has none; the class is unknown where it was not
        asked for or the utterance is not among those that the study decodes.
    """
    tiers = tiers_by_utterance(segmented(experiment)) if classes else {}
    rows = []
    for name in detectors:
        clock = Detector.from_pretrained(checkpoint(experiment, name, seed)).clock
        for row in attributions(experiment, name, seed).itertuples():
            top = _top(row.by_frame, clock, tiers.get(row.utterance))
            rows.append({"utterance": row.utterance, "detector": name} | top)
    return pd.DataFrame(rows)


def annotation_items(
    experiment: Study, detectors: list[str], seed: int, store: Store, annotator: str
) -> list[Item]:  # fmt: skip
    """The plan of an annotator, kept in the store from the first time on (`sslig.annotation.plan.kept`)."""
    utterances = annotated_utterances(experiment, detectors, seed)
    regions = annotated_regions(experiment, detectors, seed)
    regions = regions[regions["utterance"].isin(utterances["utterance"])]
    return plan.kept(store, utterances, regions, annotator, experiment.annotation, experiment.corpus.seed)


def _top(frames: np.ndarray, clock: FrameClock, tiers: dict | None) -> dict:
    found = described(top_regions(frames, n=1), clock, tiers)
    if found.empty:
        nothing = {"start_s": np.nan, "end_s": np.nan, "share": 0.0, "sign": 0, "segment_class": "unknown"}
        return nothing | {"read_s": float(clock.centre_s(len(frames))[-1] + clock.hop_s / 2)}
    top = found.iloc[0][["start_s", "end_s", "share", "sign", "segment_class"]].to_dict()
    last = int(np.flatnonzero(frames)[-1])
    return top | {"read_s": float(clock.centre_s(last + 1)[-1] + clock.hop_s / 2)}
