import os

import pytest
from threadpoolctl import threadpool_info

from sslig.processes import each


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_jobs(workers):
    assert list(each(pow, [(2, 3), (3, 2), (5, 0)], workers)) == [8, 9, 1]
    assert list(each(pow, [], workers)) == []


def threads(_: int) -> tuple[int, int]:
    import numpy  # noqa: F401 brings a pool of threads

    return os.getpid(), max((pool["num_threads"] for pool in threadpool_info()), default=1)


def test_a_process_has_one_thread():
    results = list(each(threads, [(0,), (1,)], 2))
    assert all(process != os.getpid() for process, _ in results)
    assert {n for _, n in results} == {1}


def test_a_fault_of_a_job_is_that_of_the_call():
    with pytest.raises(ZeroDivisionError):
        list(each(divmod, [(1, 1), (1, 0)], 2))
