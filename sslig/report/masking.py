"""What masks say: which cues a detector needs more than a random place of the same size, and how to hear it."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
import torch

from sslig import audio, protocol, stages
from sslig.cues import definitions, effects, masking
from sslig.cues.interventions import PAPER, Intervention, parse
from sslig.cues.places import Places
from sslig.experiment import Experiment
from sslig.frames import FrameClock
from sslig.report.display import listed
from sslig.report.explanation import as_scored, examples

STATISTIC = "separation"
"""What the page's answer is about: it has the scale of no detector, and moves with every score."""

COLUMNS = {
    "bonafide_change": ("bona fide (logit)", 1, 2),
    "spoof_change": ("spoof (logit)", 1, 2),
    "separation": ("separation", 1, 2),
    "eer": ("EER (%)", 100, 1),
    "min_dcf": ("minDCF", 1, 2),
    "far": ("FAR (%)", 100, 1),
    "frr": ("FRR (%)", 100, 1),
}
"""Statistic -> heading, factor, decimals."""

SCORE_CHANGES = ("bonafide_change", "spoof_change")

EFFECTS = {
    "separation": "the separation",
    "eer": "the EER",
    "bonafide_change": "the bona fide scores",
    "spoof_change": "the spoof scores",
}
"""Statistic -> how a verdict calls it."""

HEARD = ("spectral", "volume", "compressor", "lowpass(cutoff_hz=4000)", "codec:opus", "trim_silence",
         "time:non_speech(fill=noise)", "time:energy(fill=interpolation)",
         "time:top_attribution(percent=10, fill=interpolation)")  # fmt: skip


def masked_of(study: Experiment, detectors: Sequence[str], seeds: Sequence[int]) -> pd.DataFrame:
    """The scores of several detectors and seeds under all masks of the study, with ``recording``."""
    found = pd.concat([stages.masked(study, name, seed) for name, seed in product(detectors, seeds)])
    named = protocol.with_recordings(study.corpus_root, found[["utterance"]].drop_duplicates())
    return found.merge(named, on="utterance")


def effect_table(study: Experiment, masked: pd.DataFrame) -> pd.DataFrame:
    """The effects of the masks of the study (`sslig.cues.effects.effects`), without their other doses."""
    chosen = masked[masked["mask"].isin(masks(study))]
    ordered = chosen.assign(place=chosen["mask"].map(masks(study).index)).sort_values("place", kind="stable")
    found = effects.effects(ordered, **_options(study))
    return found.assign(space=found["mask"].map(lambda spec: parse(spec).space))


def dose_table(study: Experiment, masked: pd.DataFrame) -> pd.DataFrame:
    """The effects of masks with one parameter at several values (`sslig.cues.effects.dose`)."""
    return effects.dose(masked, sweeps(study), **_options(study))


def masks(study: Experiment) -> list[str]:
    """The masks that the study is about, by canonical text and in its order."""
    return [parse(spec).spec for spec in (study.masking.masks or masking.MASKS)]


def sweeps(study: Experiment) -> dict[str, tuple[str, str, float]]:
    """Mask -> what is swept, by which parameter, and where this mask stands; masks of the study among them."""
    swept = [parse(spec) for spec in (masking.SWEEPS if study.masking.sweeps is None else study.masking.sweeps)]
    families = {one.name for one in swept}
    all_of = {one.spec: one for one in (*swept, *map(parse, masks(study))) if one.name in families}
    return {spec: (one.name, *_dose(one)) for spec, one in all_of.items()}


def _dose(one: Intervention) -> tuple[str, float]:
    """The parameter that is swept: the only number among its parameters, or the one that differs from its default."""
    numbers = {name: value for name, value in one.parameters.items() if isinstance(value, int | float)
               and not isinstance(value, bool)}  # fmt: skip
    return next(iter(numbers.items()))


def _options(study: Experiment) -> dict[str, object]:
    return {"seed": study.corpus.seed, "rounds": study.masking.rounds,
            "resample_recordings": study.evaluation.resample_recordings}  # fmt: skip


def answer(table: pd.DataFrame) -> str:
    """The page's answer: what each detector needs, and what moves its scores, beyond the random control."""
    tested = table[(table["tested"] == "excess")]
    said = []
    for name, part in tested.groupby("detector", sort=False):
        lost = part[(part["statistic"] == STATISTIC) & part["supported"] & (part["excess"] < 0)].sort_values("excess")
        named = [f"`{row.mask}` ({row.excess:+.2f})" for row in lost.head(3).itertuples()]
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        moved = part[part["statistic"].isin(SCORE_CHANGES) & part["supported"]]["mask"].nunique()
        needs = f"needs {listed(named)}{more}" if named else "needs none of them beyond doubt"
        said.append(f"{name} {needs} ({moved} move its scores)")
    return (
        f"**Answer.** Of {tested['mask'].nunique()} cues that were taken away and compared with as much taken away "
        f"elsewhere: {'; '.join(said)}. To need a cue is to lose separation of the classes without it, counted in "
        "standard deviations of the unmasked scores."
    )


