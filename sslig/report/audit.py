"""What the paper's release says when it is computed again: where its tables are, and the page's tables and sentences.

The published tables are not part of this project. Where they are absent, the page shows the stored summary of them,
which this module writes: ``python -m sslig.report.audit --reference <folder>``.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from sslig.files import write_json
from sslig.report.audit_annotations import DETECTORS, STATEMENTS, AuditError
from sslig.report.audit_draws import VERDICTS, near_zero
from sslig.report.audit_release import TABLES, summary
from sslig.report.display import listed

REPOSITORY = Path(__file__).resolve().parents[2]
STORED = REPOSITORY / "data" / "published_audit.json"
BESIDE = REPOSITORY.parent / "shared" / "reference"
VARIABLE = "SSLIG_REFERENCE"

RELEASE = "release of arXiv 2606.10912"
CODE = "github.com/Security-FIT/IG_for_SSL_detectors at commit 40cc358"


def reference_folder(named: str | None = None, beside: Path = BESIDE) -> Path | None:
    """The folder of the published tables: `named`, else that of ``SSLIG_REFERENCE``, else `beside` if it exists.

    Raises
    ------
    AuditError
        A folder is named, in either way, and does not exist.
    """
    for source, folder in (("reference", named), (VARIABLE, os.environ.get(VARIABLE))):
        if folder:
            if not Path(folder).is_dir():
                raise AuditError(f"{source} is {folder}, which is no folder; one with {TABLES['selection']} is needed")
            return Path(folder)
    return beside if beside.is_dir() else None


def load(named: str | None = None, stored: Path = STORED, beside: Path = BESIDE) -> tuple[dict, str]:
    """The summary, computed from the published tables where they are found (`reference_folder`), else the stored one.

    Returns
    -------
    summary, origin
        As of `sslig.report.audit_release.summary`, and a sentence that says where it comes from.

    Raises
    ------
    AuditError
        There are no published tables and no stored summary, or the tables cannot be read.
    """
    if (folder := reference_folder(named, beside)) is not None:
        return summary(folder), "The published tables are at hand: this page computed all figures from them."
    if not stored.is_file():
        raise AuditError(f"{stored}: no stored summary, and no published tables; set {VARIABLE} to their folder")
    told = "The published tables are not part of this project: the figures are a stored summary computed from them."
    return json.loads(stored.read_text(encoding="utf-8")), told


def source_note(found: Mapping, origin: str) -> str:
    """Where the figures come from, and which files they rest on."""
    files = listed([f"`{name}` ({mark})" for name, mark in found["files"].items()])
    return (
        f"{origin} They are of the {RELEASE}: {files}; in brackets the start of the SHA-256 of each. "
        f"What is said of the code of the release was read in {CODE}."
    )


def group_table(found: Mapping) -> pd.DataFrame:
    """How many of the middle utterances lie where the name of their group says, as published and exchanged."""
    groups = found["groups"]
    return pd.DataFrame([
        {
            "detector": DETECTORS[row["detector"]],
            "as published": f"{row['published']} of {groups['mid']}",
            "exchanged": f"{row['exchanged']} of {groups['mid']}",
            "threshold (logit)": f"{row['threshold_low']:.1f} to {row['threshold_high']:.1f}",
            "confident ones": f"{row['confident']} of {groups['confident']}",
        }
        for row in groups["fits"]
    ])  # fmt: skip


def group_note(found: Mapping) -> str:
    """What the group table says, and what follows for the other tables."""
    groups = found["groups"]
    said = (
        f"All {groups['mid']} utterances named Mid-Correct or Mid-Wrong, of {groups['selected']} selected ones, carry "
        "the name of the other group. The script that names them takes a score above the threshold for bona fide, and "
        "the scores beside the names are higher for spoofs; the confident groups come from another script"
        if swapped(found)
        else "The scores do not show that the names Mid-Correct and Mid-Wrong are exchanged"
    )
    hold = "; the values hold, under the exchanged names" if swapped(found) else ""
    return (
        f"{said}. {groups['eers_of_mid']} of {groups['eers']} pairwise EERs compare a group of that name{hold}."
        f"{''.join(_renamed(row) for row in groups['renamed'])}"
    )


def _renamed(row: Mapping) -> str:
    easiest = row["lowest"] > row["highest_other"]
    others = f"those of all other spoofs (at most {row['highest_other']:.1f})"
    return (
        f" The group `{row['pairwise']}` of the pairwise table is `{row['selection']}` in the selection "
        f"({row['utterances']} utterances). Its AASIST scores start at {row['lowest']:.1f}, "
        + (f"above {others}: these are the spoofs that AASIST finds easiest." if easiest else f"not above {others}.")
    )


def swapped(found: Mapping) -> bool:
    """Whether all detectors' scores fit the exchanged names of the middle groups, and none the published ones."""
    mid = found["groups"]["mid"]
    return all(row["exchanged"] == mid > row["published"] for row in found["groups"]["fits"])


