"""What the page on annotations says: its answer, and a sentence for each of its parts, whoever has annotated or not."""

import re
from html import escape

import numpy as np
import pandas as pd

from sslig.annotation import agreement, guesses, summary
from sslig.annotation.vocabulary import CUES, shown
from sslig.report.annotation import Material, judged, names
from sslig.report.display import listed
from sslig.study import Study

SPOKEN = {"bonafide": "bona fide", "spoof": "spoofed"}

ENOUGH = 20
"""Speakers or utterances from which percentile intervals are about as wide as they claim (`sslig.stats.intervals`)."""

NOTHING = "Nobody has judged a region yet."


def answer(found: Material) -> str:
    """The page's answer: what was heard most, and how far annotators agree."""
    rows = judged(found)
    if rows.empty:
        where = "The file holds no judged region" if found.imported else "Nobody has annotated this study yet"
        return f"**Answer.** {where}: what people hear in the regions is open."
    n, who = len(rows.drop_duplicates(["utterance", "detector"])), names(found)
    people = f"{len(who)} annotators" if len(who) > 1 else "one annotator"
    return (
        f"**Answer.** In {n:,} regions of {rows['utterance'].nunique():,} utterances, {people} heard most often "
        f"{_most(found)}. {_agreed(found)}"
    )


def source_note(study: Study, found: Material) -> str:
    """Where the annotations come from, what could not be read, and how to annotate."""
    parts = []
    if found.imported:
        parts.append(f"The annotations are those of {verbatim(found.source.name)}.")
        unknown = found.table.loc[found.table["key"].isna(), "utterance"].nunique()
        if unknown:
            n = found.table["utterance"].nunique()
            some = (
                f"None of its {n:,} utterances is" if unknown == n else f"{unknown:,} of its {n:,} utterances are not"
            )
            parts.append(f"{some} in *eval* of this study, so that their class, speaker and sound are not known here, "
                         "and intervals resample utterances in place of speakers.")  # fmt: skip
    elif len(found.table):
        parts.append(f"The annotations are those in the store of the study, {verbatim(found.source.name)}.")
    else:
        parts.append(
            f"To annotate, run `python -m sslig.widgets.serve {_path(study)}` and open the address that it tells in a "
            "browser; this page is then computed again. With the parameter `annotations` it shows any other "
            "file, such as the published one."
        )
    if len(found.faults):
        first = found.faults.iloc[0]
        parts.append(f"{len(found.faults):,} rows could not be read and are left out; the first is row {first['row']} "
                     f"of {verbatim(str(first['file']).rsplit('/', 1)[-1])}: {verbatim(first['fault'])}.")  # fmt: skip
    return " ".join(parts)


def cue_note(found: Material) -> str:
    """What the intervals of the shares rest on."""
    rows = judged(found)
    speakers = rows["speaker"].nunique() if rows["speaker"].notna().all() else 0
    rest = f"{speakers:,} speakers" if speakers > 1 else f"{rows['utterance'].nunique():,} utterances"
    n = speakers if speakers > 1 else rows["utterance"].nunique()
    few = f"With only {n:,} of them the intervals are too narrow. " if n < ENOUGH else ""
    return (
        f"In brackets are {100 * found.how.level:.0f} % intervals from {found.how.rounds:,} bootstrap rounds over "
        f"{rest}{' and their recordings' if found.how.recordings and speakers > 1 else ''}; labels of one speaker, and "
        "what several annotators say of one utterance, depend on each other, so independent draws would claim too "
        f"much. {few}Regions without a cue are left out."
    )


def class_note(table: pd.DataFrame) -> str:
    """Which cue differs most between bona fide and spoofed speech."""
    if table["key"].nunique() < 2:
        return "This needs judged regions in bona fide and in spoofed utterances of the study."
    wide = table.pivot(index=["detector", "cue"], columns="key", values="share")
    gap = (wide["spoof"] - wide["bonafide"]).dropna()
    if gap.empty:
        return "No detector has judged regions of both classes."
    detector, cue = gap.abs().idxmax()
    on = [f"{100 * wide.loc[(detector, cue), key]:.0f} % on {word}" for key, word in SPOKEN.items()]
    return (f"The largest difference is that of {cue} for {verbatim(detector)}: {listed(on)} speech. It "
            "is the largest of many, so it is worth a look and no finding.")  # fmt: skip


def overlap_note(found: Material) -> str:
    """Whether marks of different detectors meet more than by chance."""
    rows = summary.overlaps(found.table, found.how)
    if rows.empty:
        return "This needs utterances with marks of two detectors."
    above = int((rows["above_low"] > 0).sum())
    return (f"{above} of {len(rows)} pairs meet more than chance explains. At most {100 * rows['overlap'].max():.0f} % "
            "of the time that either marks is marked by both.")  # fmt: skip


