import itertools

from sslig.pipeline import progress

PRINTED = """Job stats:
job      count
-----  -------
train        1
page         3
total        4

[Sat Nov 28 04:35:34 2026]
train: done in 90 s
Finished jobid: 3 (Rule: train)
1 of 4 steps (25%) done
Select jobs to execute...
Execute 1 jobs...
Finished jobid: 2 (Rule: page)
2 of 4 steps (50%) done
Error in rule page:
"""


def test_steps_are_weighed_by_what_they_cost():
    minutes = itertools.count(0, 90)  # one reading at the start, one after each step
    shown = list(progress.lines(PRINTED.splitlines(), clock=lambda: next(minutes)))
    # 45 s of cost took 90 s, and 3 * 15 are left; then 60 s of cost took 180 s, and 2 * 15 are left.
    assert [line for line in shown if line.startswith("step")] == [
        "step 1 of 4, about 2 min left",
        "step 2 of 4, about 2 min left",
    ]


def test_messages_stay_and_chatter_goes():
    shown = list(progress.lines(PRINTED.splitlines()))
    assert "train: done in 90 s" in shown
    assert "Error in rule page:" in shown
    assert not any("jobid" in line or "Select" in line or "2026" in line for line in shown)
