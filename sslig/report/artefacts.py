"""What plain measures of a recording give away: the class, the errors of detectors, and their scores."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, parallel_config

from sslig.cues import artefacts, shortcut_model, shortcuts
from sslig.cues.effects import ALPHA, rounds_needed
from sslig.cues.masked_trials import two_sided_p
from sslig.labels import KEYS
from sslig.report.artefact_text import WORDS, estimated, interval, mean_and_spread, p_text, percent, strongest_first
from sslig.stats import agreement
from sslig.study import Study

DESCRIPTION = ["utterance", "key", "attack", "codec", "speaker", "recording"]
RIGHT, MIXED, WRONG = "right", "mixed", "wrong"
"""What the detectors say of an utterance at their EER thresholds: all are right, some are, or none is."""
SMALLEST = 5
"""Groups of fewer utterances are not compared: an interval of so few says nothing."""
FOLDS = {"recording": "recordings", "speaker": "speakers"}
"""What no two folds of a model share."""
LINEAR = "ridge"
"""The model that the answer is about; the other one is shown beside it."""
MOST_ROUNDS = 10_000
"""A test that needs more rounds than these, or than the study asks for, supports nothing: the page would take hours."""


def trials(measures: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """The measured utterances that every detector scored: `DESCRIPTION`, ``group`` and the measures.

    The groups are those of `sslig.stats.agreement` over all utterances of `scores`: class and `RIGHT`, `MIXED` or `WRONG`.

    Parameters
    ----------
    measures
        Of `sslig.stages.measures`.
    scores
        Of the whole set, by detectors of one seed (`sslig.report.evaluation.scores_of`).
    """
    n_detectors = scores["detector"].nunique()
    shared = scores[scores.groupby("utterance")["detector"].transform("nunique") == n_detectors]
    found = agreement.groups(shared).set_index("utterance")
    verdict = np.select([found["n_right"] == n_detectors, found["n_right"] == 0], [RIGHT, WRONG], MIXED)
    group = found["key"].map(WORDS) + ", " + verdict
    described = shared.drop_duplicates("utterance")[DESCRIPTION]
    return described.assign(group=described["utterance"].map(group)).merge(measures, on="utterance")


def names(table: pd.DataFrame) -> list[str]:
    """The measures among the columns of a table."""
    return [name for name in artefacts.MEASURES if name in table]


def alone(study: Study, measured: pd.DataFrame) -> pd.DataFrame:
    """Each measure as a detector of its own (`sslig.cues.shortcuts.single_feature_eer`), the strongest first."""
    measures = measured[names(measured)]
    labels, options = measured["key"].map(KEYS), _options(study, measures.shape[1], units(study, measured))
    found = shortcuts.single_feature_eer(measures, labels, measured["speaker"], _second(study, measured), **options)
    return found.sort_values("eer", kind="stable", ignore_index=True)


def between(study: Study, measured: pd.DataFrame) -> pd.DataFrame:
    """What tells wrong from right of each class (`sslig.cues.shortcuts.between_groups`); empty where groups are small.

    A positive ``delta`` means larger values in the utterances that all detectors get wrong. Each class has a correction
    of its own.
    """
    tables = []
    for pair, part in compared(measured).items():
        options = _options(study, len(names(part)), units(study, part))
        rest = part["group"], part["speaker"], _second(study, part)
        tables.append(shortcuts.between_groups(part[names(part)], *rest, pairs=[pair], **options))
    if not tables:
        return pd.DataFrame(columns=["group_a", "group_b", "measure", "eer", "delta", "p_holm"])
    return pd.concat(tables, ignore_index=True)


def compared(measured: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """The utterances of each pair of groups, right and wrong of a class, that are both large enough to compare."""
    count = measured["group"].value_counts()
    pairs = [(f"{word}, {RIGHT}", f"{word}, {WRONG}") for word in WORDS.values()]
    return {pair: measured[measured["group"].isin(pair)] for pair in pairs
            if min(count.get(group, 0) for group in pair) >= SMALLEST}  # fmt: skip


def of_scores(
    study: Study, measured: pd.DataFrame, scores: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """How the scores of each detector go with the measures, detectors and analyses side by side in processes.

    Returns
    -------
    correlations, fits, importances
        Of `sslig.cues.shortcuts.score_correlation` and `sslig.cues.shortcut_model.shortcut_model`; the latter two have
        ``folds_of``, a key of `FOLDS`, and leave out what has fewer than two groups in a class.
    """
    measures = measured[["utterance", *names(measured)]]
    known = scores[scores["utterance"].isin(measures["utterance"])]
    options = _options(study, len(measures.columns) - 1, units_of_class(study, measured))
    options |= {"resample_recordings": study.evaluation.resample_recordings}
    # Nothing of a model is tested, so that the rounds of the study do.
    of_models = options | {"rounds": study.evaluation.rounds}
    parts = [part for _, part in known.groupby("detector", sort=False)]
    jobs = [(part, folds_of) for folds_of in (None, *FOLDS) for part in parts]
    with parallel_config(backend="loky", inner_max_num_threads=1):
        found = Parallel(n_jobs=study.artefacts.workers)(
            delayed(_of_detector)(measures, part, folds_of, of_models if folds_of else options)
            for part, folds_of in jobs
        )
    return tuple(pd.concat(tables, ignore_index=True) for tables in zip(*found, strict=True))


def _of_detector(
    measures: pd.DataFrame, part: pd.DataFrame, folds_of: str | None, options: Mapping[str, int | bool]
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Its correlations, or its fits and importances with these folds; tables of what is not asked for are empty."""
    if folds_of is None:
        return shortcuts.score_correlation(measures, part, **options), pd.DataFrame(), pd.DataFrame()
    if part.groupby("key")[folds_of].nunique().min() < 2:
        return pd.DataFrame(), pd.DataFrame(), pd.DataFrame()
    found = shortcut_model.shortcut_model(measures, part, folds_of, **options)
    return pd.DataFrame(), *(table.assign(folds_of=folds_of) for table in found)


