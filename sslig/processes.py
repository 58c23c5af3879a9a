"""Work in parallel processes, each on one thread, so that their number does not change a result."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any


def each(function: Callable, jobs: Iterable[tuple], workers: int) -> Iterator[Any]:
    """Call ``function(*job)`` for each of `jobs` in up to `workers` processes, and yield the results in order."""
    from joblib import Parallel, delayed, parallel_config
    from threadpoolctl import threadpool_limits

    jobs = list(jobs)
    # Sums of linear algebra depend on the number of threads; a single job runs in this process.
    limits = threadpool_limits(1), parallel_config(backend="loky", inner_max_num_threads=1)
    with limits[0], limits[1], warnings.catch_warnings():
        # loky replaces a process that has grown, as one does that loads a model, and calls that a likely leak
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        parallel = Parallel(max(1, min(workers, len(jobs))), return_as="generator")
        yield from parallel(delayed(function)(*job) for job in jobs)
