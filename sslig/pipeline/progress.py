"""Progress of a run of the Snakefile, from what Snakemake prints: steps done, and an estimate of the time left.

``snakemake ... 2>&1 | python -m sslig.pipeline.progress``
"""

import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator

COST_S = {"corpus": 70, "train": 45, "train_planted": 45, "plant": 20, "page": 15, "book": 35}
"""Seconds of a job in the demo, by rule; their ratios weigh the steps of any study."""
OTHER_S = 12

COUNT = re.compile(r"^(\w+) +(\d+)$")
FINISHED = re.compile(r"^Finished jobid: \d+ \(Rule: (\w+)\)$")
DONE = re.compile(r"^(\d+) of (\d+) steps \(\d+%\) done$")
CHATTER = re.compile(r"^(\[.*\d{4}\]|Select jobs to execute\.\.\.|Execute \d+ jobs\.\.\.|Finished jobid.*|)$")


def lines(printed: Iterable[str], clock=time.monotonic) -> Iterator[str]:
    """The lines that Snakemake prints, without its chatter, and with an estimate after each number of steps done."""
    left, done_s, start = Counter(), 0.0, clock()
    for line in map(str.rstrip, printed):
        if (count := COUNT.match(line)) and count[1] != "total":
            left[count[1]] = int(count[2])
        if finished := FINISHED.match(line):
            left[finished[1]] -= 1
            done_s += COST_S.get(finished[1], OTHER_S)
        if done := DONE.match(line):
            left_s = sum(n * COST_S.get(rule, OTHER_S) for rule, n in left.items())
            yield f"step {done[1]} of {done[2]}, about {(clock() - start) * left_s / done_s / 60:.0f} min left"
        elif not CHATTER.match(line):
            yield line


def main() -> None:
    """Print the progress of standard input to standard error, also while Snakemake answers an interrupt."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in lines(sys.stdin):
        print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
