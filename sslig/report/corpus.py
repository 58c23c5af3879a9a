"""What a corpus holds: counts, sources, and the versions of one recording."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from sslig.labels import KEYS
from sslig.protocol import SETS, load_set
from sslig.report.display import NONE, listed

RECORDINGS, SUMMARY = "recordings.tsv", "corpus.json"


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


def names(root: Path) -> pd.DataFrame:
    """What the attacks and codecs of a built corpus are called; empty for a corpus that does not say."""
    made = json.loads(path.read_text(encoding="utf-8")) if (path := root / SUMMARY).is_file() else {}
    named = made.get("attack_names", {}) | made.get("codec_names", {})
    return pd.DataFrame(named.items(), columns=["name", "what it is"])


def sources(root: Path) -> pd.DataFrame:
    """Who spoke how many recordings in which set, in which language and under which licence."""
    path = root / RECORDINGS
    if not path.is_file():
        return pd.DataFrame({"set": list(SETS), "source": [str(root.name)] * len(SETS)})
    table = pd.read_csv(path, sep="\t", dtype=str)
    set_of = {utterance: name for name in SETS for utterance in load_set(root, name)["utterance"]}
    table["set"] = table["utterance"].map(set_of)
    columns = ["set", "speaker", "language", "licence"]
    found = table.groupby(columns, as_index=False, dropna=False)["recording"].nunique()
    return found.sort_values("set", key=lambda column: column.map(list(SETS).index))


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


def versions(root: Path, table: pd.DataFrame, seed: int) -> dict[str, str]:
    """Label -> file of one recording as it was spoken and as attacks made it again, for a table with ``path``.

    Of the recordings with the most versions one is drawn; in a corpus that does not name recordings, one utterance of
    the bona fide and of each attack.
    """
    uncoded = with_recordings(root, table[table["codec"] == NONE])
    if (root / RECORDINGS).is_file():
        complete = uncoded.groupby("recording").filter(lambda part: set(part["key"]) == set(KEYS))
        sizes = complete.groupby("recording").size()
        recording = np.random.default_rng(seed).choice(sizes.index[sizes == sizes.max()])
        uncoded = complete[complete["recording"] == recording]
    first = uncoded.sort_values(["key", "attack", "utterance"]).groupby(["key", "attack"]).head(1)
    known = dict(names(root).itertuples(index=False))
    return {
        "as spoken" if row.key == "bonafide" else f"{row.attack} {known.get(row.attack, '')}".strip(): row.path
        for row in first.itertuples()
    }


def with_recordings(root: Path, table: pd.DataFrame) -> pd.DataFrame:
    """`table` with a column ``recording``: what trials that are not independent have in common.

    It is the source recording where the corpus says so in ``recordings.tsv``, else the original that a coded variant
    was made from (``codec_seed``), else the utterance itself.
    """
    path = root / RECORDINGS
    if path.is_file():
        sources = pd.read_csv(path, sep="\t", dtype=str)[["utterance", "recording"]]
        return table.merge(sources, on="utterance", how="left", validate="one_to_one")
    original = load_set(root, "eval").set_index("utterance")["codec_seed"].reindex(table["utterance"]).to_numpy()
    return table.assign(recording=np.where(pd.isna(original) | (original == NONE), table["utterance"], original))