def alone_table(found: pd.DataFrame) -> pd.DataFrame:
    """`alone` as people read it; a dot where the classes differ beyond doubt."""
    larger = found["larger_in"].map(lambda name: WORDS.get(name, name))
    return pd.DataFrame({
        "measure": found["measure"],
        "EER (%)": percent(found),
        "larger in": larger,
        "Cliff's delta": estimated(found, "delta", "delta_low", "delta_high"),
        "p": found["p"].map("{:.2g}".format),
        "p (Holm)": found["p_holm"].map(p_text),
        "missing": found["n_missing"],
    })  # fmt: skip


def mean_table(measured: pd.DataFrame, column: str) -> pd.DataFrame:
    """Mean and standard deviation of each measure: a row a measure, a column a group of `column`, with its size."""
    told = shortcuts.describe(measured[names(measured)], measured[column])
    text = told.assign(text=mean_and_spread(told)).pivot(index="measure", columns=column, values="text")
    count = measured[column].value_counts()
    order = [group for group in _order(column) if group in text]
    headed = {group: f"{WORDS.get(group, group)} (n = {count[group]})" for group in order}
    return text.loc[names(measured), order].rename(columns=headed).rename_axis(columns=None).reset_index()


def effect_table(found: pd.DataFrame) -> pd.DataFrame:
    """`between` as people read it: EER and Cliff's delta in each class, the largest effects first."""
    shown = pd.DataFrame({"measure": strongest_first(found, "delta")})
    for group, part in found.groupby("group_b", sort=False):
        told = part.set_index("measure").loc[shown["measure"]]
        shown[f"{group}: EER (%)"] = percent(told)
        shown[f"{group}: delta"] = estimated(told, "delta", "delta_low", "delta_high")
    return shown


