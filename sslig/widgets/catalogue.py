"""The utterances of a study that can be opened: found by name, label, attack, codec, speaker, group or score."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sslig import stages
from sslig.corpora import protocol
from sslig.labels import KEYS
from sslig.stages.selected import consensus_groups
from sslig.stats.consensus import GROUPS
from sslig.study import Study

COLUMNS = ("key", "attack", "codec", "speaker", "group")
"""What utterances are filtered by, besides name and score."""


class CatalogueError(ValueError):
    """An utterance, a filter or an order that there is not; the message says what there is."""


@dataclass(frozen=True)
class Filter:
    """Which utterances are meant; what is left empty lets all through.

    Parameters
    ----------
    text
        Part of the name, in any case.
    key, attack, codec, speaker, group
        Values of the columns of these names.
    detector
        Whose spoof score lies from `low` to `high`.
    low, high
        Logits; none: no end.
    explained
        Only utterances whose attributions the study has made; the others are explained when they are opened.
    """

    text: str = ""
    key: str = ""
    attack: str = ""
    codec: str = ""
    speaker: str = ""
    group: str = ""
    detector: str = ""
    low: float | None = None
    high: float | None = None
    explained: bool = True

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Filter":
        """The filter with these `values`, as they come from a browser.

        Raises
        ------
        CatalogueError
            A value has no such place or is of another type.
        """
        known = {field.name: field for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise CatalogueError(f"unknown filter {unknown[0]!r}; accepted: {', '.join(known)}")
        for name, value in values.items():
            kinds = {"explained": bool, "low": int | float | None, "high": int | float | None}.get(name, str)
            if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
                raise CatalogueError(f"filter {name} is {value!r}; accepted: {getattr(kinds, '__name__', kinds)}")
        return cls(**values)


class Catalogue:
    """The scored utterances of *eval*, with what is known of them without opening them.

    Parameters
    ----------
    experiment
        The study.
    detectors
        Their scores, and the group that they put an utterance in together.
    seed
        Of the detectors.
    explained
        Names of the utterances that all of them have explained.

    Attributes
    ----------
    table
        A row an utterance, in the order of their names: ``utterance``, `COLUMNS`, ``path``, ``explained``, and for
        each detector its spoof score under its name.
    """

    def __init__(self, experiment: Study, detectors: Sequence[str], seed: int, explained: set[str]) -> None:
        self.root, self.detectors = experiment.corpus_root, list(detectors)
        table = consensus_groups(experiment, self.detectors, seed).set_index("utterance")[list(COLUMNS)]
        for name in self.detectors:
            scores = stages.set_scores(experiment, name, seed, stages.EXPLAINED_SET).set_index("utterance")
            table[name] = scores["spoof_score"]
        files = protocol.load_set(self.root, stages.EXPLAINED_SET).set_index("utterance")["path"]
        self.table = table.assign(path=files, explained=table.index.isin(explained)).sort_index().reset_index()

    def choices(self) -> dict[str, list[str]]:
        """Column -> its values, for a list to choose from."""
        order = {"key": list(KEYS), "group": list(GROUPS)}
        found = {name: set(self.table[name]) for name in COLUMNS}
        return {name: [one for one in order.get(name, sorted(found[name])) if one in found[name]] for name in COLUMNS}

    @property
    def orders(self) -> list[str]:
        """What utterances may be sorted by: ``utterance``, `COLUMNS` and the detectors, a - before it for downwards."""
        rising = ["utterance", *COLUMNS, *self.detectors]
        return rising + [f"-{name}" for name in rising]

    def find(self, wanted: Filter, order: str = "utterance") -> pd.DataFrame:
        """The rows of `table` that a filter lets through, sorted; what is equal stays in the order of names.

        Raises
        ------
        CatalogueError
            The detector or the order is unknown.
        """
        if order not in self.orders:
            raise CatalogueError(f"order {order!r}; accepted: {', '.join(self.orders)}")
        table = self.table
        kept = table["explained"] | (not wanted.explained)
        kept &= table["utterance"].str.contains(wanted.text.strip(), case=False, regex=False)
        for column in COLUMNS:
            if value := getattr(wanted, column):
                kept &= table[column] == value
        if wanted.low is not None or wanted.high is not None:
            kept &= self._scores(wanted.detector).between(_or(wanted.low, -np.inf), _or(wanted.high, np.inf))
        column, falling = order.removeprefix("-"), order.startswith("-")
        return table[kept].sort_values(column, ascending=not falling, kind="stable", ignore_index=True)

    def row(self, name: str) -> dict[str, Any]:
        """What is known of the utterance `name`.

        Raises
        ------
        CatalogueError
            There is no such utterance.
        """
        found = self.table[self.table["utterance"] == name]
        if found.empty:
            raise CatalogueError(f"no utterance {name!r} among {len(self.table)} of {stages.EXPLAINED_SET}, such as "
                                 f"{self.table['utterance'].iloc[0]}")  # fmt: skip
        return found.iloc[0].to_dict()

    def path(self, name: str) -> Path:
        """The file of the utterance `name`, which lies in the corpus whatever the name or a link says.

        Raises
        ------
        CatalogueError
            There is no such utterance, or its file lies elsewhere.
        """
        path = Path(self.row(name)["path"])
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise CatalogueError(f"{path}: leads out of the corpus {self.root}, to {path.resolve()}; files of an "
                                 "utterance lie in the corpus")  # fmt: skip
        return path

    def _scores(self, detector: str) -> pd.Series:
        if detector not in self.detectors:
            raise CatalogueError(f"a range of scores of {detector!r}; accepted: {', '.join(self.detectors)}")
        return self.table[detector]


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
