"""Sources: where the recordings of a study are, in which layout, and which sets of them are used."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

SOURCES = ("voices", "prompts", "synthetic")
"""Corpora that are built by name; any other source is a folder of recordings."""

READY_MADE = "asvspoof5"
UNSPLIT = ("in_the_wild", "mlaad", "wavefake")
"""Published corpora without sets of their own."""
TESTS = ("asvspoof2021_la", "asvspoof2021_df")
"""Published corpora without a set for training."""
LABELLED = ("partialspoof", "had")
"""Published corpora that label the spoofed segments of an utterance."""
LAYOUTS = ("asvspoof2019_la", *TESTS, *UNSPLIT, "fake_or_real", *LABELLED, "manifest")
"""Published corpora, and tables of one's own, that `sslig.corpora.readers` turns into tables of utterances."""

SetName = Literal["train", "dev", "eval"]
PlainName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Corpus(BaseModel):
    """Where the recordings are and, for a corpus that is built here, what it is made from.

    Attributes
    ----------
    source
        ``voices``, ``prompts``, ``synthetic``, a folder of recordings, or a corpus that lies at `root` already:
        ``asvspoof5`` or one of `LAYOUTS`.
    recordings, attacks
        Recordings at most, and attacks (`sslig.corpora.spoofs`) where they are not the usual ones, by set.
    sets
        Those that are used, of a corpus that lies at `root` already; none: all that its layout has.
    shares
        Of a corpus without sets: the share of the utterances in *train* and *dev*; the rest is *eval*.
    tests
        Name -> another corpus whose *eval* the detectors are scored on too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    source: str
    root: str
    seed: int = 0
    recordings: dict[SetName, int | None] = {}
    attacks: dict[SetName, Annotated[list[PlainName], Field(min_length=1)]] = {}
    sets: Annotated[list[SetName], Field(min_length=1)] | None = None
    shares: dict[Literal["train", "dev"], Annotated[float, Field(gt=0, lt=1)]] = {}
    tests: dict[PlainName, "Corpus"] = {}

    @property
    def is_read(self) -> bool:
        """Whether a reader makes the tables of this corpus."""
        return self.source in LAYOUTS

    def is_labelled(self, root: Path) -> bool:
        """Whether the corpus, relative to the folder `root`, says which segments of a spoof are spoofed."""
        if self.source != "manifest":
            return self.source in LABELLED
        with (root / self.root).open(encoding="utf-8-sig", errors="replace") as file:
            return "segments" in re.split(r"[,;\t]", file.readline().strip())

    @property
    def available(self) -> list[SetName]:
        """The sets that the study uses."""
        names = list(get_args(SetName))
        layout = ["dev", "eval"] if self.source in TESTS else names
        if self.source in UNSPLIT:
            layout = [name for name in names if name in self.shares or name == "eval"]
        return [name for name in layout if name in (self.sets or names)]

    @property
    def reference(self) -> SetName:
        """The set whose bona fide utterances are averaged: *train* where there is one."""
        return self.available[0]

    def decisive(self) -> dict[str, Any]:
        """The values that decide the recordings of a training; those without effect are left out."""
        values = self.model_dump(exclude={"tests"})
        return {key: value for key, value in values.items() if key not in ("sets", "shares", "attacks") or value}

    @model_validator(mode="after")
    def _tests_apart(self) -> Self:
        if taken := set(self.tests) & set(get_args(SetName)):
            raise ValueError(f"a test is called {taken.pop()!r}, which is a set of the corpus; give it another name")
        return self