def verdicts(table: pd.DataFrame) -> str:
    """Which conclusions the numbers carry and which they do not, for the masks of the paper and the explanations."""
    masks_of_table = table["mask"].unique().tolist()
    named = [name for name in masks_of_table if name in PAPER or "attribution" in name]
    return "\n".join(f"- `{mask}`: {_verdict(table[table['mask'] == mask])}" for mask in named)


def _verdict(rows: pd.DataFrame) -> str:
    """What one mask did to the detectors, in sentences."""
    tested = rows["tested"].iloc[0]
    beyond = "beyond the control" if tested == "excess" else "against the unmasked scores; it has no control"
    said = []
    for statistic, what in EFFECTS.items():
        part = rows[rows["statistic"] == statistic].set_index("detector")[["supported", tested]]
        for sign, verb in ((-1, "lowers"), (1, "raises")):
            names = part.index[part["supported"] & (sign * part[tested] > 0)].tolist()
            if names:
                said.append(f"it {verb} {what} of {listed(names)}")
    return f"{'; '.join(said)} ({beyond})." if said else "no effect on any detector is supported."


def cue_table(table: pd.DataFrame, statistic: str = STATISTIC) -> pd.DataFrame:
    """Masks down, detectors across: the excess over the control with its interval, a dot where it is supported.

    Where there is no control the change is shown instead, in parentheses.
    """
    _, factor, decimals = COLUMNS[statistic]
    part = table[table["statistic"] == statistic]
    text = []
    for row in part.itertuples():
        value, low, high = (factor * getattr(row, f"{row.tested}{end}") for end in ("", "_low", "_high"))
        cell = f"{value:+.{decimals}f} [{low:+.{decimals}f}, {high:+.{decimals}f}]"
        text.append((cell if row.tested == "excess" else f"({cell})") + (" ●" if row.supported else ""))
    names = part["detector"] + (part["seed"].map(" seed {}".format) if part["seed"].nunique() > 1 else "")
    wide = part.assign(text=text, detector=names).pivot(index="mask", columns="detector", values="text")
    return wide.loc[part["mask"].unique(), names.unique()].rename_axis(columns=None).reset_index()


def full_table(table: pd.DataFrame, detector: str) -> pd.DataFrame:
    """All statistics of one detector: unmasked, and a row a mask with masked value and, behind a bar, its control."""
    part = table[table["detector"] == detector]
    shown = pd.DataFrame({"mask": part["mask"].unique()})
    for statistic, (heading, factor, decimals) in COLUMNS.items():
        rows = part[part["statistic"] == statistic].drop_duplicates("mask").set_index("mask").loc[shown["mask"]]
        masked, control = factor * rows["masked"], factor * rows["control"]
        shown[heading] = [
            f"{one:.{decimals}f}" + ("" if np.isnan(other) else f" | {other:.{decimals}f}")
            for one, other in zip(masked, control, strict=True)
        ]
    return shown


def unmasked_note(table: pd.DataFrame) -> str:
    """What the scores are without a mask, on how many utterances, and what the rates mean."""
    first = table.drop_duplicates(["detector", "seed", "statistic"]).set_index(["detector", "statistic"])["unmasked"]
    names = table["detector"].unique()
    eers = [f"{name} {100 * first[name, 'eer'].iloc[0]:.0f} %" for name in names] if not first.index.is_unique else [
        f"{name} {100 * first[name, 'eer']:.0f} %" for name in names]  # fmt: skip
    row = table.iloc[0]
    return (
        f"{row['n_bonafide']} bona fide and {row['n_spoof']} spoofs of {row['n_speakers']} speakers were masked. "
        f"Unmasked EER on these: {listed(eers)}. FAR is the rate of spoofs accepted as bona fide, FRR that of bona "
        "fide rejected, both at the threshold of the unmasked EER."
    )


