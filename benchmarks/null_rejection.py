"""How often each test of the book rejects a true null: simulated data without an effect, 2 to 40 speakers.

    python benchmarks/null_rejection.py

writes ``benchmarks/results/null_rejection.tsv``: ``test``, ``speakers``, ``nominal`` (level) and ``rejected`` (share of
simulated data sets). Speakers vary as much as recordings of one speaker, in the effect itself. Where a test is about
*speakers at large*, they are drawn anew for each data set; fewer than six are never tested, and reject nothing. Where
it is about *these speakers*, nothing is to be found in them: effects of means add up to 0 over the speakers; for other
metrics both detectors have the same speaker effects, and for correlations the score has none.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binom

from sslig.cues.effects import STATISTICS, TESTED, MaskedTrials
from sslig.cues.evidence import excess, mean_correlation
from sslig.files import write_tsv
from sslig.stats.bootstrap import Statistic, Units, cliffs_delta, estimate, mean, mean_of_cells, spearman
from sslig.stats.metrics import METRICS, weighted

RESULTS = Path(__file__).parent / "results" / "null_rejection.tsv"
SPEAKERS, FEW_SPEAKERS = (2, 4, 6, 8, 10, 20, 40), (2, 6, 10, 20)
RECORDINGS = 8
"""Of each speaker; every second one is a spoof."""
NOMINAL = (0.05, 0.01)
TRIALS, SLOW_TRIALS, MASK_TRIALS, LOUDNESS_TRIALS, ROUNDS = 1000, 250, 100, 60, 300
ATTACKS = 8
FRAMES = 60


class Design:
    """Rows of one simulated corpus, its units, and effects that are none on average."""

    def __init__(self, n_speakers: int, within: bool, attacks: bool = False) -> None:
        n, self.within = n_speakers * RECORDINGS, within
        self.n_speakers, self.rows = n_speakers, n
        self.speaker = np.repeat(np.arange(n_speakers), RECORDINGS)
        self.recording = np.arange(n) // 2 if within else np.arange(n)
        self.spoof = np.arange(n) % 2 == 1
        self.attack = np.arange(n) // 2 % ATTACKS
        drawn = np.where(self.spoof, self.attack.astype(object), None) if attacks else None
        self.units = Units.of(self.speaker, self.recording if within else None, drawn)

    def effect(self, rng: np.random.Generator, trials: int = 1, attacks: bool = False) -> np.ndarray:
        """(row, trial) An effect of each speaker, of each recording and, if asked for, of each attack."""
        of_speaker = rng.normal(size=(self.n_speakers, trials))
        if self.within:
            of_speaker -= of_speaker.mean(axis=0)
        values = of_speaker[self.speaker] + rng.normal(size=(self.rows, trials))
        if attacks:
            values += np.where(self.spoof[:, None], rng.normal(size=(ATTACKS, trials))[self.attack], 0.0)
        return values

    def pair(self, rng: np.random.Generator) -> list[np.ndarray]:
        """(row,) Effects on two detectors; of these speakers the same, since metrics that are no means would differ."""
        if not self.within:
            return [self.effect(rng)[:, 0] for _ in range(2)]
        of_speaker = rng.normal(size=self.n_speakers)[self.speaker]
        return [of_speaker + rng.normal(size=self.rows) for _ in range(2)]

    def ordered(self, order: np.ndarray) -> Units:
        """The units of rows in another order."""
        attacks = None if self.units.attacks is None else self.units.attacks[order]
        return Units(self.units.of_row[order], self.units.size, self.units.within, attacks)

    def p(self, statistic: Statistic, trial: int, classes: bool = False) -> np.ndarray:
        """P-values of a statistic being 0."""
        of_rows = self.spoof if classes else None
        return estimate(statistic, self.units, seed=trial, rounds=ROUNDS, classes=of_rows).p


Test = Callable[[Design, np.random.Generator], dict[str, np.ndarray]]
"""A test by name -> p-values of all data sets."""


def means(design: Design, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Advantages of explanations, differences of methods, shares of cues: means over utterances."""
    cells = np.arange(design.rows) % 4 // 2
    values = design.effect(rng, TRIALS)
    return {
        "mean (advantage over chance, share of a cue)": design.p(mean(values), 0),
        "mean over cells (difference of two methods)": design.p(mean_of_cells(values, cells), 1),
    }


def masks(design: Design, rng: np.random.Generator, attacks: bool = False) -> dict[str, np.ndarray]:
    """The excess of a mask over its control, for each statistic that a verdict reads."""
    order, columns = np.argsort(design.spoof, kind="stable"), [STATISTICS.index(name) for name in TESTED]
    units, p = design.ordered(order), []
    for trial in range(MASK_TRIALS):
        unmasked = 2.0 * design.spoof + design.effect(rng)[:, 0]
        control = unmasked - 0.5 + 0.3 * rng.normal(size=design.rows)
        masked = control + 0.5 * design.effect(rng, attacks=attacks)[:, 0]
        scores = MaskedTrials(int((~design.spoof).sum()), unmasked[order], masked[order], control[order][None])
        values = estimate(scores, units, seed=trial, rounds=ROUNDS, classes=design.spoof[order])
        p.append((values[1] - values[2])[columns].p)
    return dict(zip((f"mask: {name}" for name in TESTED), np.transpose(p), strict=True))


