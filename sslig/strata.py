"""Strata: kinds of utterances worth listening to, and the selection of the paper."""

from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Stratum(BaseModel):
    """Utterances worth listening to (`sslig.stats.agreement.select`).

    Attributes
    ----------
    name
        The reason that its utterances carry.
    group
        One of `sslig.stats.agreement.GROUPS`; none for any.
    n, per_attack
        Utterances in all, taken in turn from each attack, or utterances of each attack.
    distinct
        ``speaker``: no two utterances of one speaker.
    order
        ``best``: the most spoof-like spoofs or the least spoof-like bona fide (``spoof_rank``); ``worst``: the others.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    key: Literal["bonafide", "spoof"]
    group: Literal["confidently right", "middle right", "middle wrong", "confidently wrong", "mixed"] | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    per_attack: Annotated[int, Field(ge=1)] | None = None
    distinct: Literal["speaker"] | None = None
    order: Literal["random", "best", "worst"] = "random"

    @model_validator(mode="after")
    def _sized_once(self) -> Self:
        if (self.n is None) == (self.per_attack is None):
            raise ValueError(f"n is {self.n} and per_attack is {self.per_attack}; exactly one of them is needed")
        if self.per_attack is not None and self.key == "bonafide":
            raise ValueError("bona fide utterances have no attack: per_attack is not accepted, n is")
        return self


PAPER = [
    Stratum(name="best-scored spoof of its attack", key="spoof", per_attack=2, order="best"),
    Stratum(name="confidently right spoof", key="spoof", group="confidently right", per_attack=2),
    Stratum(name="confidently right bona fide", key="bonafide", group="confidently right", n=28, distinct="speaker"),
    Stratum(name="confidently wrong bona fide", key="bonafide", group="confidently wrong", n=10),
    Stratum(name="confidently wrong spoof", key="spoof", group="confidently wrong", n=10),
    Stratum(name="middle right bona fide", key="bonafide", group="middle right", n=5),
    Stratum(name="middle right spoof", key="spoof", group="middle right", n=5),
    Stratum(name="middle wrong bona fide", key="bonafide", group="middle wrong", n=5),
    Stratum(name="middle wrong spoof", key="spoof", group="middle wrong", n=5),
]
"""The selection of arXiv 2606.10912, 132 utterances of 16 attacks. No random draw comes before an ordered one."""


def differently_named(strata: list[Stratum]) -> list[Stratum]:
    """`strata`, whose names differ; `ValueError` where two have one name."""
    names = Counter(stratum.name for stratum in strata)
    if len(names) < len(strata):
        raise ValueError(f"several strata {names.most_common(1)[0][0]!r}")
    return strata
