"""Where explanations do not find the known place, or no better than a plain map does, and why as far as data tell."""

import pandas as pd

from sslig.attribution.explanation import ABSOLUTE, SIGNED
from sslig.attribution.explanation import COMPLETE
from sslig.report.validation import LEARNT_EER, NOTHING, Planted
from sslig.report.validation_localisation import EXPLANATION, MEASURE, RANDOM, RIVAL, of_default
from sslig.report.validation_paired import paired
from sslig.study import Study
from sslig.validation.rivals import FEATURE_CHANGE

FEW = 10
"""Explained spoofs below which an interval is too wide to tell much."""
WIDE_PLACE = 0.5
"""Share of time of a place from which on a map has little to miss."""
FAR_LIMIT = 0.7
"""ROC-AUC of the change of the features by the cue, below which the features do not show the place clearly."""

COLUMNS = ["kind", "detector", "method", "at_chance", "rival", "n", "eer", "place_share", "why"]
SHOWN = ["kind", "detector", "n", "EER (%)", "time (%)", "not beyond chance", "not beyond the best plain map", "why"]


def failures(study: Study, planted: Planted, found: pd.DataFrame) -> pd.DataFrame:
    """`COLUMNS`, a row a kind, detector and method that does not beat chance, or the best plain map, beyond doubt.

    Parameters
    ----------
    found
        As of `sslig.report.validation_localisation.summary`.

    Returns
    -------
    DataFrame
        ``at_chance`` says whether the interval of the method's advantage over chance does not lie above 0; ``rival``
        names the plain map of the highest mean where the method is not better beyond doubt on the same utterances, and
        is empty where it is.
    """
    rows = []
    for (kind, detector), part in found[found["statistic"] == MEASURE].groupby(["kind", "detector"], sort=False):
        about = planted.about[(planted.about["kind"] == kind) & (planted.about["detector"] == detector)].iloc[0]
        told = {"kind": kind, "detector": detector, "eer": about["eer"], "place_share": about["place_share"]}
        rival, behind = _against_plain(study, planted, part, kind, detector)
        signed = of_default(part)
        for row in signed[signed["group"] == EXPLANATION].to_dict("records"):
            own = {"method": row["method"], "at_chance": not row["supported"], "n": row["n"]}
            own["rival"] = rival if row["method"] in behind else ""
            if own["at_chance"] or own["rival"]:
                rows.append(told | own | {"why": _reasons(row, about, part)})
    return pd.DataFrame(rows, columns=COLUMNS)


def _against_plain(
    study: Study, planted: Planted, part: pd.DataFrame, kind: str, detector: str
) -> tuple[str, set[str]]:  # fmt: skip
    """The plain map of the highest mean in one cell, and the methods that are not better beyond doubt."""
    plain = part[part["group"] == RIVAL].sort_values("value", kind="stable")["method"]
    if plain.empty:
        return "", set()
    rival, methods = plain.iloc[-1], set(part.loc[part["group"] == EXPLANATION, "method"])
    held = of_default(planted.table)
    held = held[(held["kind"] == kind) & (held["detector"] == detector) & (held["statistic"] == MEASURE)]
    compared = paired(study, held[held["method"].isin({*methods, rival})], "method", rival).set_index("method")
    return rival, {name for name in methods if not compared.at[name, "difference_low"] > 0}


def _reasons(row: dict[str, object], about: pd.Series, part: pd.DataFrame) -> list[str]:
    """What the data tell of why a method fails in one cell; several may hold."""
    said = []
    if not about["learnt"]:
        said.append(f"the kind is not learnt (EER above {100 * LEARNT_EER:.0f} %)")
    if row["n"] < FEW:
        said.append(f"{row['n']} utterances are too few to tell")
    if about["place_share"] > WIDE_PLACE:
        said.append("the place is most of the recording")
    if about["learnt"] and not about["decided"]:
        shares = f"{100 * about['place_carries']:.0f} % of the decision, the rest {100 * about['rest_carries']:.0f} %"
        said.append(
            f"it is not decided at the place, which carries {shares}: no map of the head should point there alone"
        )
    limit = part[part["method"] == FEATURE_CHANGE]["value"]
    if len(limit) and limit.iloc[0] < FAR_LIMIT:
        said.append(f"the features change by the cue outside its place too (limit {limit.iloc[0]:.2f})")
    unsigned = part[(part["method"] == row["method"]) & (part["aggregation"] == ABSOLUTE)]
    if (unsigned["value_low"] > row["value"]).any():
        said.append("unsigned it does better: in the place evidence of both signs cancels, or counts for bona fide")
    if row["advantage_high"] < 0:
        said.append("the evidence for spoof lies elsewhere beyond doubt")
    return said or ["unexplained by what is measured here"]