def crossed(design: Design, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The same where attacks are a random factor too."""
    p = masks(design, rng, attacks=True)
    return {f"{name}, attacks at large": p[name] for name in ("mask: spoof_change", "mask: separation", "mask: eer")}


def detectors(design: Design, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The paired difference of two detectors that are equally good."""
    p = []
    for trial in range(SLOW_TRIALS):
        scores = [1.5 * (2 * design.spoof - 1) + values for values in design.pair(rng)]
        first, second = (weighted(values, ~design.spoof) for values in scores)
        difference = lambda weights, first=first, second=second: first(weights) - second(weights)  # noqa: E731
        p.append(design.p(difference, trial, classes=True))
    return dict(zip((f"difference of detectors: {name}" for name in METRICS), np.transpose(p), strict=True))


def shortcuts(design: Design, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A measure that does not depend on the class, and one that does not depend on the score."""
    delta, rho = [], []
    for trial in range(SLOW_TRIALS):
        measure, by_class = (design.effect(rng)[:, 0] for _ in range(2))
        score = rng.normal(size=design.rows) if design.within else design.effect(rng)[:, 0]
        of_class = measure + np.where(design.spoof, by_class, -by_class)
        delta.append(design.p(cliffs_delta(of_class, design.spoof), trial, classes=True))
        rho.append(design.p(spearman(measure, score), trial))
    return {"measure between classes (Cliff's delta)": np.array(delta), "measure and score (Spearman)": np.array(rho)}


def segments(design: Design, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Evidence in a class of segments over its share of time."""
    p, inside = [], rng.integers(FRAMES // 8, FRAMES // 2, size=design.rows)
    for trial in range(SLOW_TRIALS):
        share = inside * (1 + np.clip(0.25 * design.effect(rng)[:, 0], -1, 1))
        sums = np.stack([np.full(design.rows, FRAMES), inside, np.full(design.rows, FRAMES), share], axis=1)
        p.append(design.p(lambda weights, sums=sums: excess(weights @ sums), trial))
    return {"evidence in segments (share over time)": np.array(p)}


def loudness(design: Design, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Maps and loudness that both rise and fall with the place in the file, and follow each other no further."""
    arch, p = np.sin(np.pi * (np.arange(FRAMES) + 0.5) / FRAMES), []
    about = pd.DataFrame({"speaker": design.speaker, "recording": design.recording, "utterance": range(design.rows)})
    for trial in range(LOUDNESS_TRIALS):
        tracks = arch + 0.3 * rng.normal(size=(design.rows, FRAMES))
        speaker_part = 0.3 * design.effect(rng) * (tracks - arch)
        maps = arch + speaker_part + 0.3 * rng.normal(size=(design.rows, FRAMES))
        options = {"recordings": design.within, "seed": trial, "rounds": ROUNDS, "shifts": ROUNDS}
        p.append(mean_correlation(about[::2], list(maps[::2]), list(tracks[::2]), **options)["p"])
    return {"evidence and loudness (shifts and swapped utterances)": np.array(p)}


def rates(test: Test, within: bool, attacks: bool = False) -> pd.DataFrame:
    """Rejection rates of a test by the number of speakers and the level."""
    rows = []
    for n_speakers in SPEAKERS if test is not loudness else FEW_SPEAKERS:
        design = Design(n_speakers, within, attacks)
        for name, p in test(design, np.random.default_rng(n_speakers)).items():
            label = f"{name}; {design.units.about}"
            rows += [(label, n_speakers, nominal, float(np.mean(p < nominal)), len(p)) for nominal in NOMINAL]
    return pd.DataFrame(rows, columns=["test", "speakers", "nominal", "rejected", "trials"])


def main() -> None:
    """Write the table, and print each rate that its binomial error does not explain."""
    jobs = [(test, within, False) for within in (False, True) for test in TESTS] + [(crossed, False, True)]
    table = pd.concat([rates(*job) for job in jobs]).sort_values(
        ["test", "nominal", "speakers"], kind="stable", ignore_index=True
    )
    write_tsv(RESULTS, table.drop(columns="trials"))
    above = table["rejected"] > binom.ppf(0.975, table["trials"], table["nominal"]) / table["trials"]
    print(f"{RESULTS}: {table['test'].nunique()} tests, {above.sum()} of {len(table)} rates above their binomial error")
    print(table[above].to_string(index=False) if above.any() else "")


TESTS: tuple[Test, ...] = (means, masks, detectors, shortcuts, segments, loudness)

if __name__ == "__main__":
    main()
