"""Audit of the published release: its groups, artefact EERs and annotations, computed again.

The tables are those of the release of arXiv 2606.10912, and its code is that of github.com/Security-FIT/
IG_for_SSL_detectors at commit 40cc358. Neither is part of this project. Where the tables are absent, the page shows the
derived figures that ``python -m sslig.annotation.audit`` has stored.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sslig.annotation import interchange, statistics
from sslig.annotation.plan import marked, plain, with_protocol
from sslig.annotation.store import DETECTORS
from sslig.errors import InputError
from sslig.files import write_tsv
from sslig.frames import SAMPLE_RATE_HZ, SSL_CLOCK
from sslig.stats import metrics
from sslig.stats.bootstrap import Estimate, Units, estimate, mean

if TYPE_CHECKING:
    from torch import Tensor, nn

REPOSITORY = Path(__file__).resolve().parents[2]
STORED = REPOSITORY / "data" / "published_audit"
BESIDE = REPOSITORY.parent / "shared" / "reference"
VARIABLE = "SSLIG_REFERENCE"

FILES = {
    "selection": "published_selection_132.csv",
    "annotations": "published_annotations.csv",
    "overall": "published_artefact_eer_global.csv",
    "pairwise": "published_artefact_eer_pairwise.csv",
}
PROTOCOL = {"FileID": "utterance", "Label": "key", "Speaker": "speaker"}
SCORES = {"aasist": "AASIST_Score", "camhfa": "CAMHFA_Score", "sls": "SLS_Score"}
MIDDLE = {"Mid-Correct": True, "Mid-Wrong": False}
CONFIDENT = {"Confidently Correct": True, "Confidently Wrong": False}
SHORT = {"Confidently Correct": "CR", "Confidently Wrong": "CW"}
"""Names of groups in the selection, and in the table of pairwise EERs."""

STATEMENTS = (
    ("aasist", "looks at what is not speech", ("noise", "silence", "breath")),
    ("camhfa", "looks at phones", ("phoneme",)),
    ("camhfa", "looks at short stretches", ()),
    ("sls", "looks at word boundaries", ("transition",)),
    ("sls", "looks at the spectrum", ("spectral",)),
)
"""Statements of the paper's abstract on one detector, and the cues whose share would show each; no cues: locality."""

SLS_FRAMES = 201
"""Frames that the released SLS head reads (Zhang et al., ACM MM 2024)."""

RELEASED_POINTS = 50
"""Path points of the released call: captum's default, by Gauss-Legendre quadrature."""

POINTS_AT_ONCE = 16
HOW = statistics.Resampling(seed=0, rounds=50_000)
STEP_S = 0.1
SAME = 1e-9


def load(reference: str | None = None) -> tuple[dict[str, pd.DataFrame], Path]:
    """The tables of the audit, and where they come from.

    They are computed from the folder `reference`, else that of ``SSLIG_REFERENCE``, else `BESIDE`; without a folder
    they are read from `STORED`.
    """
    folder = reference or os.environ.get(VARIABLE) or (BESIDE if BESIDE.is_dir() else None)
    if folder is None:
        return {path.stem: pd.read_csv(path, sep="\t") for path in STORED.glob("*.tsv")}, STORED
    return tables(Path(folder)), Path(folder)


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    """All tables of the audit by name, from the published tables in a folder.

    ``ends`` holds the share of marks that have ended by each time; the others are named after the functions here and
    in `sslig.annotation.statistics`.
    """
    if missing := [file for file in FILES.values() if not (folder / file).is_file()]:
        raise InputError(f"{folder / missing[0]}: no such file; the folder of the published tables is needed")
    selection, overall, pairwise = (pd.read_csv(folder / FILES[name]) for name in ("selection", "overall", "pairwise"))
    annotations = _annotations(folder, selection)
    hashes = {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in FILES.values()}
    marks = marked(plain(annotations))
    time_s = np.arange(0, marks["end_s"].max() + STEP_S, STEP_S)
    ends = {
        name: (part.to_numpy()[:, None] <= time_s).mean(axis=0) for name, part in marks.groupby("detector")["end_s"]
    }
    return {
        "files": pd.DataFrame({"file": hashes.keys(), "sha256": hashes.values()}),
        "groups": groups(selection),
        "renamed": renamed(selection, pairwise),
        "eers": eers(selection, overall, pairwise),
        "cues": statistics.cue_shares(annotations, HOW),
        "judgements": statistics.judgements(annotations, HOW),
        "overlaps": statistics.overlaps(annotations, HOW),
        "statements": statements(annotations),
        "reach": reach(marks),
        "ends": pd.DataFrame(ends).assign(time_s=time_s).melt("time_s", var_name="detector", value_name="share"),
    }


