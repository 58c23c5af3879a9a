"""Measure how the word and phone tiers agree with the transcripts of a corpus, by language.

Run it from the repository: ``python benchmarks/bench_alignment.py [CORPUS] [SET] [UTTERANCES]``, with a corpus whose
``recordings.tsv`` has transcripts and languages. Columns: recordings; words of the transcripts; words that the US
English recogniser hears, and how many of these stand in the transcript; the share of recordings that can be aligned to
their transcript and to that of another recording of the same language; the share of speech (Silero) in aligned words.
For English: the median distance of word boundaries by the rules of letters from those by the dictionary.
"""

import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from sslig import audio
from sslig.corpora.protocol import RECORDINGS, load_set, stratified
from sslig.cues import alignment, phones, voice
from sslig.errors import InputError
from sslig.frames import SSL_CLOCK


def aligned(samples: np.ndarray, transcript: str, language: str) -> list:
    """The tiers of a transcript; none where it cannot be aligned."""
    try:
        return list(alignment.align(samples, transcript, language))
    except InputError:
        return []


def measured(row: pd.Series, other: str) -> dict[str, float]:
    """The figures of one recording; `other` is the transcript of another one."""
    samples = audio.read(row["path"])
    words = Counter(alignment.words_of(row["transcript"], row["language"]))
    heard = Counter(phones.pocketsphinx("words", samples).labels)
    figures = {"words": words.total(), "recognised": heard.total(), "recognised_right": (words & heard).total()}
    tiers = aligned(samples, row["transcript"], row["language"])
    figures |= {"aligned": bool(tiers), "aligned_to_another": bool(aligned(samples, other, row["language"]))}
    if tiers:
        n_frames = SSL_CLOCK.n_frames(len(samples))
        inside = tiers[0].mask(SSL_CLOCK, n_frames)
        speech = voice.speech(samples).mask(SSL_CLOCK, n_frames, {voice.SPEECH})
        figures["speech_in_words"] = speech[inside].mean()
    return figures


def by_letters_ms(samples: np.ndarray, transcript: str) -> list[float]:
    """Distances of word boundaries of English by letters from those by the dictionary."""
    tiers = [aligned(samples, transcript, "en")]
    spellings, alignment.ENGLISH = alignment.ENGLISH, ""
    try:
        tiers.append(aligned(samples, transcript, "en"))
    finally:
        alignment.ENGLISH = spellings
    return [] if not all(tiers) else (1000 * np.abs(tiers[0][0].start_s - tiers[1][0].start_s)).tolist()


def main(corpus: str, set_name: str, n: int) -> None:
    """Print the table."""
    recordings = pd.read_csv(Path(corpus) / RECORDINGS, sep="\t", dtype=str)[["utterance", "transcript", "language"]]
    table = load_set(corpus, set_name).merge(recordings.dropna(), on="utterance")
    table = stratified(table, n, seed=0).sort_values(["language", "utterance"]).reset_index(drop=True)
    rows, distances_ms = [], []
    for _, part in table.groupby("language"):
        texts = [*part["transcript"], part["transcript"].iloc[0]]
        for (_, row), (_, other) in zip(part.iterrows(), pairwise(texts), strict=True):
            rows.append({"language": row["language"], "recordings": 1, **measured(row, other)})
            if row["language"] == alignment.ENGLISH:
                distances_ms += by_letters_ms(audio.read(row["path"]), row["transcript"])
    how = dict.fromkeys(("recordings", "words", "recognised", "recognised_right"), "sum")
    how |= dict.fromkeys(("aligned", "aligned_to_another", "speech_in_words"), "mean")
    print(pd.DataFrame(rows).groupby("language").agg(how).round(2).to_string())
    if distances_ms:
        quartiles = np.percentile(distances_ms, [50, 90]).round(0)
        print(f"English, letters against dictionary, {len(distances_ms)} word starts: median, 90 % (ms) {quartiles}")


if __name__ == "__main__":
    arguments = [*sys.argv[1:], *("corpora/prompts", "eval", "60")[len(sys.argv) - 1 :]]
    main(arguments[0], arguments[1], int(arguments[2]))
