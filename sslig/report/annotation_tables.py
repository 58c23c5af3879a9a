"""The tables and figures of the page on annotations."""

import numpy as np
import pandas as pd

from sslig.annotation import agreement, guesses, summary
from sslig.annotation import table as tables
from sslig.annotation.vocabulary import CUES, shown
from sslig.report.annotation import Material, judged


def annotator_table(found: Material) -> pd.DataFrame:
    """What each annotator has done."""
    rows = []
    for name, part in tables.judged(found.table).groupby("annotator"):
        plan_of = found.progress[found.progress["annotator"] == name]
        done = f"{plan_of['done'].iloc[0]} of {plan_of['of'].iloc[0]}" if len(plan_of) else ""
        rows.append({
            "annotator": name, "utterances": part["utterance"].nunique(), "done": done,
            "regions": int((~part["decoy"] & ~part["repeat"]).sum()), "decoys": int(part["decoy"].sum()),
            "repeats": int((part["repeat"] & ~part["decoy"]).sum()),
            "blind": {0.0: "no", 1.0: "yes"}.get(part["blind"].mean(), "in part"),
        })  # fmt: skip
    table = pd.DataFrame(rows)
    return table if (table["done"] != "").any() else table.drop(columns="done")


def cue_figure(found: Material) -> pd.DataFrame:
    """The cue shares of each detector, as `sslig.plots.cue_shares` takes them."""
    table = summary.cue_shares(found.table, found.how).rename(columns={"cue": "group"})
    return table.assign(detector=table["detector"].map(shown))


def cue_table(found: Material) -> pd.DataFrame:
    """How often each cue was named for each detector, and the share in percent with its interval."""
    table = summary.cue_shares(found.table, found.how).set_index(["detector", "cue"])
    columns: dict[str, list] = {"cue": list(CUES.values())}
    for name in _detectors(found):
        own = table.loc[name].loc[list(CUES)]
        columns[shown(name)] = own["n"].tolist()
        columns[f"{shown(name)} (%)"] = [_percent(row.share, row.low, row.high) for row in own.itertuples()]
    return pd.DataFrame(columns)


def cue_by_class(found: Material) -> pd.DataFrame:
    """The cue shares of each detector on bona fide and on spoofed speech: ``detector``, ``key``, ``cue``, ``share`` ...

    Empty where the study does not know the class of any judged utterance.
    """
    known = found.table[found.table["key"].notna()]
    table = summary.cue_shares(known, found.how, by=("detector", "key"))
    return table.assign(detector=table["detector"].map(shown))


def judgement_table(found: Material) -> pd.DataFrame:
    """Locality and audibility of the marks of each detector, with intervals."""
    rows = summary.judgements(found.table, found.how).set_index(["detector", "what"])
    return pd.DataFrame([
        {"detector": shown(name), "regions": int((judged(found)["detector"] == name).sum()),
         "locality (1 to 5)": _cell(rows, (name, "locality"), 1, 1),
         "audible (%)": _cell(rows, (name, "audible"), 100, 0)}
        for name in _detectors(found)
    ])  # fmt: skip


def overlap_table(found: Material) -> pd.DataFrame:
    """How far the marks of each two detectors meet on the same utterance, and by chance, in percent."""
    rows = summary.overlaps(found.table, found.how)
    return pd.DataFrame([
        {"detectors": f"{shown(row.first)} and {shown(row.second)}", "apart": f"{row.apart} of {row.n}",
         "overlap (%)": _percent(row.overlap, row.low, row.high, 1),
         "by chance (%)": "" if np.isnan(row.chance) else f"{100 * row.chance:.1f}",
         "above chance (points)": _percent(row.above, row.above_low, row.above_high, 1)}
        for row in rows.itertuples()
    ])  # fmt: skip


def all_table(found: Material) -> pd.DataFrame:
    """Agreement of all annotators at once."""
    rows = agreement.of_all(found.table, found.how)
    return pd.DataFrame([
        {"judgement": row.what, "measure": row.statistic, "annotators": row.annotators, "regions": row.n,
         "value": number(row.value, row.low, row.high)}
        for row in rows.itertuples()
    ])  # fmt: skip


def pairs(found: Material) -> pd.DataFrame:
    """Agreement of each two annotators (`sslig.annotation.agreement.between`)."""
    return agreement.between(found.table, found.how, found.duration_s)


def repeats(found: Material) -> pd.DataFrame:
    """Agreement of each annotator with themselves (`sslig.annotation.agreement.within`)."""
    return agreement.within(found.table, found.how, found.duration_s)


