"""Which method should explain by default: a rule on the table of planted cues, and what the rule finds."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from sslig import stages
from sslig.attribution.explanation import NOT_PROMISED, SIGNED
from sslig.attribution.explanation import COMPLETE
from sslig.report.artefact_text import interval
from sslig.report.display import listed
from sslig.report.validation import Planted, present_default
from sslig.report.validation_localisation import EXPLANATION, MEASURE, group
from sslig.report.validation_paired import paired
from sslig.study import Study

KEPT_SHARE = 0.95
"""A method that promises to add up keeps its promise where at least this share of its explanations is complete."""

RULE = (
    "Methods that explain every detector in question are ranked by their mean ROC-AUC over detectors and the kinds "
    "that these decide at the place. Those that promise to add up and break that in more than "
    f"{100 * (1 - KEPT_SHARE):.0f} % of the utterances are out, and so are those that promise nothing unless they are "
    "better beyond doubt. The best is compared with every other one on the same utterances; those that do not differ "
    "from it beyond doubt tie, and of these the one with the least seconds is taken. Nothing is taken where none of "
    "these beats chance beyond doubt, or where no kind is decided at its place."
)
"""What `choose` does, as the page says it."""

ALL = "all detectors"


@dataclass(frozen=True)
class Choice:
    """What the rule finds for one detector or for all.

    Attributes
    ----------
    scope
        The detector, or `ALL`, and which these are where not all decide a kind at its place.
    candidates
        A row a method, the best first: ``method``, ``n``, ``cells``, ``value``, ``value_low``, ``value_high``,
        ``difference`` (to the best) with its ends, ``promises``, ``kept`` (share, NaN where nothing is promised),
        ``seconds`` (median), ``admitted``, ``tied`` and ``chosen``. Empty where no kind is decided at its place.
    chosen
        The method; None where the evidence names none.
    present
        The method of the study.
    against_present
        Row of `sslig.report.validation_paired.paired` of the chosen one against the present default, None where they
        are the same or either was not measured.
    """

    scope: str
    candidates: pd.DataFrame
    chosen: str | None
    present: str
    against_present: pd.Series | None


def choices(study: Study, planted: Planted) -> list[Choice]:
    """What the rule finds for all detectors that decide a kind at its place, which come first, and for each of them."""
    decided = planted.decided
    names = [] if decided.empty else list(decided["detector"].unique())
    some = 0 < len(names) < planted.about["detector"].nunique()
    scopes = [(f"{ALL} that decide a kind at its place ({listed(names)})" if some else ALL, decided)]
    if len(decided) and decided["detector"].nunique() > 1:
        scopes += [(name, part) for name, part in decided.groupby("detector", sort=False)]
    return [choose(study, part, scope) for scope, part in scopes]


def choose(study: Study, decided: pd.DataFrame, scope: str = ALL) -> Choice:
    """Apply the `RULE` to the rows of `sslig.stages.localised` of kinds that are decided at their place."""
    present, own = present_default(study), _measured(decided)
    if own.empty:
        return Choice(scope, pd.DataFrame(), None, present, None)
    found = _ranked(study, own, _candidates(decided, own))
    tied = found[found["tied"]].sort_values(["seconds", "method"], kind="stable")
    beats_chance = tied["value_low"].max() > own["control"].mean()
    chosen = tied["method"].iloc[0] if beats_chance else None  # where nothing is tied, the maximum is NaN
    told = found.assign(chosen=found["method"] == chosen)
    return Choice(scope, told, chosen, present, None if chosen is None else _compared(study, own, chosen, present))


def _ranked(study: Study, own: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """The candidates with their means, what they differ by from the best admitted one, and which tie with it."""
    keeps = found["kept"] >= KEPT_SHARE
    if not keeps.any():
        against = paired(study, own, "method", found["method"].iloc[0])
        return found.merge(against, on="method").assign(admitted=False, tied=False)
    compared = found.merge(paired(study, own, "method", found.loc[keeps, "method"].iloc[0]), on="method")
    better = ~compared["promises"] & (compared["difference_low"] > 0)
    if better.any():
        compared = found.merge(paired(study, own, "method", found.loc[better, "method"].iloc[0]), on="method")
    admitted = keeps | better
    return compared.assign(admitted=admitted, tied=admitted & ~(compared["difference_high"] < 0))


def _measured(decided: pd.DataFrame) -> pd.DataFrame:
    """The rows of the measure, signed, of methods that are measured in every kind and detector."""
    if decided.empty:
        return decided
    own = decided[(decided["statistic"] == MEASURE) & (decided["aggregation"] == SIGNED)]
    own = own[own["method"].map(group) == EXPLANATION]
    cells = own.drop_duplicates(["method", "kind", "detector"]).groupby("method", sort=False).size()
    everywhere = cells.index[cells == len(own[["kind", "detector"]].drop_duplicates())]
    return own[own["method"].isin(everywhere)]


def _candidates(decided: pd.DataFrame, own: pd.DataFrame) -> pd.DataFrame:
    """Method, what became of its promise and what it costs, the best mean over kinds and detectors first."""
    costs = stages.localised_costs(decided, ["method"])
    costs = costs[costs["method"].isin(own["method"])]
    promises = costs[NOT_PROMISED] < costs["n"]
    kept = (costs[COMPLETE] / costs["n"]).where(promises)
    found = pd.DataFrame(
        {"method": costs["method"], "promises": promises, "kept": kept, "seconds": costs["seconds_median"]}
    )
    means = own.groupby(["method", "kind", "detector"])["value"].mean().groupby("method").mean()
    order = found["method"].map(means).sort_values(ascending=False, kind="stable").index
    return found.loc[order].reset_index(drop=True)


def _compared(study: Study, own: pd.DataFrame, chosen: str, present: str) -> pd.Series | None:
    if chosen == present or present not in set(own["method"]):
        return None
    return paired(study, own, "method", present).set_index("method").loc[chosen]


def choice_table(choice: Choice) -> pd.DataFrame:
    """The candidates as people read them."""
    rows = [{
        "method": row.method,
        "promise": f"{100 * row.kept:.0f} % complete" if row.promises else "nothing promised",
        "ROC-AUC": interval(row.value, row.value_low, row.value_high, 3).replace(" [", "\n["),
        "to the best": interval(row.difference, row.difference_low, row.difference_high, 3, "+").replace(" [", "\n["),
        "s": f"{row.seconds:.2f}",
        "rule": "default" if row.chosen else "ties" if row.tied else "behind" if row.admitted else "out",
    } for row in choice.candidates.itertuples()]  # fmt: skip
    return pd.DataFrame(rows, columns=["method", "promise", "ROC-AUC", "to the best", "s", "rule"])


def recommendation(found: Sequence[Choice]) -> str:
    """What the rule recommends, scope by scope, and how far the evidence separates the methods."""
    return "\n".join(f"- **{one.scope}**: {_recommended(one)}" for one in found)


def _recommended(one: Choice) -> str:
    if one.candidates.empty:
        return (f"no kind is decided at its place, so this study names no default; `{one.present}`, the present one, "
                "is neither supported nor refuted here.")  # fmt: skip
    if one.chosen is None:
        why = "no method that is admitted finds the places better than chance beyond doubt" if (
            one.candidates["admitted"].any()
        ) else "no method keeps its promise to add up often enough"  # fmt: skip
        return f"{why}, so the evidence names no default; `{one.present}` is the present one."
    tied = [f"`{name}`" for name in one.candidates.loc[one.candidates["tied"], "method"] if name != one.chosen]
    row = one.candidates.set_index("method").loc[one.chosen]
    text = f"`{one.chosen}` (mean ROC-AUC {row['value']:.2f}, {row['seconds']:.2f} s an utterance)"
    text += f", which the evidence does not separate from {listed(tied)}" if tied else ", the best beyond doubt"
    return f"{text}. {_to_present(one)}"


def _to_present(one: Choice) -> str:
    if one.chosen == one.present:
        return "It is the present default."
    if one.against_present is None:
        return f"The present default `{one.present}` was not measured on all of these."
    row = one.against_present
    ends = (row["difference_low"], row["difference_high"])
    differs = "better" if ends[0] > 0 else "worse" if ends[1] < 0 else "not different beyond doubt"
    return (f"Against the present default `{one.present}` it differs by {row['difference']:+.3f} "
            f"[{ends[0]:+.3f}, {ends[1]:+.3f}]: {differs}.")  # fmt: skip