def interval_note(study: Experiment, table: pd.DataFrame) -> str:
    """What intervals and tests rest on."""
    tests, n_units = len(table[table["statistic"] == STATISTIC]), _n_units(study, table)
    what = "speakers and, within each, recordings" if study.evaluation.resample_recordings else "speakers"
    few = (
        f" {study.masking.rounds:,} rounds are too few for that many tests: nothing could be supported."
        if study.masking.rounds < effects.rounds_needed(tests, n_units) else ""
    )  # fmt: skip
    return (
        f"Intervals are 95 % percentile intervals of {study.masking.rounds:,} bootstrap rounds over {what}, the same "
        f"draw for unmasked, masked and control scores. A dot marks what remains below {effects.ALPHA:g} after Holm's "
        f"correction for {tests} tests, which is every mask on every detector.{few} Each control is the mean of "
        f"{study.masking.draws} draws."
    )


def _n_units(study: Experiment, table: pd.DataFrame) -> int:
    """What the bootstrap draws: the recordings of the masked utterances, or their speakers."""
    if not study.evaluation.resample_recordings:
        return int(table["n_speakers"].max())
    return protocol.with_recordings(study.corpus_root, stages.masked_utterances(study))["recording"].nunique()


def example(study: Experiment, detectors: Sequence[str], seed: int) -> pd.Series:
    """The explained spoof with the highest mean score rank, with its ``path``."""
    explained = {name: stages.attributions(study, name, seed) for name in detectors}
    chosen = examples(explained, 1).iloc[0]
    paths = stages.explained(study).set_index("utterance")["path"]
    return pd.concat([chosen, pd.Series({"path": paths[chosen["utterance"]]})])


def coverage_table(study: Experiment, masked: pd.DataFrame) -> pd.DataFrame:
    """How much each mask with a place covers of the utterances, by the first detector that was masked."""
    first = masked[masked["detector"] == masked["detector"].iloc[0]]
    placed = [spec for spec in masks(study) if parse(spec).place]
    rows = []
    for spec in placed:
        part = first[(first["mask"] == spec)]
        without = int((part["status"] == effects.NO_FRAMES).sum())
        rows.append({
            "mask": spec, "utterances": len(part), "frames (%)": 100 * part["share"].mean(),
            "runs": part["n_runs"].mean(), "mean run (ms)": 1000 * _mean_run_s(part),
            "longest run (ms)": 1000 * part["longest_run_s"].max(), "without": without,
        })  # fmt: skip
    return pd.DataFrame(rows)


def _mean_run_s(part: pd.DataFrame) -> float:
    """Over all runs of all utterances."""
    n_runs = part["n_runs"].sum()
    return float((part["mean_run_s"] * part["n_runs"]).sum() / n_runs) if n_runs else 0.0


def source_table(study: Experiment) -> pd.DataFrame:
    """Where each segment tier comes from."""
    rows = []
    for tier, told in stages.segment_sources(study).items():
        rest = ", ".join(f"{name} {value}" for name, value in told.items() if name not in ("tool", "version"))
        rows.append({"tier": tier, "tool": f"{told.get('tool', '')} {told.get('version', '')}".strip(), "with": rest})
    return pd.DataFrame(rows)


def mask_table(study: Experiment) -> pd.DataFrame:
    """What each mask of the study does, where, and what it is compared with."""
    told = {"shift": "shifted in time", "band": "another band", "cut": "cut elsewhere", None: "none"}
    return pd.DataFrame([
        {"mask": one.spec, "in": "features" if one.space == definitions.FEATURE else "recording",
         "paper": "yes" if one.name in PAPER and one.spec == one.name else "", "control": told[one.control],
         "what": one.description}
        for one in map(parse, masks(study))
    ])  # fmt: skip


def heard(study: Experiment, example: pd.Series, detector: str, seed: int, clock: FrameClock) -> dict[str, list]:
    """Label -> FLAC of one utterance as it is and under each mask in the waveform that can be heard."""
    waveform = torch.from_numpy(as_scored(study, example["path"], clock)).unsqueeze(0)
    explained = stages.attributions(study, detector, seed).set_index("utterance")["by_frame"].to_dict()
    places = Places(stages.tiers_by_utterance(stages.segmented(study)), explained)
    sounds = {"as it is": [audio.flac_bytes(waveform[0].numpy())]}
    for one in map(parse, HEARD):
        mask = places.mask(one, example["utterance"], waveform, clock, clock.n_frames(waveform.shape[1]))
        if mask is not None and mask.any() and not (one.control == "cut" and mask.all()):
            generator = torch.Generator().manual_seed(study.corpus.seed)
            changed = one.waveforms(waveform, mask, clock, generator)[0].numpy()
            sounds[f"{one.spec}: {one.description}"] = [audio.flac_bytes(changed)]
    return sounds