def eer_table(found: Mapping) -> pd.DataFrame:
    """The artefact EERs of bona fide against spoof, and of all pairs of groups, in percent."""
    pairs = {row["measure"]: row for row in found["eer"]["pairwise"]}
    return pd.DataFrame([
        {
            "measure": row["measure"],
            "published (%)": 100 * row["published"],
            "can be (%)": f"{100 * row['lowest']:.0f} to 50" if row["tied"] else "",
            "pairs above 50 %": pairs[row["measure"]]["above_half"],
            "of them by ties": pairs[row["measure"]]["tied"],
        }
        for row in found["eer"]["overall"]
    ])  # fmt: skip


def eer_note(found: Mapping) -> str:
    """Why some published EERs are above 50 %, and what can be said of them."""
    pairwise, tied = found["eer"]["pairwise"], [row for row in found["eer"]["overall"] if row["tied"]]
    total = sum(row["above_half"] for row in pairwise)
    by_ties, others = ([row for row in pairwise if bool(row["tied"]) is kind] for kind in (True, False))
    if not tied:
        return f"{total} pairwise EERs are above 50 %, and no EER of bona fide against spoof is."
    said = [
        f"for `{row['measure']}` one lowest value shared by {row['tied_bonafide']} of {row['n_bonafide']} bona fide "
        f"and {row['tied_spoof']} of {row['n_spoof']} spoof utterances gives exactly the published "
        f"{100 * row['published']:.1f} %, and {100 * row['one_step']:.1f} % where a threshold cannot split equal values"
        for row in tied
    ]  # fmt: skip
    return (
        f"Of {sum(row['pairs'] for row in pairwise)} pairwise EERs {total} are above 50 %. "
        f"{sum(row['tied'] for row in by_ties)} of them, all of {listed([row['measure'] for row in by_ties])}, are so "
        "by more than the size of the groups explains, which ties alone do. The other measures are above it in "
        f"{sum(row['above_half'] for row in others)} of {sum(row['pairs'] for row in others)} pairs; read in one "
        f"direction only they would be in far more. For instance, {'; '.join(said)}. So 100 % less the published value "
        "would be no correction: it would make evidence of ties."
    )


def judgement_table(found: Mapping) -> pd.DataFrame:
    """Locality and audibility of the labelled marks of the three detectors with intervals."""
    judged = {(row["detector"], row["what"]): row for row in found["annotations"]["judgements"]}
    return pd.DataFrame([
        {"detector": shown, "labelled": judged[name, "loc"]["labels"], "locality (1 to 5)": _text(judged[name, "loc"]),
         "audible (%)": _text(judged[name, "audible"], 100, 0)}
        for name, shown in DETECTORS.items()
    ])  # fmt: skip


def cue_table(found: Mapping) -> pd.DataFrame:
    """The cue shares as the figure takes them: ``detector``, ``group`` (the cue), ``share``, ``low`` and ``high``."""
    table = pd.DataFrame(found["annotations"]["cues"]).rename(columns={"cue": "group", "value": "share"})
    ends = {name: table[name].astype(float) for name in ("low", "high")}
    return table.assign(detector=table["detector"].map(DETECTORS), **ends)


def cue_note(found: Mapping) -> str:
    """The cue named most often for each detector, and how many utterances, speakers and annotators that rests on."""
    table, held = cue_table(found), found["annotations"]
    most = [part.loc[part["share"].idxmax()] for _, part in table.groupby("detector", sort=False)]
    said = listed([f"{row['detector']} {row['group']} ({100 * row['share']:.0f} %)" for row in most])
    return (
        f"Named most often: {said}. {held['utterances']} utterances of {held['speakers']} speakers are annotated; the "
        f"{100 * held['level']:.0f} % intervals come from {held['rounds']:,} bootstrap rounds that resample speakers. "
        "There was one annotator, so how far two people would agree cannot be computed, and no interval holds it."
    )


def statement_table(found: Mapping) -> pd.DataFrame:
    """The statements, their figures, and the differences to the two other detectors with intervals."""
    rows = []
    for row in found["annotations"]["statements"]:
        statement = STATEMENTS[row["statement"]]
        scale = (100, 0) if statement.cues else (1, 1)
        less = [f"{DETECTORS[name]} {_text(value, *scale, sign='+')}" for name, value in row["less"].items()]
        rows.append({
            "statement": f"{DETECTORS[statement.detector]} {statement.says}",
            "figure": f"{' + '.join(statement.cues)} (%)" if statement.cues else "locality (1 to 5)",
            "value": f"{scale[0] * row['value']:.{scale[1]}f}", "more than": "; ".join(less), "verdict": row["verdict"],
        })  # fmt: skip
    return pd.DataFrame(rows)