def agreement_table(rows: pd.DataFrame) -> pd.DataFrame:
    """A table of `pairs` or `repeats` with a row for each two, or of repeats for each annotator."""
    found = []
    for (first, second), part in rows.groupby(["first", "second"], sort=False):
        own = second.startswith(f"{first}, ")
        row = {"annotator" if own else "annotators": first if own else f"{first} and {second}"}
        row |= {"regions": int(part.loc[part["what"] == "cue", "n"].max())}
        for what, statistic, heading in (
            ("cue", "same answer", "same cue"), ("cue", "Cohen's kappa", "cue (kappa)"),
            ("locality", "Cohen's kappa", "locality (kappa)"), ("audible", "Cohen's kappa", "audible (kappa)"),
            ("region", "F1", "segments (F1)"), ("region", "frame kappa", "frames (kappa)"),
        ):  # fmt: skip
            one = part[(part["what"] == what) & (part["statistic"] == statistic)]
            row[heading] = number(*one.iloc[0][["value", "low", "high"]]) if len(one) else ""
        found.append(row)
    return pd.DataFrame(found)


def confusion(found: Material, rows: pd.DataFrame) -> tuple[pd.DataFrame, str, str]:
    """How often two annotators named each cue, and who they are: of `pairs`, those with most regions in common."""
    table, cues = tables.plain(found.table), rows[rows["what"] == "cue"]
    first, second = cues.loc[cues["n"].idxmax(), ["first", "second"]]
    pair = agreement.paired(table[table["annotator"] == first], table[table["annotator"] == second])
    return agreement.confusion(pair, "cue"), first, second


def decoy_table(found: Material) -> pd.DataFrame:
    """What is said of decoys, of real regions in the same utterances, and the difference."""
    words = {"cue": ("names a cue (%)", 100, 0), "audible": ("audible (%)", 100, 0), "locality": ("locality", 1, 1)}
    rows = []
    for row in summary.decoys(found.table, found.how).itertuples():
        heading, scale, decimals = words[row.what]
        ends = (f"{scale * value:+.{decimals}f}" for value in (row.difference, row.low, row.high))
        rows.append({
            "judgement": heading, "real regions": f"{scale * row.real:.{decimals}f} (n = {row.n_real})",
            "decoys": f"{scale * row.decoy:.{decimals}f} (n = {row.n_decoy})",
            "difference": _interval(*ends),
        })  # fmt: skip
    return pd.DataFrame(rows)


def guessed(found: Material) -> pd.DataFrame:
    """The judged regions with what their place suggests (`sslig.annotation.guesses.guessed`)."""
    if found.regions.empty:
        return pd.DataFrame()
    return guesses.guessed(found.table, found.regions)


def heard_by_class(rows: pd.DataFrame) -> pd.DataFrame:
    """How often each cue was heard in regions of each class, of `guessed`."""
    return guesses.by_class(rows)


def said_table(found: Material) -> pd.DataFrame:
    """All judged regions as people read them."""
    rows = tables.judged(found.table)
    kinds = np.select([rows["decoy"], rows["repeat"]], ["decoy", "repeat"], "")
    return pd.DataFrame({
        "annotator": rows["annotator"], "utterance": rows["utterance"],
        "detector": rows["detector"].map(shown), "kind": kinds,
        "from (s)": rows["start_s"], "to (s)": rows["end_s"], "cue": rows["cue"],
        "locality": ["" if pd.isna(value) else str(value) for value in rows["locality"]],
        "audible": rows["audible"].map({True: "yes", False: "no"}).fillna(""), "comment": rows["comment"],
    })  # fmt: skip


def number(value: float, low: float, high: float) -> str:
    """A measure of agreement with its interval; nothing where there is none."""
    if np.isnan(value):
        return "none: one answer only"
    return _interval(*(f"{end:.2f}" for end in (value, low, high)))


def _detectors(found: Material) -> list[str]:
    return list(dict.fromkeys(judged(found)["detector"]))


def _percent(value: float, low: float, high: float, decimals: int = 0) -> str:
    return _interval(*(f"{100 * one:.{decimals}f}" for one in (value, low, high)))


def _cell(rows: pd.DataFrame, place: tuple[str, str], scale: float, decimals: int) -> str:
    if place not in rows.index:
        return ""
    return _interval(*(f"{scale * rows.loc[place][name]:.{decimals}f}" for name in ("value", "low", "high")))


def _interval(value: str, low: str, high: str) -> str:
    """A value and its interval on one line, however narrow the page; the value alone where there is no interval."""
    return value if low.endswith("nan") else f"{value} [{low}, {high}]".replace(" ", "\N{NO-BREAK SPACE}")
