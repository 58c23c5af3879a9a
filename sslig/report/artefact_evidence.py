"""Whether the evidence of detectors follows loudness and voicing, and in which segments of speech it lies."""

import math
from collections.abc import Callable, Sequence

import pandas as pd
from joblib import Parallel, delayed, parallel_config

from sslig import stages
from sslig.corpora import protocol
from sslig.cues import contribution, phones, segments, time_correlation
from sslig.cues.association import corrected
from sslig.cues.contribution import Tracks
from sslig.cues.effects import ALPHA
from sslig.frames import FrameClock
from sslig.labels import KEYS
from sslig.models.detector import Detector, read_frames
from sslig.report.artefact_text import WORDS, estimated, p_text, span
from sslig.report.artefacts import rounds, units_of_class
from sslig.report.display import listed
from sslig.report.explanation import as_scored
from sslig.study import Study

LOUDNESS, VOICING = "loudness", "voicing"
KINDS = {"size": "size of evidence", "signed": "evidence for spoof"}
"""What of an attribution is followed over time; the latter is negative where there is evidence for bona fide."""
METHOD = "spearman"
SEGMENTS = {
    "non_speech": "non-speech",
    **{f"phone:{name}": f"{name}s" for name in phones.CLASSES if name not in phones.UNSPOKEN},
    "onsets": "voicing on- and offsets",
    "speech_edges": "edges of speech",
    "word_boundaries": "word boundaries",
}
"""Mask of `sslig.cues.segments` -> its name on the page. They overlap."""
AMOUNT = "size"


def explained(study: Study, detectors: Sequence[str], seed: int) -> pd.DataFrame:
    """Attributions of all detectors for the explained utterances that have segments, with ``recording`` and ``path``.

    ``by_frame`` ends where the head stops reading: what it never reads has no evidence, whatever lies there.
    """
    found = pd.concat([_as_read(study, name, seed) for name in detectors], ignore_index=True)
    known = stages.segmented(study)["utterance"].unique()
    told = protocol.with_recordings(study.corpus_root, stages.explained(study)[["utterance", "path"]])
    return found[found["utterance"].isin(known)].merge(told, on="utterance")


def _as_read(study: Study, name: str, seed: int) -> pd.DataFrame:
    """The attributions of one detector, cut to the frames that its head takes where that is a fixed number."""
    head = Detector.from_pretrained(stages.checkpoint(study, name, seed)).head
    rows = stages.attributions(study, name, seed)
    return rows.assign(by_frame=[frames[: read_frames(head, len(frames))] for frames in rows["by_frame"]])


def tracks_and_masks(study: Study, attributions: pd.DataFrame, clock: FrameClock) -> tuple[Tracks, Tracks]:
    """Loudness and voicing of each utterance over its frames, and the masks `SEGMENTS` of the same frames.

    A study chooses the sources of its segments: what is made of a tier that it does not decode is left out
    (`absent_note`).
    """
    tiers = stages.tiers_by_utterance(stages.segmented(study))
    tracks, masks = {}, {}
    for row in attributions.drop_duplicates("utterance").itertuples():
        loudness = time_correlation.loudness(as_scored(study, row.path, clock), clock)  # (frame,)
        own, n_frames = tiers[row.utterance], len(loudness)
        tracks[row.utterance] = {LOUDNESS: loudness}
        if VOICING in own:
            tracks[row.utterance][VOICING] = own[VOICING].mask(clock, n_frames, ("voiced",)).astype(float)
        masks[row.utterance] = {name: segments.frame_mask(name, own, clock, n_frames) for name in SEGMENTS
                                if segments.MASKS[name].tier in own}  # fmt: skip
    return tracks, masks


def follows(study: Study, attributions: pd.DataFrame, tracks: Tracks) -> pd.DataFrame:
    """`sslig.cues.time_correlation.correlation_table` by detector and class: rank correlations of `KINDS`."""
    tests = len(KINDS) * len(_named(tracks))
    # Its p-value is of shifts, of which there are as many as rounds: the smallest is 1 / (rounds + 1).
    n_rounds = max(study.evaluation.rounds, math.ceil(tests / ALPHA))
    found = _each(study, attributions, tracks, time_correlation.correlation_table, n_rounds, kinds=tuple(KINDS))
    return _corrected(found[found["method"] == METHOD])


def lies(study: Study, attributions: pd.DataFrame, masks: Tracks) -> pd.DataFrame:
    """`sslig.cues.contribution.contribution_table` by detector and class, of the size of the evidence; or empty."""
    tests = len(_named(masks))
    if not tests:
        return pd.DataFrame(columns=["detector", "key", "segment", "relative", "p_holm"])
    n_rounds = rounds(study, tests, units_of_class(study, attributions))
    found = _each(study, attributions, masks, contribution.contribution_table, n_rounds)
    return _corrected(found[found["evidence"] == AMOUNT])


def _each(
    study: Study, attributions: pd.DataFrame, tracks: Tracks, table: Callable, n_rounds: int,
    **kinds: tuple[str, ...],
) -> pd.DataFrame:  # fmt: skip
    """A table of all detectors, side by side in processes, each over the frames that its head reads."""
    options = {"seed": study.corpus.seed, "rounds": n_rounds,
               "resample_recordings": study.evaluation.resample_recordings, **kinds}  # fmt: skip
    parts = [part for _, part in attributions.groupby("detector", sort=False)]
    with parallel_config(backend="loky", inner_max_num_threads=1):
        jobs = (delayed(table)(part, _read(part, tracks), **options) for part in parts)
        return pd.concat(Parallel(n_jobs=study.artefacts.workers)(jobs), ignore_index=True)


