"""The utterances of a study that can be opened, filtered by name, label, attack, codec, speaker, group or score."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from sslig.corpora import protocol
from sslig.errors import InputError
from sslig.labels import KEYS
from sslig.stats import agreement

COLUMNS = ("key", "attack", "codec", "speaker", "group")
"""Columns that utterances are filtered by, besides name and score."""


class Filter(BaseModel):
    """Which utterances are listed; an empty field lets all through.

    `text` is a part of the name in any case, `low` and `high` bound the spoof scores of `detector`, and `explained`
    lists only utterances that the study has explained; the others are explained when they are opened.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

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
    def parse(cls, values: dict[str, Any]) -> "Filter":
        """Check the values that a browser sends."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            fault, names = error.errors()[0], ", ".join(cls.model_fields)
            message = f"filter {fault['loc'][0]} is {fault['input']!r}; {fault['msg']}; the filters are {names}"
            raise InputError(message) from error


class Catalogue:
    """The utterances of *eval* that all detectors have scored, with what is known before they are opened.

    Parameters
    ----------
    root, sounds
        Folder of the tables of the corpus, and the one that holds all its sound files.
    scores
        Rows of `sslig.scores` with ``detector``.
    explained
        Names of the utterances that all detectors have explained.

    Attributes
    ----------
    table
        One row an utterance, in the order of their names: ``utterance``, `COLUMNS`, ``path``, ``explained``, and for
        each detector its spoof score under its name.
    """

    def __init__(self, root: Path, scores: pd.DataFrame, explained: set[str], sounds: Path | None = None) -> None:
        self.root, self.detectors = sounds or root, list(scores["detector"].unique())
        scores = scores[scores.groupby("utterance")["utterance"].transform("size") == len(self.detectors)]
        table = agreement.groups(scores).set_index("utterance")[list(COLUMNS)]
        table = table.join(scores.pivot(index="utterance", columns="detector", values="spoof_score"))
        paths = protocol.load_set(root, "eval").set_index("utterance")["path"]
        self.table = table.assign(path=paths, explained=table.index.isin(explained)).sort_index().reset_index()

    def choices(self) -> dict[str, list[str]]:
        """Column -> its values, for a list to choose from."""
        values = {name: sorted(set(self.table[name])) for name in COLUMNS}
        order = {"key": list(KEYS), "group": list(agreement.GROUPS)}
        return values | {name: sorted(values[name], key=order[name].index) for name in order}

    @property
    def orders(self) -> list[str]:
        """Columns to sort by: ``utterance``, `COLUMNS` and the detectors; a leading - sorts downwards."""
        rising = ["utterance", *COLUMNS, *self.detectors]
        return rising + [f"-{name}" for name in rising]

    def find(self, wanted: Filter, order: str = "utterance") -> pd.DataFrame:
        """The rows of `table` that a filter lets through, sorted; ties stay in the order of names."""
        if order not in self.orders:
            raise InputError(f"order {order!r}; accepted: {', '.join(self.orders)}")
        chosen = self.table["explained"] | (not wanted.explained)
        chosen &= self.table["utterance"].str.contains(wanted.text.strip(), case=False, regex=False)
        for column in COLUMNS:
            if value := getattr(wanted, column):
                chosen &= self.table[column] == value
        if wanted.low is not None or wanted.high is not None:
            if wanted.detector not in self.detectors:
                raise InputError(f"a range of scores of {wanted.detector!r}; accepted: {', '.join(self.detectors)}")
            low, high = pd.Series([wanted.low, wanted.high], dtype=float).fillna({0: -np.inf, 1: np.inf})
            chosen &= self.table[wanted.detector].between(low, high)
        column, ascending = order.removeprefix("-"), not order.startswith("-")
        return self.table[chosen].sort_values(column, ascending=ascending, kind="stable", ignore_index=True)

    def row(self, name: str) -> dict[str, Any]:
        """The row of the utterance `name`."""
        rows = self.table[self.table["utterance"] == name]
        if rows.empty:
            example = self.table["utterance"].iloc[0]
            raise InputError(f"no utterance {name!r} among {len(self.table)} of eval, such as {example}")
        return rows.iloc[0].to_dict()

    def path(self, name: str) -> Path:
        """The file of the utterance `name`; a link that leads out of the corpus is refused."""
        path = Path(self.row(name)["path"])
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise InputError(f"{path}: leads out of the corpus {self.root}, to {path.resolve()}")
        return path
