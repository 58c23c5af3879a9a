"""What a corpus holds: counts, sources, and the versions of one recording."""

import json
from pathlib import Path

import pandas as pd

from sslig.corpora.protocol import NONE, RECORDINGS, SETS, load_set, with_recordings
from sslig.labels import KEYS
from sslig.report.display import listed

SUMMARY = "corpus.json"
MOST_SPEAKERS = 20
"""Above it, speakers are counted and not named."""


def counts(root: Path) -> pd.DataFrame:
    """Counts of each set of a corpus: utterances by class, coded ones, speakers and attacks."""
    rows = []
    for name in SETS:
        table = load_set(root, name)
        rows.append({
            "set": name,
            **{key: int((table["key"] == key).sum()) for key in KEYS},
            "coded": int((table["codec"] != NONE).sum()),
            "speakers": table["speaker"].nunique(),
            "attacks": ", ".join(sorted(set(table["attack"]) - {NONE})),
        })  # fmt: skip
    return pd.DataFrame(rows)


def answer(sets: dict[str, pd.DataFrame], alone: pd.DataFrame) -> str:
    """The page's answer, from the sets and the EER of each plain measure alone (`sslig.cues.artefacts`)."""
    n_speakers = sum(table["speaker"].nunique() for table in sets.values())
    shared = n_speakers - len(set().union(*(table["speaker"] for table in sets.values())))
    apart = "no speaker in two sets" if shared == 0 else f"{shared} of them in more than one set"
    best = alone.loc[alone["eer"].idxmin()]
    return (
        f"**Answer.** {sum(map(len, sets.values())):,} utterances of {n_speakers} speakers, {apart}. The strongest of "
        f"{alone['measure'].nunique()} plain measures, `{best['measure']}` in *{best['set']}*, separates the classes "
        f"with an EER of {100 * best['eer']:.0f} %; 50 % would be chance. What detectors do better than that, they do "
        "by listening."
    )


def names(root: Path) -> pd.DataFrame:
    """What the attacks and codecs of a built corpus are called; empty for a corpus that does not say."""
    made = json.loads(path.read_text(encoding="utf-8")) if (path := root / SUMMARY).is_file() else {}
    named = made.get("attack_names", {}) | made.get("codec_names", {})
    return pd.DataFrame(named.items(), columns=["name", "what it is"])


def sources(root: Path) -> pd.DataFrame:
    """Who spoke how many recordings in which set, in which language and under which licence."""
    trials = pd.concat([load_set(root, name).assign(set=name) for name in SETS])
    spoken = trials[trials["key"] == "bonafide"]
    columns = ["set", "speaker"]
    if (path := root / RECORDINGS).is_file():
        told = pd.read_csv(path, sep="\t", dtype=str)
        spoken = spoken.drop(columns="speaker").merge(told, on="utterance")
        columns = ["set", "speaker", "language", "licence"]
    else:
        spoken = spoken.assign(recording=spoken["utterance"])
    found = spoken.groupby(columns, as_index=False, dropna=False).agg(recordings=("recording", "nunique"))
    ordered = found.sort_values("set", key=lambda column: column.map(list(SETS).index), kind="stable")
    return (
        ordered
        if len(ordered) <= MOST_SPEAKERS
        else ordered.groupby("set", sort=False, as_index=False).agg(
            speakers=("speaker", "nunique"), recordings=("recordings", "sum")
        )
    )


def language_note(root: Path) -> str:
    """Which attacks of a set speak a language that its bona fide do not; that alone could give them away."""
    path = root / RECORDINGS
    if not path.is_file():
        return ""
    table = pd.read_csv(path, sep="\t", dtype=str)[["utterance", "language"]]
    notes = []
    for name in SETS:
        trials = load_set(root, name).merge(table, on="utterance")
        spoken = set(trials.loc[trials["key"] == "bonafide", "language"])
        foreign = trials[(trials["key"] == "spoof") & ~trials["language"].isin(spoken)]
        for (attack, language), part in foreign.groupby(["attack", "language"]):
            notes.append(
                f"the {len(part)} spoofs by {attack} in *{name}* speak `{language}`, which no bona fide of it does"
            )
    if not notes:
        return "In each set, the spoofs speak the languages of its bona fide."
    return f"Mind that {listed(notes)}: what detectors say about them may also be about the language."


def versions(root: Path, table: pd.DataFrame, seed: int) -> dict[str, list[str]]:
    """Of each attack in a protocol table with ``path`` one spoof: label -> its recording as spoken, and the spoof.

    In a corpus that does not name recordings, a bona fide utterance drawn at random stands in for the recording.
    """
    uncoded = with_recordings(root, table[table["codec"] == NONE])
    spoken = uncoded[uncoded["key"] == "bonafide"].set_index("recording")["path"]
    spoofs = uncoded[uncoded["key"] == "spoof"]
    drawn = spoofs.sample(frac=1, random_state=seed).drop_duplicates("attack").sort_values("attack")
    stand_in = spoken.sample(1, random_state=seed).iloc[0]
    known = dict(names(root).itertuples(index=False))
    return {
        f"{row.attack} {known.get(row.attack, '')}".strip(): [spoken.get(row.recording, stand_in), row.path]
        for row in drawn.itertuples()
    }