def groups(selection: pd.DataFrame) -> pd.DataFrame:
    """How many middle utterances lie on the side of a threshold that the name of their group says.

    A correct spoof and a wrong bona fide utterance should score above a detector's threshold, the others below. The
    thresholds are not published, so the best of all is taken, for the names as ``published`` and ``exchanged``;
    ``confident_fit`` counts the confident utterances that fit the middle of the best exchanged threshold.
    """
    rows = []
    for detector, column in SCORES.items():
        scores, above = _should_be_above(selection, MIDDLE, column)
        (published, *_), (exchanged, low, high) = fit(scores, above), fit(scores, ~above)
        confident, confident_above = _should_be_above(selection, CONFIDENT, column)
        agree = (confident > (low + high) / 2) == confident_above
        row = {"detector": detector, "middle": len(scores), "published": published, "exchanged": exchanged}
        row |= {"threshold_low": low, "threshold_high": high}
        rows.append(row | {"confident": len(agree), "confident_fit": agree.sum(), "selected": len(selection)})
    return pd.DataFrame(rows)


def fit(scores: np.ndarray, above: np.ndarray) -> tuple[int, float, float]:
    """The number of scores on the right side of the best threshold, and the scores around that threshold.

    `above` says of each of the (utterance,) spoof scores whether it should lie above.
    """
    edges = np.concatenate([[-np.inf], np.sort(scores), [np.inf]])
    right = [((scores > low) == above).sum() for low in edges[:-1]]
    best = int(np.argmax(right))
    return int(right[best]), float(edges[best]), float(edges[best + 1])


def renamed(selection: pd.DataFrame, pairwise: pd.DataFrame) -> pd.DataFrame:
    """The group with one name in the selection and another in the pairwise table, and AASIST scores of spoofs.

    Empty unless exactly one group of each table lacks its name in the other.
    """
    groups, named = selection["SelectionReason"], set(pairwise["Group_1"]) | set(pairwise["Group_2"])
    ours, theirs = sorted(set(groups[~groups.map(_short).isin(named)])), sorted(named - set(groups.map(_short)))
    if len(ours) != 1 or len(theirs) != 1:
        return pd.DataFrame(columns=["selection", "pairwise", "utterances", "lowest", "highest_other"])
    inside, scores = groups == ours[0], selection[SCORES["aasist"]]
    others = scores[(selection["Label"] == "spoof") & ~inside]
    row = {"selection": ours[0], "pairwise": theirs[0], "utterances": inside.sum()}
    return pd.DataFrame([row | {"lowest": scores[inside].min(), "highest_other": others.max()}])


def eers(selection: pd.DataFrame, overall: pd.DataFrame, pairwise: pd.DataFrame) -> pd.DataFrame:
    """The published artefact EERs, and which of them only ties explain.

    The released function steps through equal values one by one. An EER above `ceiling` then needs a tie: a lowest
    value, such as a silence of 0 s, of at least a share EER of both classes. A threshold cannot split a tie, so the
    EER in the better direction is at least half of that, and at most 0.5.

    Returns
    -------
    DataFrame
        ``measure``; for an EER of bona fide against spoof that only ties explain, ``published``, ``lowest`` (the
        smallest EER that it can stand for), the most even ties that give it (``tied_bonafide``, ``tied_spoof``) and
        the EER that takes them as ``one_step``; over pairs of groups, ``pairs``, ``middle_pairs`` (with a middle
        group), ``above_half``, ``above_ceiling``, ``highest``.
    """
    counts = selection["Label"].value_counts()
    n_bonafide, n_spoof = int(counts["bonafide"]), int(counts["spoof"])
    names = dict(renamed(selection, pairwise)[["selection", "pairwise"]].to_numpy())
    sizes = selection["SelectionReason"].map(lambda name: names.get(name, _short(name))).value_counts()
    highest = [ceiling(sizes[first], sizes[second]) for first, second in pairwise[["Group_1", "Group_2"]].to_numpy()]
    middle = pairwise[["Group_1", "Group_2"]].map(lambda name: name.startswith(tuple(MIDDLE))).any(axis=1)
    above = {"above_half": pairwise["EER"] > 0.5 + SAME, "above_ceiling": pairwise["EER"] > np.array(highest) + SAME}
    by_measure = pairwise.assign(middle_pairs=middle, **above).groupby("Metric", sort=False)
    pairs = by_measure[["middle_pairs", *above]].sum().assign(pairs=by_measure.size(), highest=by_measure["EER"].max())
    columns = ["measure", "published", "lowest", "one_step", "tied_bonafide", "tied_spoof", "n_bonafide", "n_spoof"]
    tied = overall["EER"] > ceiling(n_bonafide, n_spoof) + SAME
    ties = [
        {"measure": row.Metric, "published": row.EER} | _ties(row.EER, n_bonafide, n_spoof)
        for row in overall[tied].itertuples()
    ]
    measures = pd.DataFrame({"measure": overall["Metric"]}).merge(pd.DataFrame(ties, columns=columns), how="left")
    table = measures.assign(n_bonafide=n_bonafide, n_spoof=n_spoof)
    return table.merge(pairs, how="left", left_on="measure", right_index=True)


