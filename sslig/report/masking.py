"""The effects of the masks of a study, what they cover, how they grow with a parameter, and how they sound."""

from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np
import pandas as pd
import torch

from sslig import audio, stages
from sslig.corpora import protocol
from sslig.cues import definitions, effects, masking
from sslig.cues.interventions import PAPER, Intervention, parse
from sslig.cues.places import Places
from sslig.frames import FrameClock
from sslig.report.explanation import as_scored, examples
from sslig.study import Study

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

HEARD = ("spectral", "volume", "compressor", "lowpass(cutoff_hz=4000)", "codec:opus", "trim_silence",
         "time:non_speech(fill=noise)", "time:energy(fill=interpolation)",
         "time:top_attribution(percent=10, fill=interpolation)")  # fmt: skip


class SweepError(ValueError):
    """Masks of ``masking.sweeps`` that form no curve; the message says which, and what is accepted."""


def masked_of(study: Study, detectors: Sequence[str], seeds: Sequence[int]) -> pd.DataFrame:
    """The scores of several detectors and seeds under all masks of the study, with ``recording``."""
    found = pd.concat([stages.masked(study, name, seed) for name, seed in product(detectors, seeds)])
    named = protocol.with_recordings(study.corpus_root, found[["utterance"]].drop_duplicates())
    return found.merge(named, on="utterance")


def effect_table(study: Study, masked: pd.DataFrame) -> pd.DataFrame:
    """The effects of the masks of the study (`sslig.cues.effects.effects`), without their other doses."""
    chosen = masked[masked["mask"].isin(masks(study))]
    ordered = chosen.assign(place=chosen["mask"].map(masks(study).index)).sort_values("place", kind="stable")
    found = effects.effects(ordered, **_options(study))
    return found.assign(space=found["mask"].map(lambda spec: parse(spec).space))


def dose_table(study: Study, masked: pd.DataFrame) -> pd.DataFrame:
    """The effects of masks with one parameter at several values (`sslig.cues.effects.dose`).

    Raises
    ------
    SweepError
        As of `sweeps`.
    """
    return effects.dose(masked, sweeps(study), **_options(study))


def masks(study: Study) -> list[str]:
    """The masks that the study is about, by canonical text and in its order."""
    return [parse(spec).spec for spec in _given(study.masking.masks, masking.MASKS)]


def sweeps(study: Study) -> dict[str, tuple[str, str, float]]:
    """Mask -> family, the parameter that is swept in it, and where this mask stands.

    A family are the masks of one name that are equal in all parameters but one number. The masks of the study are
    among them.

    Raises
    ------
    SweepError
        A mask of ``masking.sweeps`` differs from no other mask in one number alone, or a mask stands in two families.
    """
    swept = list(map(parse, _given(study.masking.sweeps, masking.SWEEPS)))
    every = {one.spec: one for one in (*swept, *map(parse, masks(study)))}.values()
    found: dict[str, tuple[str, str, float]] = {}
    for one in swept:
        curves = {name: curve for name in _numbers(one) if len(curve := _curve(one, name, every)) > 1}
        if not curves:
            raise SweepError(f"masking.sweeps: {one.spec} differs from no other mask in one number alone; accepted: at "
                             "least two masks of one name, in masking.sweeps or one of them in masking.masks, that are "
                             f"equal but for {' or '.join(_numbers(one)) or 'a number; it has none'}")  # fmt: skip
        for name, member in ((name, member) for name, curve in curves.items() for member in curve):
            place = (_family(member, name), name, member.parameters[name])
            if found.setdefault(member.spec, place) != place:
                raise SweepError(f"masking.sweeps: {member.spec} stands in two curves, by {found[member.spec][1]} and "
                                 f"by {name}; accepted: one parameter of a mask at a time")  # fmt: skip
    return found


def _given(specs: Sequence[str] | None, default: Sequence[str]) -> Sequence[str]:
    """An empty list is one that was given."""
    return default if specs is None else specs


def _numbers(one: Intervention) -> list[str]:
    return [
        name for name, value in one.parameters.items() if isinstance(value, int | float) and not isinstance(value, bool)
    ]


