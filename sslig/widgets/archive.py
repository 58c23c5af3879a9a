"""The recordings of a study, opened by name with all that its detectors say of them."""

from collections.abc import Sequence

from sslig import stages
from sslig.report.explanation import as_scored
from sslig.study import Study
from sslig.widgets.bench import Bench
from sslig.widgets.catalogue import COLUMNS, Catalogue
from sslig.widgets.opened import Opened, Progress, recording, silent


class Archive:
    """What can be opened of a study, and what opens it.

    Parameters
    ----------
    experiment
        The study.
    detectors, seed
        Which of its detectors; none: all, and its first seed.

    Attributes
    ----------
    bench
        The detectors.
    catalogue
        The utterances.

    Raises
    ------
    sslig.study.StudyError
        The study has no such detector or seed.
    """

    def __init__(
        self, experiment: Study, detectors: Sequence[str] | None = None, seed: int | None = None
    ) -> None:  # fmt: skip
        self.bench = Bench(experiment, detectors, seed)
        self.catalogue = Catalogue(experiment, self.bench.names, self.bench.seed, self.bench.explained())
        self._segmented = dict(list(stages.segmented(experiment).groupby("utterance")))

    def open(self, name: str, progress: Progress = silent) -> Opened:
        """The utterance `name` from what the study has made; an attribution that it lacks is computed.

        One that the study has not segmented has no tiers.

        Raises
        ------
        sslig.widgets.catalogue.CatalogueError
            There is no such utterance, or its file lies outside the corpus.
        """
        row, bench = self.catalogue.row(name), self.bench
        waveform = as_scored(bench.experiment, str(self.catalogue.path(name)), bench.clock)
        made = {one: bench.attribution(one, name) for one in bench.names} if row["explained"] else {}
        part = self._segmented.get(name)
        tiers = {} if part is None else stages.tiers_by_utterance(part)[name]
        about = {column: row[column] for column in COLUMNS}
        return recording(bench, name, waveform, about=about, tiers=tiers, made=made, progress=progress)