def failure_table(failed: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """`failures` as people read them: a row a kind and detector.

    Parameters
    ----------
    failed
        As of `failures`.
    found
        What they were found in, which says how many methods there are.
    """
    rows = []
    for (kind, detector), part in failed.groupby(["kind", "detector"], sort=False):
        first, own = part.iloc[0], found[(found["kind"] == kind) & (found["detector"] == detector)]
        every = list(own.loc[own["group"] == EXPLANATION, "method"].unique())
        behind = part[part["rival"] != ""]
        rival = f"{behind['rival'].iloc[0]}: {_named(behind, every)}" if len(behind) else ""
        rows.append({
            "kind": kind, "detector": detector, "n": first["n"], "EER (%)": f"{100 * first['eer']:.0f}",
            "time (%)": f"{100 * first['place_share']:.0f}", SHOWN[5]: _named(part[part["at_chance"]], every),
            SHOWN[6]: rival, "why": "; ".join(dict.fromkeys(reason for why in part["why"] for reason in why)),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=SHOWN)


def _named(part: pd.DataFrame, every: list[str]) -> str:
    """The methods of some rows, or which of all are not among them where those are fewer."""
    others = [method for method in every if method not in set(part["method"])]
    if len(part) > 1 and len(others) < len(part):
        return f"all {len(every)}" + (f" but {', '.join(others)}" if others else "")
    return ", ".join(part["method"])


def failure_note(failed: pd.DataFrame, found: pd.DataFrame, method: str) -> str:
    """How often the methods, and one of them, fail in kinds decided at their place, and whether noise succeeds."""
    measured = of_default(found[(found["statistic"] == MEASURE) & found["decided"].astype(bool)])
    every = measured[measured["group"] == EXPLANATION][["kind", "detector", "method"]]
    if every.empty:
        return "No kind is decided at its place, so that a map at chance is no failure of the method; all are listed."
    own = failed.merge(every)
    at_chance, behind = own[own["at_chance"].astype(bool)], own[own["rival"] != ""]
    lucky = measured[(measured["method"] == RANDOM) & measured["supported"]]
    text = (
        f"In kinds that are decided at their place {len(at_chance)} of {len(every)} combinations of kind, detector and "
        f"method are not beyond chance, and {len(behind)} are not beyond the best plain map; of `{method}` alone "
        f"{int((at_chance['method'] == method).sum())} and {int((behind['method'] == method).sum())} of "
        f"{int((every['method'] == method).sum())}."
    )
    return text + (f" Noise is beyond chance {len(lucky)} times, which is luck; others may have it too."
                   if len(lucky) else "")  # fmt: skip


def worst(planted: Planted, method: str) -> pd.Series | None:
    """The spoof, of a kind decided at its place if there is one, in which a method finds the place worst; or None."""
    held = planted.telling
    if held.empty:
        return None
    own = held[(held["method"] == method) & (held["aggregation"] == SIGNED) & (held["statistic"] == MEASURE)]
    own = own[own["value"].notna()]
    return None if own.empty else own.loc[own["value"].idxmin()]


def worst_note(row: pd.Series | None, method: str) -> str:
    """What is known of the worst utterance, or that there is none."""
    if row is None:
        return NOTHING
    complete = "" if not row["status"] else f" The explanation is {row['status']}." if row["status"] != COMPLETE else (
        f" The explanation adds up (off by {100 * row['relative_residual']:.2f} %)."
    )  # fmt: skip
    return (
        f"`{row['utterance']}` ({row['kind']}, {row['detector']}): `{method}` has a ROC-AUC of {row['value']:.2f}, "
        f"where shifts of the same map have {row['control_low']:.2f} to {row['control_high']:.2f}. The place is "
        f"{100 * row['place_share']:.0f} % of what is read; the score is {row['score']:+.2f}, the threshold "
        f"{row['threshold']:+.2f}.{complete}"
    )
