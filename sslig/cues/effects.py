"""What a mask does to a detector: its scores and errors against the unmasked ones and against matched random masks."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from sslig.cues import masked_trials
from sslig.cues.masked_trials import STATISTICS, Draws, MaskedTrials, on_all, resampled, two_sided_p
from sslig.labels import BONAFIDE, KEYS
from sslig.stats.metrics import MetricError

ALPHA = 0.05
"""An effect is supported where its p-value after Holm's correction is below this."""

APPLIED, NO_FRAMES, ALL_FRAMES = STATUSES = ("applied", "no frames", "all frames")
"""What became of a mask in an utterance; the last two leave a frame mask no other place to be moved to."""

COLUMNS = (
    "detector",
    "seed",
    "mask",
    "utterance",
    "key",
    "speaker",
    "spoof_score",
    "masked_score",
    "control_scores",
    "status",
)
"""What `effects` reads of a table; other columns may stand beside them."""


def effects(
    masked: pd.DataFrame, *, seed: int, rounds: int = 5000, level: float = 0.95, resample_recordings: bool
) -> pd.DataFrame:
    """The effect of each mask on each detector, with paired intervals and corrected tests.

    The *change* is a statistic of the masked less that of the unmasked scores; the *excess* is a statistic of the
    masked scores less its mean over the control draws, each draw taken over all utterances. So a detector that needs
    what a mask removes loses separation and gains errors, and does so in excess where a random place of the same size
    and shape would not have done the same. Every bootstrap round draws the same speakers (and recordings) for unmasked,
    masked and control scores, finds the unmasked EER threshold anew, and is shared by all masks and detectors of the
    same utterances. What is drawn is that of `sslig.stats.intervals.bootstrap`.

    The test is of the excess, or of the change where a mask has no control: a bootstrap p-value
    (`sslig.cues.masked_trials.two_sided_p`), corrected by Holm over detectors and masks, for each statistic and
    training seed. With too few rounds nothing can be supported (`rounds_needed`), nor with a handful of units. The EER,
    minDCF, FAR and FRR move in steps, and their tests err on the side of no effect.

    Parameters
    ----------
    masked
        One row for each detector, training seed, mask and utterance, with `COLUMNS`, and ``recording`` for a second
        stage. ``control_scores`` holds as many draws in every utterance, or none in any. An utterance in which the mask
        covers no frames counts as unchanged by mask and control; one that it covers whole may lack draws, as moving
        the mask changes nothing, and its masked score stands for them.
    seed
        Of the bootstrap.
    rounds
        Bootstrap draws; those that lack a class are left out.
    level
        Coverage of the percentile intervals.
    resample_recordings
        Whether recordings are drawn within each drawn speaker.

    Returns
    -------
    DataFrame
        A row for each detector, seed, mask and statistic of `STATISTICS`: ``n_bonafide``, ``n_spoof``, ``n_speakers``,
        ``n_applied`` (utterances in which the mask covers something), ``draws`` of the control, ``rounds`` that were
        kept, values ``unmasked``, ``masked`` and ``control``, ``change`` and ``excess`` with ``_low`` and ``_high``,
        ``tested`` ("excess" or "change"), ``p``, ``p_holm`` and ``supported``. ``control`` and ``excess`` are NaN where
        there is no control. A mask that covers no frames of any utterance has change and excess 0 and p 1.

    Raises
    ------
    MetricError
        A column is missing, a key or status is unknown, scores are not finite or do not vary, an utterance stands
        twice, control draws do not match, a class is missing, or nothing is left to resample. The message names
        detector, mask and utterance where there is one.

    References
    ----------
    S. Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    _check(masked, rounds, level, resample_recordings)
    samples: dict[tuple[str, ...], Draws] = {}
    rows = []
    for (detector, model_seed, mask), part in masked.groupby(["detector", "seed", "mask"], sort=False, dropna=False):
        part = part.assign(label=part["key"].map(KEYS)).sort_values(["label", "utterance"])
        utterances = tuple(part["utterance"])
        try:
            trials = _trials(part)
            if utterances not in samples:
                recordings = part["recording"] if resample_recordings else None
                samples[utterances] = Draws.of(
                    trials.is_bonafide, part["speaker"], recordings, seed=seed, rounds=rounds
                )
            found = _rows(part, trials, samples[utterances], level)
        except MetricError as error:
            raise MetricError(f"{detector}, seed {model_seed}, {mask}: {error}") from error
        rows += [{"detector": detector, "seed": model_seed, "mask": mask} | row for row in found]
    return _corrected(pd.DataFrame(rows))


def dose(masked: pd.DataFrame, sweep: Mapping[str, tuple[str, str, float]], **options) -> pd.DataFrame:
    """The effects of masks that differ in one parameter, such as the share of frames that they cover.

    Parameters
    ----------
    masked
        As of `effects`; masks that are not in `sweep` are left out, and not corrected for.
    sweep
        ``(family, parameter, value)`` of each mask: what is swept, by which parameter, and where this mask stands.
    **options
        As of `effects`.

    Returns
    -------
    DataFrame
        As of `effects`, with ``family``, ``parameter`` and ``value``, in the order of detector, seed and these.

    Raises
    ------
    MetricError
        The table lacks a mask of `sweep`, or as of `effects`.
    """
    lacking = sorted(set(sweep) - set(masked["mask"]))
    if lacking:
        found = ", ".join(sorted(set(masked["mask"])))
        raise MetricError(f"the table has no mask {', '.join(map(repr, lacking))}; it has {found}")
    table = effects(masked[masked["mask"].isin(list(sweep))], **options)
    for place, column in enumerate(("family", "parameter", "value"), start=3):
        table.insert(place, column, [sweep[mask][place - 3] for mask in table["mask"]])
    order = ["detector", "seed", "family", "parameter", "value"]
    return table.sort_values(order, kind="stable", ignore_index=True)


def rounds_needed(tests: int, n_units: int) -> int:
    """Fewest rounds with which one of `tests` tests (detectors x masks) can be supported.

    `n_units` are the recordings of the utterances, or their speakers where recordings are not resampled.
    """
    return masked_trials.rounds_needed(ALPHA / tests, n_units)


def _trials(part: pd.DataFrame) -> MaskedTrials:
    """The scores of one detector under one mask; `part` holds the bona fide utterances first."""
    missing = sorted(set(KEYS) - set(part["key"]))
    if missing:
        raise MetricError(f"no {missing[0]} utterances among {len(part)}; both classes are needed")
    still = (part["status"] == NO_FRAMES).to_numpy()
    unmasked = part["spoof_score"].to_numpy(dtype=np.float64)
    masked = np.where(still, unmasked, part["masked_score"].to_numpy(dtype=np.float64))
    controls = np.where(still, unmasked, _controls(part, masked))
    for name, scores in (("spoof_score", unmasked), ("masked_score", masked), ("control_scores", controls)):
        faulty = ~np.isfinite(np.atleast_2d(scores)).all(axis=0)
        if faulty.any():
            raise MetricError(f"{name} of utterance {part['utterance'].iloc[faulty.argmax()]} is NaN or infinite")
    if still.all() and not len(controls):
        controls = unmasked[None]  # (draw, trial)
    trials = MaskedTrials(int((part["label"] == BONAFIDE).sum()), unmasked, masked, controls)
    if np.isnan(trials.spread):
        raise MetricError(f"spoof_score hardly varies within the classes of {len(part)} utterances")
    return trials


def _controls(part: pd.DataFrame, masked: np.ndarray) -> np.ndarray:
    """(draw, trial) Scores under the control, the masked score where the mask could not be moved."""
    lengths = part["control_scores"].map(len).to_numpy()
    n_draws = lengths.max()
    wrong = (lengths != n_draws) & ~((lengths == 0) & (part["status"] != APPLIED).to_numpy())
    if wrong.any():
        first = wrong.argmax()
        raise MetricError(f"utterance {part['utterance'].iloc[first]} has {lengths[first]} control scores, others have "
                          f"{n_draws}; as many are needed in every utterance")  # fmt: skip
    filled = [
        draws if len(draws) else [score] * n_draws for draws, score in zip(part["control_scores"], masked, strict=True)
    ]
    return np.array(filled, dtype=np.float64).T


def _rows(part: pd.DataFrame, trials: MaskedTrials, draws: Draws, level: float) -> list[dict]:
    """What the table says of one detector under one mask, a row a statistic."""
    value, rounds = on_all(trials), resampled(trials, draws)
    if not np.isfinite(value.unmasked).all() or not len(rounds.unmasked):
        raise MetricError(f"spoof_score hardly varies within the classes of {len(part)} utterances: no separation")
    tested = "excess" if len(trials.controls) else "change"
    columns = {name: getattr(value, name)[0] for name in ("unmasked", "masked", "control")}
    for name in ("change", "excess"):
        columns[name] = getattr(value, name)[0]
        tails = np.quantile(getattr(rounds, name), [(1 - level) / 2, (1 + level) / 2], axis=0)
        columns |= {f"{name}_low": tails[0], f"{name}_high": tails[1]}
    columns["p"] = two_sided_p(getattr(rounds, tested), draws.counts.shape[1])
    common = {
        "n_bonafide": trials.n_bonafide,
        "n_spoof": len(part) - trials.n_bonafide,
        "n_speakers": draws.n_speakers,
        "n_applied": int((part["status"] != NO_FRAMES).sum()),
        "draws": int(part["control_scores"].map(len).max()),
        "rounds": len(rounds.unmasked),
        "tested": tested,
    }
    values = [{name: array[i] for name, array in columns.items()} for i in range(len(STATISTICS))]
    return [{"statistic": name} | common | row for name, row in zip(STATISTICS, values, strict=True)]


def _corrected(table: pd.DataFrame) -> pd.DataFrame:
    """The table with ``p_holm`` over detectors and masks and ``supported``."""
    families = table.groupby(["statistic", "seed"])["p"]
    table["p_holm"] = families.transform(lambda p: multipletests(p, method="holm")[1])
    table["supported"] = table["p_holm"] < ALPHA
    return table


def _check(masked: pd.DataFrame, rounds: int, level: float, resample_recordings: bool) -> None:
    needed = [*COLUMNS, *(["recording"] if resample_recordings else [])]
    missing = [column for column in needed if column not in masked]
    if missing:
        raise MetricError(f"the table lacks {', '.join(missing)}; it has {', '.join(map(str, masked.columns))}")
    if not len(masked) or rounds < 1 or not 0 < level < 1:
        raise MetricError(f"{len(masked)} rows, {rounds} rounds at level {level}; at least one row, one round and a "
                          "level between 0 and 1 are needed")  # fmt: skip
    for column, accepted in (("key", KEYS), ("status", STATUSES)):
        unknown = masked.loc[~masked[column].isin(accepted), column]
        if len(unknown):
            raise MetricError(
                f"{column} {unknown.iloc[0]!r} in row {unknown.index[0]}; accepted: {', '.join(accepted)}"
            )
    row = ["detector", "seed", "mask", "utterance"]
    twice = masked.loc[masked.duplicated(row), row]
    if len(twice):
        names = ", ".join(map(str, twice.iloc[0]))
        raise MetricError(
            f"row {twice.index[0]} repeats {names}; one row a detector, seed, mask and utterance is needed"
        )