def _read(part: pd.DataFrame, tracks: Tracks) -> Tracks:
    """The tracks of the frames that the attributions of one detector have."""
    return {row.utterance: {name: track[: len(row.by_frame)] for name, track in tracks[row.utterance].items()}
            for row in part.itertuples()}  # fmt: skip


def _corrected(found: pd.DataFrame) -> pd.DataFrame:
    """With the correction of each detector and class over its rows."""
    return pd.concat([corrected(part) for _, part in found.groupby(["detector", "key"], sort=False)], ignore_index=True)


def follow_table(found: pd.DataFrame) -> pd.DataFrame:
    """`follows` as people read it: correlation, and between what chance leaves it."""
    text = found.assign(
        evidence=found["evidence"].map(KINDS), utterances=found["key"].map(WORDS),
        r=estimated(found, "r", "low", "high"),
        chance=[f"{row.null_low:+.2f} to {row.null_high:+.2f}" if row.n else "" for row in found.itertuples()],
        p=found["p_holm"].map(p_text),
    )  # fmt: skip
    columns = {"track": "over time", "evidence": "of the", "detector": "detector", "utterances": "utterances", "n": "n",
               "r": "correlation", "chance": "by chance", "p": "p (Holm)"}  # fmt: skip
    order = ["track", "evidence", "detector", "utterances"]
    return text.sort_values(order, kind="stable")[list(columns)].rename(columns=columns)


def segment_table(found: pd.DataFrame) -> pd.DataFrame:
    """`lies` as people read it: a row a segment class with its share of time, a column a detector and class."""
    text = found.assign(text=estimated(found, "relative", "low", "high", sign=""),
                        group=found["detector"] + ", " + found["key"].map(WORDS))  # fmt: skip
    wide = text.pivot(index="segment", columns="group", values="text")[list(text["group"].unique())]
    longest = found.groupby("segment")["share_of_time"]
    share = [f"{100 * low:.0f} to {100 * high:.0f}" for low, high in zip(longest.min(), longest.max(), strict=True)]
    wide.insert(0, "time (%)", pd.Series(share, index=longest.min().index))
    return wide.loc[list(shown_segments(found))].rename(index=SEGMENTS).rename_axis(columns=None).reset_index()


def shown_segments(found: pd.DataFrame) -> dict[str, str]:
    """Those of `SEGMENTS` that `lies` has found something about."""
    return {name: said for name, said in SEGMENTS.items() if name in set(found["segment"])}


def follow_sentence(found: pd.DataFrame) -> str:
    """Whether the evidence of detectors follows loudness more than chance would, in size and in direction."""
    part = found[(found["track"] == LOUDNESS) & found["r"].notna()]
    if part.empty:
        return "Whether evidence follows loudness cannot be said of these utterances."
    chance = span(pd.concat([part["null_low"], part["null_high"]]), "+")
    if not (part["p_holm"] < ALPHA).any():
        return (f"Evidence follows loudness no more than by chance: rank correlations over time are "
                f"{span(part['r'], '+')}, and chance gives {chance}.")  # fmt: skip
    words = {"size": "the evidence is stronger", "signed": "it speaks more for spoof"}
    said = [f"{what} {_louder_and_quieter(part[part['evidence'] == kind])}" for kind, what in words.items()]
    n = len(part[["detector", "key"]].drop_duplicates())
    where = "the one combination" if n == 1 else f"{n} combinations"
    return f"Of {where} of detector and class, {', and '.join(said)}; chance alone gives rank correlations of {chance}."


def _louder_and_quieter(part: pd.DataFrame) -> str:
    """In how many rows a correlation is beyond chance in which direction, and how large these are."""
    beyond = part[part["p_holm"] < ALPHA]
    said = []
    for word, rows in (("louder", beyond[beyond["r"] > 0]), ("quieter", beyond[beyond["r"] < 0])):
        size = f" ({span(rows['r'], '+')})" if len(rows) else ""
        said.append(f"where it is {word} in {len(rows)}{size}")
    return listed(said)


def segment_sentence(found: pd.DataFrame) -> str:
    """Where evidence is over- and where it is under-represented, over all detectors and classes."""
    supported = found[found["p_holm"] < ALPHA]
    said = []
    for word, rows in (("more", supported[supported["relative"] > 1]), ("less", supported[supported["relative"] < 1])):
        order = rows["segment"].value_counts()
        named = [f"{SEGMENTS[name]} ({span(rows.loc[rows['segment'] == name, 'relative'])} times it)"
                 for name in order.index[:3]]  # fmt: skip
        said += [f"{word} evidence than their share of time lies in {listed(named)}"] if named else []
    if not said:
        return "No class of segments holds more or less evidence than its share of time beyond doubt."
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}, for at least one detector and class."


def set_note(attributions: pd.DataFrame) -> str:
    """How many utterances the figures of evidence rest on, and which class is not among them."""
    first = attributions.drop_duplicates("utterance")
    counts = first["key"].value_counts()
    text = f"Explained and segmented: {listed([f'{counts.get(key, 0)} {WORDS[key]}' for key in KEYS])} utterances."
    return text + "".join(f" Nothing can be said of {WORDS[key]} ones." for key in KEYS if not counts.get(key, 0))


def absent_note(tracks: Tracks, masks: Tracks) -> str:
    """Which tracks and classes of segments there are not, because the study decodes no tier to make them of."""
    absent = [name for name in (LOUDNESS, VOICING) if name not in _named(tracks)]
    absent += [said for name, said in SEGMENTS.items() if name not in _named(masks)]
    if not absent:
        return ""
    return f"For want of a source of segments (`masking.segments` of the study) nothing is said of {listed(absent)}."


def _named(tracks: Tracks) -> list[str]:
    """The names of tracks or masks, which are the same of every utterance."""
    return list(next(iter(tracks.values()), {}))