def ceiling(n_bonafide: int, n_spoof: int) -> float:
    """The largest EER that `stepped_eer` returns without ties: 0.5 + 1 / (4 n) for the smaller class of n.

    At the nearest pair of error rates these differ by at most half a step 1 / n, and one of them, from one of both
    directions, is at most 0.5.
    """
    return 0.5 + 1 / (4 * min(n_bonafide, n_spoof))


def stepped_eer(bonafide: np.ndarray, spoof: np.ndarray) -> float:
    """The EER of the released function: each value is a step, equal values too, bona fide first.

    It keeps the smaller EER of both directions, so without ties none is above `ceiling`; with ties it can be 1.
    """
    values, n_bonafide = np.concatenate([bonafide, spoof]), len(bonafide)
    smallest = np.inf
    for direction in (1, -1):
        is_bonafide = np.argsort(direction * values, kind="stable") < n_bonafide
        p_miss = np.concatenate([[0], np.cumsum(is_bonafide)]) / n_bonafide
        p_fa = 1 - np.concatenate([[0], np.cumsum(~is_bonafide)]) / (len(values) - n_bonafide)
        nearest = np.argmin(np.abs(p_miss - p_fa))
        smallest = min(smallest, float((p_miss[nearest] + p_fa[nearest]) / 2))
    return smallest


def statements(table: pd.DataFrame) -> pd.DataFrame:
    """The figure and `verdict` of each of `STATEMENTS`, with a row for the paired difference to each other detector."""
    wide = marked(plain(table)).set_index(["utterance", "speaker", "detector"])[["cue", "locality"]].unstack()
    units, rows = Units.of(wide.index.get_level_values("speaker")), []
    labels = wide["cue"][list(DETECTORS)]
    locality = wide["locality"][list(DETECTORS)].astype("Float64").to_numpy(dtype=float, na_value=np.nan)
    for detector, statement, cues in STATEMENTS:
        values = labels.isin(cues).to_numpy(dtype=float) if cues else locality  # (utterance, detector)
        draws = estimate(mean(np.where(labels.notna(), values, np.nan)), units, seed=HOW.seed, rounds=HOW.rounds)
        by_detector = {name: draws[place] for place, name in enumerate(DETECTORS)}
        first = by_detector.pop(detector)
        differences = {other: first - second for other, second in by_detector.items()}
        about = {"detector": detector, "statement": statement, "figure": " + ".join(cues) or "locality"}
        about |= {"value": float(first.value), "verdict": verdict(list(differences.values()))}
        for other, difference in differences.items():
            ends = {"difference": float(difference.value), "low": float(difference.low), "high": float(difference.high)}
            rows.append(about | {"other": other} | ends)
    return pd.DataFrame(rows)


def verdict(differences: Sequence[Estimate]) -> str:
    """The verdict on a statement from its differences to the other detectors.

    ``supported`` where all intervals lie above 0, ``contradicted`` where one lies below, else ``open``; ``on the edge``
    where that depends on the side of an end that is 0 within three standard errors of the draws.
    """
    verdicts = set()
    for side in (-1, 1):
        ends = [_ends(difference, side) for difference in differences]
        above = "supported" if all(low > 0 for low, _ in ends) else "open"
        verdicts.add("contradicted" if any(high < 0 for _, high in ends) else above)
    return verdicts.pop() if len(verdicts) == 1 else "on the edge"


def reach(marks: pd.DataFrame) -> pd.DataFrame:
    """How many marks end and start after the last sample that the released SLS head reads (``limit_s``)."""
    limit_s = SSL_CLOCK.n_samples(SLS_FRAMES) / SAMPLE_RATE_HZ
    marks = marks.assign(length_s=marks["end_s"] - marks["start_s"])
    marks = marks.assign(end_later=marks["end_s"] > limit_s, start_later=marks["start_s"] > limit_s)
    table = marks.groupby("detector", sort=False).agg(
        marks=("end_s", "size"),
        end_later=("end_later", "sum"),
        start_later=("start_later", "sum"),
        latest_end_s=("end_s", "max"),
        median_length_s=("length_s", "median"),
    )
    return table.reset_index().assign(limit_s=limit_s)


