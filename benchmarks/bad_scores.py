"""What each kind of broken score file ends in: a clear error that names the culprit, a warning, or a result.

    python benchmarks/bad_scores.py

A case counts as clear when it works, or when the error or the warning holds the words given for it.
"""

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from sslig.errors import InputError
from sslig.scores import ScoreFileWarning, read_foreign

NAMES = [f"E_{number:04d}" for number in range(1, 9)]
KEYS = ["bonafide", "spoof"] * 4
PROTOCOL = pd.DataFrame(
    {
        "utterance": NAMES,
        "key": KEYS,
        "attack": ["-", "A01"] * 4,
        "codec": "-",
        "speaker": "S1",
        "gender": "F",
    }
)
GOOD = [f"{name} {1 if key == 'spoof' else -1} {int(key == 'spoof')}" for name, key in zip(NAMES, KEYS, strict=True)]
OFFICIAL = ["filename\tcm-score", *("\t".join(line.split()[:2]) for line in GOOD)]


class Case(NamedTuple):
    """A file, how it is read, and words that must stand in what it ends in; none where it must work."""

    lines: list[str]
    words: str | None
    options: Mapping[str, Any]


def changed(line: int, text: str) -> list[str]:
    """The good file with one line, counted from 1, replaced."""
    return [*GOOD[: line - 1], text, *GOOD[line:]]


def cases() -> dict[str, Case]:
    """Each kind by name."""
    stated = {"higher": "spoof"}
    return {
        "sound": Case(GOOD, None, stated),
        "shuffled, with blank lines": Case([*GOOD[::-1], "", ""], None, stated),
        "score is NaN": Case(changed(3, "E_0003 nan 0"), "line 3: score 'nan' of E_0003", stated),
        "score is text": Case(changed(3, "E_0003 high 0"), "line 3: score 'high' of E_0003", stated),
        "a field is missing": Case(changed(5, "E_0005 -1"), "line 5: 2 fields", stated),
        "an utterance stands twice": Case(
            [*GOOD, GOOD[1]], "line 9: utterance E_0002 stands twice: score 1 in line 2", stated
        ),
        "utterances are missing": Case(GOOD[:-2], "2 of 8 utterances of the protocol have no score: E_0007", stated),
        "an utterance is unknown": Case(changed(8, "E_9999 1 1"), "line 8: 1 of 8 utterances are not", stated),
        "names with folder and ending": Case([line.replace(" ", ".flac ", 1) for line in GOOD], None, stated),
        "a label contradicts the protocol": Case(changed(4, "E_0004 1 0"), "line 4: label '0' of E_0004", stated),
        "the direction is missing": Case(GOOD, "does not say what a higher score means", {}),
        "the direction is reversed": Case(GOOD, "EER is 100.0 %", {"higher": "bonafide"}),
        "an official file in the wrong direction": Case(OFFICIAL, "EER is 100.0 %", {}),
        "an official file, another direction stated": Case(OFFICIAL, "higher score means bonafide", stated),
        "columns of no known form": Case([f"x {line}" for line in GOOD], "shows no known form", stated),
        "a CSV column is not there": Case(
            ["file,llr", "E_0001,1"],
            "column 'score' stands 0 times in the header",
            stated | {"columns": {"utterance": "file", "score": "score"}},
        ),
        "empty": Case([], "no scores", stated),
        "a header only": Case(OFFICIAL[:1], "a header and no scores", {}),
    }


def outcome(path: Path, case: Case) -> tuple[bool, str]:
    """Whether a case is clear, and what it ended in."""
    path.write_text("\n".join(case.lines))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ScoreFileWarning)
        try:
            file = read_foreign(path, PROTOCOL, **case.options)
        except InputError as error:
            text = f"error: {error}"
        except Exception as error:  # counted as unclear
            return False, f"UNCLEAR {type(error).__name__}: {error}"
        else:
            text = f"warning: {caught[0].message}" if caught else f"works: {'; '.join(file.notes)}"
    return (text.startswith("works") if case.words is None else case.words in text), text


def main() -> None:
    """Print a line a case, and the count."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.txt"
        results = {name: outcome(path, case) for name, case in cases().items()}
        for name, (clear, text) in results.items():
            print(f"{'ok ' if clear else 'NOT'} {name:42s} -> {text.replace(folder + '/', '')[:170]}")
    print(f"{sum(clear for clear, _ in results.values())} of {len(results)} kinds work or name the culprit")


if __name__ == "__main__":
    main()