def _curve(one: Intervention, swept: str, every: Iterable[Intervention]) -> list[Intervention]:
    """The masks that are equal to one but for the parameter that is swept, itself among them."""
    fixed = {name: value for name, value in one.parameters.items() if name != swept}
    return [other for other in every if other.name == one.name and fixed.items() <= dict(other.parameters).items()]


def _family(one: Intervention, swept: str) -> str:
    """Its canonical text without the parameter that is swept."""
    inner = one.spec.removeprefix(one.name).strip("()").split(", ")
    kept = [part for part in inner if part and not part.startswith(f"{swept}=")]
    return f"{one.name}({', '.join(kept)})" if kept else one.name


def _options(study: Study) -> dict[str, object]:
    return {"seed": study.corpus.seed, "rounds": study.masking.rounds,
            "resample_recordings": study.evaluation.resample_recordings}  # fmt: skip


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


def example(study: Study, detectors: Sequence[str], seed: int) -> pd.Series:
    """The explained spoof with the highest mean score rank, with its ``path``."""
    explained = {name: stages.attributions(study, name, seed) for name in detectors}
    chosen = examples(explained, 1).iloc[0]
    paths = stages.explained(study).set_index("utterance")["path"]
    return pd.concat([chosen, pd.Series({"path": paths[chosen["utterance"]]})])


def coverage_table(study: Study, masked: pd.DataFrame) -> pd.DataFrame:
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


def source_table(study: Study) -> pd.DataFrame:
    """Where each segment tier comes from."""
    rows = []
    for tier, told in stages.segment_sources(study).items():
        rest = ", ".join(f"{name} {value}" for name, value in told.items() if name not in ("tool", "version"))
        rows.append({"tier": tier, "tool": f"{told.get('tool', '')} {told.get('version', '')}".strip(), "with": rest})
    return pd.DataFrame(rows)


def mask_table(study: Study) -> pd.DataFrame:
    """What each mask of the study does, where, and what it is compared with."""
    told = {
        "shift": "the same runs elsewhere",
        "band": "as wide a band elsewhere",
        "cut": "as much cut elsewhere",
        None: "none",
    }
    return pd.DataFrame([
        {"mask": one.spec, "in": "features" if one.space == definitions.FEATURE else "recording",
         "paper": "yes" if one.name in PAPER and one.spec == one.name else "", "control": told[one.control],
         "what": one.description}
        for one in map(parse, masks(study))
    ])  # fmt: skip


def heard(
    study: Study, example: pd.Series, detector: str, seed: int, clock: FrameClock, n_read: int | None
) -> dict[str, list]:
    """Label -> FLAC of one utterance as it is and under each mask in the waveform that can be heard.

    Parameters
    ----------
    study
        Its scoring decides how the recording is cropped.
    example
        As of `example`.
    detector, seed
        Whose explanation ranks the frames.
    clock
        The frame grid of that detector.
    n_read
        Frames that its head reads, in which alone it is masked in time; None: all.
    """
    waveform = torch.from_numpy(as_scored(study, example["path"], clock)).unsqueeze(0)
    n_frames = clock.n_frames(waveform.shape[1])
    n_read = n_frames if n_read is None else min(n_frames, n_read)
    explained = stages.attributions(study, detector, seed).set_index("utterance")["by_frame"].to_dict()
    places = Places(stages.tiers_by_utterance(stages.segmented(study)), explained)
    sounds = {"as it is": [audio.flac_bytes(waveform[0].numpy())]}
    for one in map(parse, HEARD):
        mask = places.mask(one, example["utterance"], waveform, clock, n_read)
        if mask is not None and one.control == "shift":
            mask = mask & (torch.arange(n_frames) < n_read)
        if mask is not None and mask.any() and not (one.control == "cut" and mask.all()):
            generator = torch.Generator().manual_seed(study.corpus.seed)
            changed = one.waveforms(waveform, mask, clock, generator)[0].numpy()
            sounds[f"{one.spec}: {one.description}"] = [audio.flac_bytes(changed)]
    return sounds