def between_note(found: Material, rows: pd.DataFrame) -> str:
    """How far annotators agree on cues and places, or why that cannot be told."""
    who = names(found)
    if len(who) < 2:
        alone = " There is one, and no interval on this page holds how far another would agree." if who else ""
        return f"This needs two annotators who judge the same regions.{alone}"
    if rows.empty:
        return f"{len(who)} annotators have judged regions, and no two of them the same one."
    n_pairs = rows.groupby(["first", "second"]).ngroups
    said = "" if n_pairs == 1 else f"Of {n_pairs} pairs of annotators the middle one has "
    parts = [
        f"{name} of {values.median():.2f} for {what}"
        for name, what, values in (("a kappa", "cues", _of(rows, "cue", "Cohen's kappa")),
                                   ("an F1", "segments", _of(rows, "region", "F1")))
        if values.notna().any()
    ]  # fmt: skip
    said = f"{said or 'The two annotators have '}{listed(parts)}. " if parts else "Only one answer was ever given. "
    return (f"{said}A kappa or alpha of 0 is what chance gives, 1 is full agreement. Two marks are the same segment "
            f"where they overlap by {agreement.LEAST_OVERLAP:g} or more. Who marks another place may well hear another "
            f"cue there.{_moved(found)}")  # fmt: skip


def repeat_note(rows: pd.DataFrame) -> str:
    """How far annotators agree with themselves."""
    if rows.empty:
        return "This needs a blind plan, in which some utterances come twice; none was heard twice yet."
    same = rows[(rows["what"] == "cue") & (rows["statistic"] == "same answer")]
    said = [f"{100 * row.value:.0f} % of {row.n} ({verbatim(row.first)})" for row in same.itertuples()]
    return (f"Heard again, regions were given the same cue in {listed(said)}. Who changes their own mind so often "
            "cannot be expected to agree with others more often.")  # fmt: skip


def decoy_note(found: Material) -> str:
    """Whether real regions are heard otherwise than random places."""
    rows = summary.decoys(found.table, found.how).set_index("what")
    if rows.empty:
        return "This needs a blind plan, which hides decoys; none was judged yet."
    row = rows.loc["cue"]
    sure = row["low"] > 0 or row["high"] < 0
    return (
        f"At random places of the same length a cue was named in {100 * row['decoy']:.0f} % of cases, in real regions "
        f"in {100 * row['real']:.0f} %"
        + ("; the interval of the difference leaves out 0." if sure else ". The interval of the difference holds 0: "
           "what is heard in these regions may be what is heard anywhere.")
    )  # fmt: skip


def guess_note(found: Material, rows: pd.DataFrame) -> str:
    """How far segment classes and ears agree."""
    if rows.empty:
        return "This needs judged regions in utterances that the study explains and decodes into segments."
    same, kappa = guesses.agreement(rows, found.how).itertuples()
    interval = "" if np.isnan(same.low) else f" [{100 * same.low:.0f}, {100 * same.high:.0f}]"
    chance = "no kappa" if np.isnan(kappa.value) else f"a kappa of {kappa.value:.2f}"
    sayable = listed([CUES[cue].lower() for cue in dict.fromkeys(guesses.GUESSES.values())])
    return (f"The guess is what was heard in {100 * same.value:.0f} %{interval} of {same.n:,} regions, {chance}. A "
            f"class can only say {sayable}; the other cues have to be heard.")  # fmt: skip


def export_note(study: Study) -> str:
    """How the annotations go to other programs, and come back."""
    command = "python -m sslig.annotation"
    return (
        f"`{command} export {_path(study)} annotations.csv` writes all of this as a tidy table; with `--form` in the "
        "form of the published release, as TextGrids, as Audacity labels or for Label Studio, and `import` reads them "
        "again."
    )


def verbatim(text: str) -> str:
    """Text that stands in Markdown as it was typed: no markup of it acts."""
    return re.sub(r"([\\`*_{}\[\]()#+!|~$^:-])", r"\\\1", escape(" ".join(text.split()), quote=False))


def _path(study: Study) -> str:
    """The file of a study as a command names it."""
    return str(study.path.relative_to(study.root) if study.path.is_relative_to(study.root) else study.path.name)


def _moved(found: Material) -> str:
    """How many regions were not left where they had been proposed: agreement on the others is no merit."""
    rows = judged(found)
    rows = rows[rows["proposed_start_s"].notna()]
    if rows.empty:
        return ""
    moved = (rows["start_s"] != rows["proposed_start_s"]) | (rows["end_s"] != rows["proposed_end_s"])
    return (f" Annotators start from the same proposed regions and moved {100 * moved.mean():.0f} % of them; the "
            "others agree because nobody touched them.")  # fmt: skip


def _most(found: Material) -> str:
    table = summary.cue_shares(found.table, found.how)
    tops = [part.loc[part["share"].idxmax()] for _, part in table.groupby("detector", sort=False)]
    return listed([f"{CUES[top['cue']].lower()} for {verbatim(shown(top['detector']))} ({100 * top['share']:.0f} %)"
                   for top in tops])  # fmt: skip


def _agreed(found: Material) -> str:
    rows = agreement.of_all(found.table, found.how)
    rows = rows[(rows["what"] == "cue") & rows["statistic"].str.startswith("Krippendorff")]
    if rows.empty:
        return "How far people agree cannot be told from one annotator." if len(names(found)) < 2 else (
            "No region was judged by two of them.")  # fmt: skip
    row = rows.iloc[0]
    if np.isnan(row["value"]):
        return "They only ever gave one cue, so agreement beyond chance is not defined."
    interval = "" if np.isnan(row["low"]) else f" [{row['low']:.2f}, {row['high']:.2f}]"
    beyond = "beyond chance" if row["low"] > 0 else "no more than chance might give"
    return f"On cues they agree {beyond}: Krippendorff's alpha is {row['value']:.2f}{interval}."


def _of(rows: pd.DataFrame, what: str, statistic: str) -> pd.Series:
    return rows.loc[(rows["what"] == what) & (rows["statistic"] == statistic), "value"]
