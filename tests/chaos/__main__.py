"""`python -m tests.chaos --seed N --minutes M`: a farm in trouble, and whether it mattered."""

from __future__ import annotations

import argparse
import random
import signal
import sys

from tests.chaos import report
from tests.chaos.plan import ENDS_OF_COORDINATOR
from tests.chaos.run import run


def main() -> int:
    """Run once; 1: something that must not happen has happened."""
    parser = argparse.ArgumentParser(prog="tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--printers", type=int, default=5)
    parser.add_argument(
        "--spare-coordinator",
        action="store_true",
        help="let one coordinator live through it all, to see whether it grows",
    )
    parser.add_argument("--keep", action="store_true", help="keep the logs of a good run too")
    options = parser.parse_args()
    # A run that is ended from outside takes its servers along.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    verdict = run(
        options.seed,
        options.minutes * 60,
        options.printers,
        keep=options.keep,
        spared=ENDS_OF_COORDINATOR if options.spare_coordinator else frozenset(),
    )
    print("\n".join(report.lines(verdict)))
    if verdict.violations or options.keep:
        print(f"\nlogs in {verdict.folder}")
    return 1 if verdict.violations else 0


if __name__ == "__main__":
    sys.exit(main())
