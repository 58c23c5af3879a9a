"""Whether explanations find planted cues: maps of detected spoofs against the known places, beside plain maps."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from sslig import records, scoring
from sslig.attribution import context as contexts
from sslig.attribution import explanation, gradients
from sslig.attribution import methods as attribution_methods
from sslig.attribution.methods import Method, offered
from sslig.corpora import protocol
from sslig.files import write_json, write_parquet, write_tsv
from sslig.labels import BONAFIDE, KEYS, SPOOF
from sslig.models.detector import Detector, fingerprint, select_device
from sslig.corpora.sample import draw
from sslig.specs import file_name
from sslig.stages.attributed import EXPLAINED_SET
from sslig.stages.explaining import DRAWS, context
from sslig.stages.planted import planted, planted_truth
from sslig.stages.scored import set_scores
from sslig.stages.trained import checkpoint
from sslig.stats import metrics
from sslig.study import Study
from sslig.validation import localisation, planted_maps, rivals, transplant
from sslig.validation.localisation import LocalisationError
from sslig.validation.planted_maps import Maker, PlantedMaps
from sslig.validation.summary import summarise

FOLDER = "localised"
"""Below the run of a detector in a study of planted cues; each method has a table of its own there."""

THRESHOLD_SET = "dev"
"""Whose equal error rate sets the threshold above which a spoof of *eval* counts as detected."""

RIVALS = "rivals"
"""Stands for a method where the plain maps are stored."""

MODULES = (contexts, explanation, gradients, attribution_methods, localisation,
           planted_maps, rivals, transplant)  # fmt: skip
"""Whose code decides the tables, so that they are made again when it changes."""

DESCRIPTION = ("utterance", "speaker", "recording", "score", "threshold")


def detected(study: Study, detector: str, seed: int) -> pd.DataFrame:
    """The spoofs of *eval* in a study of planted cues that one trained detector calls spoof and that are explained.

    That is at most ``validation.planted_utterances`` of those whose ``score`` reaches the ``threshold``, which is that
    of the equal error rate on *dev*: set before *eval* is looked at.

    Raises
    ------
    LocalisationError
        There are none.
    """
    dev = set_scores(study, detector, seed, THRESHOLD_SET)
    bonafide, spoof = (dev.loc[dev["key"].map(KEYS) == label, "spoof_score"] for label in (BONAFIDE, SPOOF))
    threshold = metrics.eer_threshold(bonafide, spoof)
    scores = set_scores(study, detector, seed, EXPLAINED_SET).set_index("utterance")["spoof_score"]
    spoofs = protocol.load_set(study.corpus_root, EXPLAINED_SET)
    spoofs = spoofs[spoofs["label"] == SPOOF].assign(score=lambda table: table["utterance"].map(scores))
    right = spoofs[spoofs["score"] >= threshold].assign(threshold=threshold)
    if right.empty:
        raise LocalisationError(f"{study.name}, {detector}, seed {seed}: none of {len(spoofs)} spoofs scores "
                                f"{threshold:.3g} or more, the threshold of {THRESHOLD_SET}")  # fmt: skip
    chosen = draw(right, study.validation.planted_utterances, study.corpus.seed)
    return protocol.with_recordings(study.corpus_root, chosen)


def localised(
    experiment: Study, detector: str, seed: int, kind: str, methods: Sequence[str] | None = None
) -> pd.DataFrame:
    """How well each map finds the planted cues of one kind in the spoofs that one trained detector detects.

    The detector is trained and scored first where it is not. Frames that the head does not read are left out of map and
    truth; utterances with no place among the others are listed with the unreadable in ``left_out.tsv``. Features of
    an encoder know what lies outside their frame, so evidence beside the place is no proof of a wrong explanation:
    the rival ``feature_change`` says how far the cue itself is spread,
    and `sslig.validation.transplant` whether the decision rests on the place at all.

    Parameters
    ----------
    kind
        Of `sslig.corpora.planted`.
    methods
        As of `sslig.attribution.methods`; none: those of the experiment, or all that the detector allows.

    Returns
    -------
    DataFrame
        ``kind``, ``detector``, ``seed``, `DESCRIPTION`, ``place_share`` (of the frames that are read), ``method``,
        ``aggregation``, the columns of `sslig.validation.statistics.measured`,
        `sslig.attribution.explanation.CERTIFICATE`, NaN for rivals, and `sslig.validation.transplant.COLUMNS`, which are
        told with the rivals and NaN for the methods. The positive part of a map is evidence for spoof.

    Raises
    ------
    LocalisationError
        No spoof is detected, or none has its place where the head reads.
    """
    study = planted(experiment, kind)
    model = Detector.from_pretrained(checkpoint(study, detector, seed))
    wanted = offered(model.head, experiment.validation.methods if methods is None else methods)
    utterances, run = detected(study, detector, seed), study.run(detector, seed) / FOLDER
    common = _common_key(study, detector, seed, utterances)
    keys = {spec: records.hash_of(common, spec) for spec in (*(one.spec for one in wanted), RIVALS)}
    missing = [spec for spec, key in keys.items() if records.stored_key(run / file_name(spec, "json")) != key]
    if missing:
        rows = _measured(experiment, study, model, detector, seed, kind, utterances, missing, run)
        for spec in missing:
            table = pd.DataFrame(rows[spec]).assign(kind=kind, detector=detector, seed=seed)
            write_parquet(run / file_name(spec, "parquet"), table)
            write_json(run / file_name(spec, "json"), {"key": keys[spec], "method": spec})
    return pd.concat([pd.read_parquet(run / file_name(spec, "parquet")) for spec in keys], ignore_index=True)


def localised_summary(
    experiment: Study, table: pd.DataFrame, by: Sequence[str] = ("kind", "detector")
) -> pd.DataFrame:
    """Each measure of `localised` tables with its interval beside chance (`sslig.validation.summary.summarise`)."""
    return summarise(
        table, by, seed=experiment.corpus.seed, rounds=experiment.validation.rounds,
        resample_recordings=experiment.evaluation.resample_recordings,
    )  # fmt: skip


def localised_costs(table: pd.DataFrame, by: Sequence[str] = ("detector", "method")) -> pd.DataFrame:
    """What became of the promises of each method in `localised` tables, and its cost (`explanation.summary`)."""
    explained = table[table["seconds"].notna()]
    return explanation.summary(explained.drop_duplicates(["kind", "detector", "seed", "method", "utterance"]), by)


def localised_maps(
    experiment: Study, detector: str, seed: int, kind: str, utterance: str, methods: Sequence[str] | None = None
) -> PlantedMaps:
    """All maps of one of the `detected` utterances, made anew, to be looked at.

    Raises
    ------
    LocalisationError
        It is none of them, or cannot be read.
    """
    study = planted(experiment, kind)
    model = Detector.from_pretrained(checkpoint(study, detector, seed))
    utterances = detected(study, detector, seed)
    chosen = utterances[utterances["utterance"] == utterance].reset_index(drop=True)
    wanted = offered(model.head, experiment.validation.methods if methods is None else methods)
    maker = _maker(experiment, study, model, detector, seed, kind, wanted, with_rivals=True)
    left_out = scoring.LeftOut({})
    with scoring.evaluating(model, maker.device):
        found = [one for _, one in maker.each(chosen, left_out)]
    if not found:
        raise LocalisationError(f"{utterance!r} is none of the {len(utterances)} detected spoofs, or cannot be read: "
                                f"{left_out.faults}")  # fmt: skip
    return found[0]


def _maker(
    experiment: Study, study: Study, model: Detector, detector: str, seed: int, kind: str,
    methods: Sequence[Method], with_rivals: bool,
) -> Maker:  # fmt: skip
    truth = dict(tuple(planted_truth(experiment, kind, EXPLAINED_SET).groupby("utterance")))
    prepared, device = context(study, detector, seed), select_device(study.device)
    return Maker(model, prepared, study.scoring, truth, _twins(study), methods, with_rivals, device)


def _measured(
    experiment: Study, study: Study, model: Detector, detector: str, seed: int, kind: str,
    utterances: pd.DataFrame, specs: Sequence[str], run: Path,
) -> dict[str, list[dict[str, object]]]:  # fmt: skip
    """The rows of each method, and of the rivals; what cannot be measured is listed in ``left_out.tsv``."""
    methods = offered(model.head, [spec for spec in specs if spec != RIVALS])
    maker = _maker(experiment, study, model, detector, seed, kind, methods, RIVALS in specs)
    rows: dict[str, list[dict[str, object]]] = {spec: [] for spec in specs}
    left_out = scoring.LeftOut({})
    with scoring.evaluating(model, maker.device):
        for row, found in maker.each(utterances, left_out):
            truth = found.truth[: found.n_read]
            told = row[list(DESCRIPTION)].to_dict() | {"place_share": truth.mean()}
            for one in found.maps:
                moved = transplant.NONE if one.certificate else found.transplanted
                named = told | {"method": one.method, "aggregation": one.aggregation, **moved}
                measures = localisation.rows(one.frames[: found.n_read], truth, found.clock)
                rows[one.method if one.certificate else RIVALS] += [
                    named | measure | (one.certificate or explanation.NO_RECORD) for measure in measures
                ]
    without = left_out.table(utterances)
    write_tsv(run / "left_out.tsv", without)
    if len(without) == len(utterances):
        raise LocalisationError(f"{study.name}, {detector}: none of {len(utterances)} detected spoofs can be measured, "
                                f"first {without.iloc[0].to_dict()}")  # fmt: skip
    return rows


def _twins(study: Study) -> dict[str, str]:
    """Spoof of *eval* -> sound file of the same recording without the cue."""
    table = protocol.load_set(study.corpus_root, EXPLAINED_SET)
    named = pd.read_csv(study.corpus_root / protocol.RECORDINGS, sep="\t", dtype=str)[["utterance", "original"]]
    table = table.merge(named, on="utterance", validate="one_to_one")
    bonafide = table[table["label"] == BONAFIDE].set_index("original")["path"]
    spoofs = table[table["label"] == SPOOF].set_index("utterance")["original"]
    return spoofs.map(bonafide).dropna().to_dict()


def _common_key(study: Study, detector: str, seed: int, utterances: pd.DataFrame) -> str:
    """Of all that decides a result whatever the method."""
    explained = dataclasses.asdict(study.attribution)
    explained = {name: value for name, value in explained.items() if name not in ("utterances", "baseline")}
    code = [records.hash_of_file(Path(module.__file__)) for module in MODULES]
    return records.hash_of(
        fingerprint(checkpoint(study, detector, seed)), seed, utterances["utterance"].tolist(), explained, DRAWS,
        records.contents(study, EXPLAINED_SET), study.masking.profile_utterances, study.corpus.seed,
        records.how(study), code,
    )  # fmt: skip