def correlation_table(correlations: pd.DataFrame, key: str, at_least: int = 5) -> pd.DataFrame:
    """Rank correlations of scores with measures in one class, a column a detector.

    Measures whose correlation is beyond doubt for a detector are shown, and of the others the strongest `at_least`.
    """
    part = correlations[correlations["key"] == key]
    ordered = strongest_first(part, "spearman")
    supported = set(part.loc[part["p_holm"] < ALPHA, "measure"])
    shown = [name for place, name in enumerate(ordered) if name in supported or place < at_least]
    text = part.assign(text=estimated(part, "spearman", "low", "high"))
    wide = text.pivot(index="measure", columns="detector", values="text")[list(part["detector"].unique())]
    return wide.loc[shown].rename_axis(columns=None).reset_index()


def fit_table(fits: pd.DataFrame) -> pd.DataFrame:
    """R2 of the two models of each detector, a row for each kind of folds and class."""
    text = [interval(row.r2, row.low, row.high, 2) for row in fits.itertuples()]
    keys = ["detector", "folds_of", "key"]
    wide = fits.assign(text=text).pivot(index=keys, columns="model", values="text")
    wide = wide.reindex(pd.MultiIndex.from_frame(fits[keys].drop_duplicates())).reset_index().rename_axis(columns=None)
    wide["folds_of"], wide["key"] = wide["folds_of"].map(FOLDS), wide["key"].map(WORDS | {shortcuts.ALL: "all"})
    named = {"folds_of": "new to the model", "key": "utterances", LINEAR: "R2, linear", "boosting": "R2, trees"}
    return wide[["detector", "folds_of", "key", LINEAR, "boosting"]].rename(columns=named)


def strongest_table(importances: pd.DataFrame, n: int = 3) -> pd.DataFrame:
    """The `n` measures that the linear model of each detector and class rests on most, in folds of new recordings."""
    part = importances[(importances["folds_of"] == "recording") & (importances["model"] == LINEAR)]
    rows = []
    for (detector, key), found in part.groupby(["detector", "key"], sort=False):
        first = [f"{row.measure} ({row.importance:.2f})" for row in found.head(n).itertuples()]
        rows.append({"detector": detector, "utterances": WORDS.get(key, key), "strongest measures": ", ".join(first)})
    return pd.DataFrame(rows, columns=["detector", "utterances", "strongest measures"])


def measure_table(measured: pd.DataFrame) -> pd.DataFrame:
    """What each measure is: unit and meaning."""
    rows = [(name, *artefacts.MEASURES[name]) for name in names(measured)]
    return pd.DataFrame(rows, columns=["measure", "unit", "what it is"])


def _order(column: str) -> list[str]:
    return (
        list(KEYS)
        if column == "key"
        else [f"{word}, {said}" for word in WORDS.values() for said in (RIGHT, MIXED, WRONG)]
    )


def units(study: Study, table: pd.DataFrame) -> int:
    """How many there are of what the bootstrap draws: recordings of the utterances, or speakers."""
    drawn = ["speaker", *(["recording"] if study.evaluation.resample_recordings else [])]
    return len(table[drawn].drop_duplicates())


def units_of_class(study: Study, table: pd.DataFrame) -> int:
    """`units` of the class that has fewer."""
    return min(units(study, part) for _, part in table.groupby("key"))


def supportable(study: Study, tests: int, n_units: int) -> bool:
    """Whether one of `tests` tests of `n_units` units can be below `ALPHA` after Holm within the rounds that are drawn.

    The smallest p-value is that of rounds which are all on one side of 0.
    """
    if n_units < 2:
        return False
    one_sided = np.ones(max(study.evaluation.rounds, MOST_ROUNDS))
    return bool(tests * two_sided_p(one_sided, n_units) < ALPHA)


def rounds(study: Study, tests: int, n_units: int) -> int:
    """Bootstrap rounds of the study, or as many more as `supportable` tests need; more would not help the others."""
    needed = rounds_needed(tests, n_units) if supportable(study, tests, n_units) else 0
    return max(study.evaluation.rounds, needed)


def _options(study: Study, tests: int, n_units: int) -> dict[str, int]:
    """Seed and rounds of a bootstrap, for Holm's correction of so many tests."""
    return {"seed": study.corpus.seed, "rounds": rounds(study, tests, n_units)}


def _second(study: Study, measured: pd.DataFrame) -> pd.Series | None:
    return measured["recording"] if study.evaluation.resample_recordings else None
