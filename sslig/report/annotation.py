"""What people heard in the regions of a study: where it comes from, and what is known of the utterances."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from sslig.annotation import interchange, plan, summary
from sslig.annotation import table as tables
from sslig.annotation.imported import FAULTS, Imported
from sslig.annotation.store import Store
from sslig.annotation.study import store_path, utterances
from sslig.annotation.summary import Resampling
from sslig.annotation.vocabulary import DETECTORS, NAME_CHARACTERS
from sslig.cues.top_regions import UNKNOWN
from sslig.stages.annotated import annotated_regions
from sslig.stages.trained import corpus
from sslig.study import Study


@dataclass(frozen=True)
class Material:
    """Annotations of a study with what is known of their utterances.

    Attributes
    ----------
    table
        `sslig.annotation.table.TYPES` with ``key``, ``speaker`` and ``recording``, missing where the study does not
        know an utterance.
    source
        The file that they come from.
    imported
        Whether it is a file given to the page, and not the store of the study.
    faults
        Rows of it that could not be read.
    regions
        The top regions of the detectors with ``segment_class``; empty where no annotated utterance is explained.
    duration_s
        Length of each annotated recording that the study knows.
    progress
        ``annotator``, ``done`` and ``of``, of those who have a plan.
    how
        Of the intervals.
    """

    table: pd.DataFrame
    source: Path
    imported: bool
    faults: pd.DataFrame
    regions: pd.DataFrame
    duration_s: Mapping[str, float]
    progress: pd.DataFrame
    how: Resampling


def material(
    study: Study, detectors: Sequence[str] | None, seed: int, annotations: str | Path | None = None
) -> Material:  # fmt: skip
    """The annotations in the store of a study, or in a file or folder of any form of `sslig.annotation.interchange`.

    Parameters
    ----------
    detectors
        Those whose regions are counted; none: all that were judged.
    seed
        Of the trained detectors.
    annotations
        A file or folder; none: the store.
    """
    source = store_path(study) if annotations is None else Path(annotations)
    source = source if source.exists() else study.root / source  # wherever the page is computed
    given = partial(interchange.read, source, annotator=source.stem[:NAME_CHARACTERS])
    found, progress = _stored(source) if annotations is None else (given(), _no_progress())
    corpus(study)  # its protocol says what is known of an utterance
    known = utterances(study, found.table["utterance"])
    table = found.table if detectors is None else found.table[found.table["detector"].isin(detectors)]
    table = table.sort_values("detector", key=lambda names: names.map(_place), kind="stable")  # whatever came first
    how = Resampling(study.corpus.seed, study.evaluation.rounds, recordings=study.evaluation.resample_recordings)
    return Material(
        table=summary.with_protocol(table, known), source=source, imported=annotations is not None, faults=found.faults,
        regions=_regions(study, table, known, seed),
        duration_s=dict(zip(known["utterance"], known["duration_s"], strict=True)),
        progress=progress, how=how,
    )  # fmt: skip


def judged(found: Material) -> pd.DataFrame:
    """The judged real regions, each once for each annotator."""
    return tables.judged(tables.plain(found.table))


def names(found: Material) -> list[str]:
    """Annotators with a judged region, sorted."""
    return sorted(judged(found)["annotator"].unique())


def _place(detector: str) -> tuple[int, str]:
    """Where a detector stands on the page: the project's heads first."""
    known = list(DETECTORS)
    return (known.index(detector) if detector in known else len(known), detector)


def _no_progress() -> pd.DataFrame:
    return pd.DataFrame(columns=["annotator", "done", "of"])


def _stored(path: Path) -> tuple[Imported, pd.DataFrame]:
    """What stands in a store, nothing where there is no file yet; and how far each annotator is."""
    if not path.is_file():
        return Imported(tables.conformed([]), pd.DataFrame(columns=list(FAULTS))), _no_progress()
    with Store(path, read_only=True) as store:
        rows = [
            (annotator, *plan.progress(items, store.states(annotator))[:2])
            for annotator, items in plan.plans(store).items() if items
        ]  # fmt: skip
        progress = pd.DataFrame(rows, columns=["annotator", "done", "of"])
        return Imported(tables.annotations(store), pd.DataFrame(columns=list(FAULTS))), progress


def _regions(study: Study, table: pd.DataFrame, known: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The top regions of judged detectors in judged utterances; empty where the study explains and decodes none."""
    said = tables.judged(table)
    own = [name for name in study.detectors if name in set(said["detector"])]
    if known.empty or not own:
        return pd.DataFrame()
    found = annotated_regions(study, own, seed, classes=True)
    found = found[found["utterance"].isin(said["utterance"])]
    return found if (found["segment_class"] != UNKNOWN).any() else found.head(0)
