"""What all detectors say of each utterance, and which utterances are worth listening to, each with its reason."""

from collections.abc import Sequence

import pandas as pd

from sslig.corpora.protocol import NONE
from sslig.report.agreement import CLASSES
from sslig.report.display import listed
from sslig.selection import EVERY_ATTACK, Stratum
from sslig.stats.consensus import CONFIDENTLY_RIGHT, CONFIDENTLY_WRONG, GROUPS, MIXED, RATE

PLURAL = {"bonafide": "bona fide", "spoof": "spoofs"}


def group_counts(groups: pd.DataFrame) -> pd.DataFrame:
    """How many utterances of each class are in each group, and their share of the class in percent."""
    counts = pd.crosstab(groups["group"], groups["key"]).reindex(index=GROUPS, columns=CLASSES, fill_value=0)
    shares = 100 * counts / counts.sum()
    table = pd.DataFrame({"group": GROUPS})
    for key, word in CLASSES.items():
        table[word], table[f"{word} (%)"] = counts[key].to_numpy(), shares[key].to_numpy()
    return table


def group_note(groups: pd.DataFrame) -> str:
    """What the sizes of the classes allow: how many errors the confident cuts let through."""
    sizes = groups["key"].value_counts()
    needed = round(1 / RATE)
    said, small = [], []
    for key, word in CLASSES.items():
        said.append(f"{RATE * sizes[key]:.1f} of the {sizes[key]:,} {word}")
        small += [word] if sizes[key] < needed else []
    text = f"The confident cuts admit {100 * RATE:g} % of the other class, that is {listed(said)} utterances."
    if small:
        text += (f" A class needs {needed:,} utterances for one of its own to lie beyond the cut, so no "
                 f"{listed(small)} utterance can be {CONFIDENTLY_WRONG} here.")  # fmt: skip
    n_detectors = sum(name.startswith("verdict_") for name in groups)
    for key, other in zip(CLASSES, reversed(CLASSES), strict=True):
        if not _in(groups, key, CONFIDENTLY_RIGHT):
            enough = int(RATE * sizes[other]) + 1
            who = f"{enough:,} {PLURAL[other]} are" if enough > 1 else f"one {CLASSES[other]} utterance is"
            by = f" by {_all(n_detectors)}" if n_detectors > 1 else ""
            text += (f" No {CLASSES[key]} utterance is {CONFIDENTLY_RIGHT}{by}: at the far end of one detector's "
                     f"scores {who} enough to push its cut beyond them all.")  # fmt: skip
    return text


def strata_table(strata: Sequence[Stratum], chosen: pd.DataFrame, shortages: pd.DataFrame) -> pd.DataFrame:
    """The strata as people read them: what each asks for, how it orders, what it found and what it lacks."""
    found, lacking = chosen["reason"].value_counts(), shortages.assign(lacks=shortages["asked"] - shortages["found"])
    lacks = lacking.groupby("stratum")["lacks"].sum()
    rows = [
        {
            "stratum": stratum.name,
            "class": CLASSES[stratum.key],
            "group": stratum.group or "any",
            "asks for": f"{stratum.per_attack} of each attack" if stratum.n is None else str(stratum.n),
            "order": stratum.order,
            "distinct": stratum.distinct or "",
            "found": int(found.get(stratum.name, 0)),
            "lacks": int(lacks.get(stratum.name, 0)),
        }
        for stratum in strata
    ]
    return pd.DataFrame(rows)


def shortage_note(shortages: pd.DataFrame) -> str:
    """Which strata found fewer utterances than they asked for."""
    if shortages.empty:
        return "No stratum is short."
    said = []
    for name, part in shortages.groupby("stratum", sort=False):
        if (part["attack"] == EVERY_ATTACK).all():
            said.append(f"*{name}* found {part['found'].iloc[0]} of {part['asked'].iloc[0]}")
        else:
            each = [f"{row.found} of {row.asked} for {row.attack}" for row in part.itertuples()]
            said.append(f"*{name}* found {listed(each)}")
    return f"Short are {len(said)} strata, which took what is there: {'; '.join(said)}."


def reasons(chosen: pd.DataFrame) -> pd.DataFrame:
    """The chosen utterances as people read them."""
    n_detectors = sum(name.startswith("verdict_") for name in chosen)
    return pd.DataFrame({
        "reason": chosen["reason"], "utterance": chosen["utterance"], "attack": chosen["attack"],
        "codec": chosen["codec"], "speaker": chosen["speaker"],
        "right": [f"{n} of {n_detectors}" for n in chosen["n_right"]],
        "confident": [f"{n} of {n_detectors}" for n in chosen["n_confident"]],
        "rank (%)": 100 * chosen["spoof_rank"],
    })  # fmt: skip


def examples(chosen: pd.DataFrame, files: dict[str, str], n: int = 1) -> dict[str, list[str]]:
    """Label -> file of the first `n` utterances of each reason; `files` by utterance."""
    return {
        f"{row.reason}: {row.utterance}{'' if row.attack == NONE else f', {row.attack}'}"
        f"{'' if row.codec == NONE else f', {row.codec}'}, rank {100 * row.spoof_rank:.0f} %": [files[row.utterance]]
        for row in chosen.groupby("reason", sort=False).head(n).itertuples()
    }


def answer(groups: pd.DataFrame, chosen: pd.DataFrame, strata: Sequence[Stratum], shortages: pd.DataFrame) -> str:
    """The page's answer: on how much the detectors agree, and how many utterances were chosen for what."""
    n_detectors = sum(name.startswith("verdict_") for name in groups)
    right = groups["n_right"] == n_detectors
    wrong = groups["n_right"] == 0
    who = f"{_all(n_detectors)} are" if n_detectors > 1 else "the detector is"
    share = [f"{100 * which.mean():.0f} %" for which in (right, wrong)]
    asked = f"{shortages['stratum'].nunique()} strata are short" if len(shortages) else "no stratum is short"
    same = 100 * (groups["group"] != MIXED).mean()
    mixed = f"; of {same:.0f} % they say the same with the same confidence" if n_detectors > 1 else ""
    return (f"**Answer.** Of {len(groups):,} utterances {who} right on {share[0]} and wrong on {share[1]}{mixed}. "
            f"{len(chosen)} utterances of {chosen['reason'].nunique()} of {len(strata)} strata are worth listening to; "
            f"{asked}.")  # fmt: skip


def _all(n_detectors: int) -> str:
    return "both detectors" if n_detectors == 2 else f"all {n_detectors} detectors"


def _in(groups: pd.DataFrame, key: str, group: str) -> int:
    return int(((groups["key"] == key) & (groups["group"] == group)).sum())