def statement_note(found: Mapping) -> str:
    """How many statements the annotations support and contradict, and how many they leave open or on the edge."""
    verdicts = pd.Series([row["verdict"] for row in found["annotations"]["statements"]])
    said = listed([f"{(verdicts == verdict).sum()} {verdict}" for verdict in VERDICTS])
    return f"Of {len(verdicts)} statements on what the detectors look at, the annotations leave {said}."


def reach_table(found: Mapping) -> pd.DataFrame:
    """How late the marks of each detector start and end."""
    return pd.DataFrame([
        {"detector": DETECTORS[row["detector"]], "marks": row["marks"], "median length (s)": row["median_length_s"],
         "end later": row["end_later"], "start later": row["start_later"], "latest end (s)": row["latest_end_s"]}
        for row in found["annotations"]["reach"]
    ])  # fmt: skip


def reach_note(found: Mapping) -> str:
    """What the head of SLS can see, and where the marks of the others lie."""
    rows = {row["detector"]: row for row in found["annotations"]["reach"]}
    sls, aasist = rows["sls"], rows["aasist"]
    return (
        f"The released SLS head reads {sls['limit_s']:.3f} s. No SLS mark ends more than "
        f"{max(0.0, sls['latest_end_s'] - sls['limit_s']):.2f} s later, and "
        f"{sls['start_later']} start later; marks are drawn by hand. {aasist['end_later']} of {aasist['marks']} marks "
        "of AASIST end later: where they lie, SLS cannot agree or disagree."
    )


def ends(found: Mapping) -> dict[str, object]:
    """What `sslig.plots.audit.mark_ends` takes: ``time_s``, ``shares`` by detector and ``limit_s``."""
    held = found["annotations"]
    shares = {shown: held["ends"][name] for name, shown in DETECTORS.items()}
    return {"time_s": held["ends"]["time_s"], "shares": shares, "limit_s": held["reach"][0]["limit_s"]}


def overlap_table(found: Mapping) -> pd.DataFrame:
    """How far the marks of two detectors meet on the same utterance, and by chance, in percent."""
    return pd.DataFrame([
        {"detectors": listed([DETECTORS[name] for name in row["detectors"]]),
         "apart": f"{row['apart']} of {row['marks']}", "overlap (%)": _text(row["same"], 100),
         "by chance (%)": f"{100 * row['chance']:.1f}", "above chance (points)": _text(row["above_chance"], 100)}
        for row in found["annotations"]["overlap"]
    ])  # fmt: skip


def overlap_note(found: Mapping) -> str:
    """Whether detectors mark the same places more than by chance."""
    rows = found["annotations"]["overlap"]
    above = sum(row["above_chance"]["low"] > 0 for row in rows)
    highest = max(row["same"]["value"] for row in rows)
    return (
        f"{above} of {len(rows)} pairs meet more than chance explains, all of them little: at most "
        f"{100 * highest:.0f} % of the time that either marks is marked by both."
    )


def answer(found: Mapping) -> str:
    """The page's answer: what is wrong in the tables, and what the annotations support."""
    groups, tied = found["groups"], sum(row["tied"] for row in found["eer"]["overall"])
    names = f"{groups['mid']} of {groups['selected']} group names are exchanged" if swapped(found) else (
        "the scores show no exchange of group names")  # fmt: skip
    return (
        f"**Answer.** In part. In the tables {names}, and {tied} of {len(found['eer']['overall'])} artefact EERs are "
        f"products of tied values. {statement_note(found)}"
    )


def _text(row: Mapping, scale: float = 1, decimals: int = 1, sign: str = "") -> str:
    """A value with its interval; an end that the draws do not tell from 0 has one more decimal."""
    places = {end: decimals + near_zero(row, end) for end in ("value", "low", "high") if row[end] is not None}
    value, *interval = [f"{round(scale * row[end], n) + 0.0:{sign}.{n}f}" for end, n in places.items()]  # no "-0"
    return f"{value} [{', '.join(interval)}]" if interval else value


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the summary of the published tables to a file, ``data/published_audit.json`` by default."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--reference", help=f"folder of the published tables; default: {VARIABLE}")
    parser.add_argument("--write", type=Path, default=STORED)
    options = parser.parse_args(arguments)
    try:
        folder = reference_folder(options.reference)
        if folder is None:
            raise AuditError(f"no published tables: give --reference or set {VARIABLE}")
        write_json(options.write, summary(folder))
    except AuditError as error:
        raise SystemExit(f"error: {error}") from error
    print(f"wrote {options.write}", file=sys.stderr)


if __name__ == "__main__":
    main()
