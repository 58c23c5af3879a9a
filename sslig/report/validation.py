"""What was planted in a study, how well detectors learnt to detect it, and what was explained."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from sslig import stages
from sslig.attribution.methods import default
from sslig.corpora.planting import KINDS, PlantedError
from sslig.report import evaluation
from sslig.report.artefact_text import interval
from sslig.report.resampled import over_seeds
from sslig.stages.planted import BACKBONE, STUDY
from sslig.study import Study
from sslig.validation.localisation import LocalisationError
from sslig.validation.transplant import COLUMNS as TRANSPLANTED
from sslig.validation.transplant import LEAST_SHARE, carried, rests_on_place

LEARNT_EER = 0.2
"""A detector with a higher EER has not learnt a kind: of the spoofs that it detects, more than one in four would be
called spoof without the cue too, and no map of those can be expected to point at it."""

NOTHING = "No spoof with a planted cue was detected and explained, so there is nothing to show."

ABOUT = ["kind", "detector", "eer", "low", "high", "learnt", "explained", "place_share", "place_carries",
         "rest_carries", "decided", "reason"]  # fmt: skip


@dataclass(frozen=True)
class Planted:
    """Planted cues in a study, as some detectors of one seed detect them and as they are explained.

    Attributes
    ----------
    table
        Rows of `sslig.stages.localised` of every kind and detector that could be explained; empty where none could.
    about
        `ABOUT`, a row a kind and detector: the EER with its interval, whether the kind is `LEARNT_EER` learnt, the
        detected spoofs that were explained, the mean share of time of their places, the shares of the decision that the
        place and the rest carry (`sslig.validation.transplant`), whether it is ``decided`` at the place, and why there
        are none.
    """

    table: pd.DataFrame
    about: pd.DataFrame

    @property
    def decided(self) -> pd.DataFrame:
        """The rows of `table` of the kinds that a detector has learnt and decides at the place: they test maps."""
        if self.table.empty:
            return self.table
        return self.table.merge(self.about.loc[self.about["decided"], ["kind", "detector"]])

    @property
    def telling(self) -> pd.DataFrame:
        """`decided`, or all of `table` where that is empty, so that there is something to look at."""
        return self.table if self.decided.empty else self.decided


def planted_of(
    study: Study, detectors: Sequence[str], seed: int, kinds: Sequence[str], methods: Sequence[str] | None = None
) -> Planted:
    """The planted cues of `kinds`, as the detectors detect them and as `methods` explain that.

    A kind that finds no room in the corpus, and a detector that detects none of its spoofs, are told in `about`.
    """
    parts, about = [], []
    for kind in kinds:
        for detector in detectors:
            part, told = _of_detector(study, detector, seed, kind, methods)
            parts += [part] if len(part) else []
            about.append({"kind": kind, "detector": detector} | told)
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return Planted(
        table, pd.DataFrame(about, columns=ABOUT).astype({"learnt": bool, "decided": bool, "explained": int})
    )


def _of_detector(
    study: Study, detector: str, seed: int, kind: str, methods: Sequence[str] | None
) -> tuple[pd.DataFrame, dict[str, object]]:
    told = dict.fromkeys(ABOUT[2:], float("nan")) | {"learnt": False, "decided": False, "explained": 0, "reason": ""}
    try:
        own = stages.planted(study, kind)
    except PlantedError as error:
        return pd.DataFrame(), told | {"reason": str(error)}
    scores = evaluation.scores_of(own, [detector], [seed])
    found = over_seeds(scores, {"eer": "spoof_score"}, study.evaluation, seed=study.corpus.seed).iloc[0]
    told |= {"eer": found["value"], "low": found["low"], "high": found["high"]}
    told["learnt"] = bool(found["value"] <= LEARNT_EER)
    try:
        table = stages.localised(study, detector, seed, kind, methods)
    except LocalisationError as error:
        return pd.DataFrame(), told | {"reason": str(error)}
    shares = table.drop_duplicates("utterance")["place_share"]
    place, rest = carried(table[table[list(TRANSPLANTED)].notna().all(axis=1)].drop_duplicates("utterance"))
    decided = told["learnt"] and rests_on_place(place, rest)
    told |= {"place_carries": place, "rest_carries": rest, "decided": decided}
    return table, told | {"explained": len(shares), "place_share": shares.mean()}


def present_default(study: Study) -> str:
    """The method that explains the study now, in the words of `sslig.attribution.methods`."""
    return default(study.attribution)


def shown_method(study: Study, planted: Planted) -> str:
    """The method whose maps are drawn: the present default, or the first that was measured where that was not."""
    present = present_default(study)
    measured = [] if planted.table.empty else planted.table.loc[planted.table["seconds"].notna(), "method"].tolist()
    return present if present in measured or not measured else measured[0]


def kind_table(study: Study, about: pd.DataFrame) -> pd.DataFrame:
    """What each kind is and how strong, and the EER of each detector on it with the spoofs explained."""
    rows = []
    for kind, part in about.groupby("kind", sort=False):
        definition = KINDS[kind]
        severity = study.validation.severity.get(kind, definition.severity)
        share = part["place_share"].mean()
        rows.append(
            {"kind": kind, "what": definition.description, "severity": f"{severity:g} {definition.unit}",
             "time (%)": "" if pd.isna(share) else f"{100 * share:.0f}"}
        )  # fmt: skip
    return pd.DataFrame(rows, columns=["kind", "what", "severity", "time (%)"])


def start_note(study: Study) -> str:
    """What the next table shows, and what the detectors in it were trained from."""
    start = {BACKBONE: "from the backbone and a random head", STUDY: "from where the training of the study left it"}
    return f"The EER of each detector, trained on each kind {start[study.validation.start]}, in percent:"


def learnt_table(about: pd.DataFrame) -> pd.DataFrame:
    """EER in percent of each detector on each kind, how many detected spoofs were explained, and who carries them."""
    text = about.assign(text=[_learnt_cell(row) for row in about.itertuples()])
    wide = text.pivot(index="kind", columns="detector", values="text")
    return wide.loc[about["kind"].unique(), about["detector"].unique()].rename_axis(columns=None).reset_index()


def _learnt_cell(row) -> str:
    if pd.isna(row.eer):
        return "not planted"
    rate = f"{interval(100 * row.eer, 100 * row.low, 100 * row.high, 1)}".replace(" [nan, nan]", "")
    told = f"{rate}\n{row.explained} explained" + ("" if row.learnt else ", not learnt")
    if pd.isna(row.place_carries):
        return told
    return f"{told}\nplace {100 * row.place_carries:.0f} %, rest {100 * row.rest_carries:.0f} %"


def kind_note(about: pd.DataFrame) -> str:
    """Which kinds were not learnt, not decided at their place or not explained, by which detectors, in sentences."""
    if about.empty:
        return "The study plants no cues (`validation.planted` is empty), so no truth is known to hold maps against."
    learnt, decided, n = int(about["learnt"].sum()), int(about["decided"].sum()), len(about)
    verb = "is" if learnt == 1 else "are"
    false_share = 100 * LEARNT_EER / (1 - LEARNT_EER)
    said = [
        f"{learnt} of {n} pairs of detector and kind {verb} learnt: an EER of {100 * LEARNT_EER:.0f} % or less. Above "
        f"it more than {false_share:.0f} % of what is detected would be called spoof without the cue too, so that "
        "explanations have nothing to point at.",
        f"The decision rests on the place in {decided} of the {learnt} learnt ones: there it carries at least "
        f"{100 * LEAST_SHARE:.0f} %, and no less than the rest."
        if learnt
        else "",
        "What maps score in the others is shown, and counts for no conclusion.",
    ]
    silent = about[(about["reason"] != "")]
    said += [f"{row.detector} on `{row.kind}` has nothing to explain: {row.reason}." for row in silent.itertuples()]
    return " ".join(filter(None, said))