def released_gradients(
    head: "nn.Module", features: "Tensor", baseline: "Tensor", *, layers_first: bool, points: int = RELEASED_POINTS
) -> "Tensor":
    """(layer, frame, feature) Integrated Gradients of the released call, with the batch or the layers on dimension 0.

    captum takes dimension 0 for examples and lays the path points along it. With layers first the head sees one
    utterance of `points` times as many layers: AASIST reads the last layer, which is that of the last point; SLS sums
    over layers and so over all points; CA-MHFA has a weight for each layer and raises RuntimeError.

    `features` and `baseline` are (1, layer, frame, feature): one utterance, and where the path starts.
    """
    from captum.attr import IntegratedGradients

    if not layers_first:
        method = IntegratedGradients(head)
        return method.attribute(features, baseline, n_steps=points, internal_batch_size=POINTS_AT_ONCE)[0].detach()
    method = IntegratedGradients(lambda x: head(x.transpose(0, 1)))  # (points * layer, 1, frame, feature)
    return method.attribute(features.transpose(0, 1), baseline.transpose(0, 1), n_steps=points)[:, 0].detach()


def _should_be_above(selection: pd.DataFrame, names: dict[str, bool], column: str) -> tuple[np.ndarray, np.ndarray]:
    """(utterance,) Scores of the groups with these names, and whether the names put them above the threshold."""
    correct = selection["SelectionReason"].str.rsplit(" ", n=1).str[0].map(names)
    there = correct.notna()
    above = correct[there].astype(bool) == (selection.loc[there, "Label"] == "spoof")
    return selection.loc[there, column].to_numpy(), above.to_numpy()


def _short(name: str) -> str:
    group, _, label = name.rpartition(" ")
    return f"{SHORT.get(group, group)} {label}"


def _ties(eer: float, n_bonafide: int, n_spoof: int) -> dict[str, Any]:
    """The most even ties from which `stepped_eer` gives `eer`, and the EER that takes them as one step."""
    pairs = [
        (abs(k / n_bonafide - m / n_spoof), k, m)
        for k in range(n_bonafide + 1)
        for m in range(n_spoof + 1)
        if abs((k / n_bonafide + m / n_spoof) / 2 - eer) < SAME
    ]
    for _, k, m in sorted(pairs):
        bonafide, spoof = ((np.arange(n) - n_tied + 1).clip(0) / n for n, n_tied in ((n_bonafide, k), (n_spoof, m)))
        if abs(stepped_eer(bonafide, spoof) - eer) < SAME:
            one_step = min(metrics.eer(bonafide, spoof), metrics.eer(-bonafide, -spoof))
            lowest = (eer - ceiling(n_bonafide, n_spoof) + 0.5) / 2
            return {"tied_bonafide": k, "tied_spoof": m, "one_step": one_step, "lowest": lowest}
    raise InputError(f"EER {eer}: no ties among {n_bonafide} bona fide and {n_spoof} spoof utterances give it")


def _ends(difference: Estimate, side: int) -> tuple[float, float]:
    """Both ends of an interval, those that may be 0 put on one `side` of it; equal ends are exact."""
    if difference.low == difference.high:
        return float(difference.low), float(difference.high)
    between = difference.ends_between()  # (end, side)
    near = (between[:, 0] <= 0) & (between[:, 1] >= 0)
    return tuple(np.where(near, side, [difference.low, difference.high]))


def _annotations(folder: Path, selection: pd.DataFrame) -> pd.DataFrame:
    """The published annotations with speakers and labels; every row has to be sound."""
    path = folder / FILES["annotations"]
    table, faults = interchange.read(path, "release", annotator="published")
    for row in faults.itertuples():
        raise InputError(f"{path}: row {row.row}: {row.fault}")
    table = with_protocol(table, selection.rename(columns=PROTOCOL))
    for utterance in table.loc[table["speaker"].isna(), "utterance"]:
        raise InputError(f"{path}: {utterance} is not in the selection")
    return table


def main() -> None:
    """Store the derived figures in `STORED`."""
    computed, source = load()
    for name, table in computed.items():
        write_tsv(STORED / f"{name}.tsv", table)
    print(f"{STORED}: computed from {source}")


if __name__ == "__main__":
    main()
