"""What each attribution method promises, how far it keeps that, and what it costs."""

from collections.abc import Sequence

import pandas as pd

from sslig import stages
from sslig.attribution.explanation import STATUSES
from sslig.attribution.explanation import NOT_PROMISED, SIGNED
from sslig.attribution.explanation import COMPLETE
from sslig.attribution.target import FREE
from sslig.attribution.methods import METHODS, available, parse
from sslig.models.detector import Detector
from sslig.report.artefact_text import interval
from sslig.report.display import listed
from sslig.report.validation import Planted
from sslig.report.validation_cells import once
from sslig.report.validation_localisation import EXPLANATION, MEASURE, group
from sslig.report.validation_paired import paired
from sslig.study import Study

FROZEN_IG, FREE_IG = "ig", f"ig(selection={FREE})"
"""The same path and baseline, with the nodes of the explained input held, and chosen anew at each point."""

PERCENTS = {"median (%)": "residual_median", "worst (%)": "residual_worst"}


def cost_table(planted: Planted) -> pd.DataFrame:
    """A row a detector and method: how many explanations have each status, residuals in percent, and the cost."""
    if planted.table.empty:
        return pd.DataFrame()
    costs = stages.localised_costs(planted.table)
    found = costs[["detector", "method", "n"]].copy()
    for status in STATUSES[:-1]:
        if costs[status].any():
            found[status] = (
                costs[status].where(costs[NOT_PROMISED] < costs["n"]).map("{:.0f}".format).replace("nan", "")
            )
    for heading, name in PERCENTS.items():
        found[heading] = (100 * costs[name]).map("{:.2f}".format).replace("nan", "")
    found["s"] = costs["seconds_median"].map("{:.2f}".format)
    found["MiB"] = costs["peak_mib_worst"].map("{:.0f}".format).replace("nan", "")
    return once(found, "detector")


def cost_note(planted: Planted) -> str:
    """Which methods keep their promise everywhere, which do not, and what the slowest and the fastest cost."""
    if planted.table.empty:
        return ""
    costs = stages.localised_costs(planted.table, ["method"])
    promising = costs[costs[NOT_PROMISED] < costs["n"]]
    always = [f"`{row['method']}`" for row in promising.to_dict("records") if row[COMPLETE] == row["n"]]
    broken = [
        f"`{row['method']}` does not add up in {row['n'] - row[COMPLETE]} of {row['n']}"
        for row in promising.to_dict("records")
        if row[COMPLETE] < row["n"]
    ]
    said = [f"{listed(always)} {'add' if len(always) > 1 else 'adds'} up in every utterance"] if always else []
    said += [f"{listed(broken)} utterances"] if broken else []
    said = said or ["No method promises to add up"]
    costs = costs[costs["method"].map(group) == EXPLANATION]
    slow, fast = (costs.loc[getattr(costs["seconds_median"], which)()] for which in ("idxmax", "idxmin"))
    return (
        f"{'; '.join(said)}. The dearest, `{slow['method']}`, takes {slow['seconds_median']:.2f} s an utterance, the "
        f"cheapest, `{fast['method']}`, {fast['seconds_median']:.2f} s."
    )


def selection_note(study: Study, planted: Planted) -> str:
    """Integrated Gradients with the frozen and with the free selection of nodes: completeness and ROC-AUC."""
    held = planted.table
    free = set() if held.empty else set(held.loc[held["method"] == FREE_IG, "detector"])
    if not free:
        return f"`{FREE_IG}` is among the methods of no detector here, so both selections are not compared."
    own = held[held["detector"].isin(free) & held["method"].isin([FROZEN_IG, FREE_IG])]
    costs = stages.localised_costs(own, ["method"]).set_index("method")
    kept = {name: f"{row[COMPLETE]:.0f} of {row['n']:.0f}" for name, row in costs.iterrows()}
    measured = own[(own["statistic"] == MEASURE) & (own["aggregation"] == SIGNED)]
    row = paired(study, measured, "method", FROZEN_IG).set_index("method").loc[FREE_IG]
    difference = interval(row["difference"], row["difference_low"], row["difference_high"], 3, "+")
    return (
        f"{listed(sorted(free))}: with the selection of nodes frozen {kept[FROZEN_IG]} explanations are complete, with "
        f"the free one {kept[FREE_IG]}. The free one finds the places with a ROC-AUC that differs by {difference}. "
        "A frozen selection explains the head with the nodes of this utterance; a free one explains the head as it is, "
        "jumps and all."
    )


def absent_note(study: Study, detectors: Sequence[str], seed: int, methods: Sequence[str] | None) -> str:
    """Which methods explain which detectors not, and why, as a list; a sentence where there is none."""
    asked = methods or study.validation.methods or METHODS
    reasons: dict[tuple[str, str], list[str]] = {}
    for detector in detectors:
        head = Detector.from_pretrained(stages.checkpoint(study, detector, seed)).head
        for spec in dict.fromkeys([*(parse(one).spec for one in asked)]):
            if reason := available(spec, head):
                reasons.setdefault((spec, reason), []).append(detector)
    told = [f"- `{spec}` is not offered for {listed(names)}: {reason}." for (spec, reason), names in reasons.items()]
    return "\n".join(told) or "Every method explains every detector."


def method_table(planted: Planted) -> pd.DataFrame:
    """What each method is and whether it promises to add up."""
    specs = [] if planted.table.empty else dict.fromkeys(
        planted.table.loc[planted.table["seconds"].notna(), "method"]
    )  # fmt: skip
    methods = [parse(spec) for spec in specs]
    rows = [(one.spec, one.description, "yes" if one.adds_up else "") for one in methods]
    return pd.DataFrame(rows, columns=["method", "what it does", "adds up"])
