"""`pms-probe check`: says in words why a printer cannot be used, and what helps."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

from pms.cli.check_report import as_json, is_well, show_check
from pms.cli.output import show_json, show_line
from pms.cli.probe_target import Target, all_targets, resolve_target
from pms.cli.session import read_settings
from pms.errors import UsageError
from pms.probe.check import take_check
from pms.probe.steps import StepResult

#: Printers that are checked at the same time.
PARALLEL = 8
WELL, NOT_WELL = 0, 1

Results = list[StepResult]


def check(options: argparse.Namespace) -> int:
    """Check one OctoPrint, or every printer's of the database."""
    checker = Checker(read_settings().http_timeout_s, write=not options.no_write)
    if not options.all:
        return _check_one(checker, resolve_target(options), json=options.json)
    if options.api_key:
        raise UsageError("--all takes the API keys of the database: leave out --api-key")
    return _check_all(checker, all_targets(), json=options.json)


class Checker:
    """Makes checks, until it is told to stop."""

    def __init__(self, timeout_s: float, *, write: bool) -> None:
        self._timeout_s = timeout_s
        self._write = write
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Let the checks under way end after their present step."""
        self._stopping.set()

    def results(self, target: Target) -> Iterator[StepResult]:
        """Give each step's result as soon as it is known."""
        steps = take_check(target.address, target.api_key, self._timeout_s, write=self._write)
        with closing(steps):
            for result in steps:
                yield result
                if self._stopping.is_set():
                    return

    def all_results(self, target: Target) -> Results:
        """All of them at once."""
        return list(self.results(target))


def _check_one(checker: Checker, target: Target, *, json: bool) -> int:
    if json:
        results = checker.all_results(target)
        show_json(as_json(target, results))
    else:
        results = show_check(target, checker.results(target))
    return WELL if is_well(results) else NOT_WELL


def _check_all(checker: Checker, targets: Sequence[Target], *, json: bool) -> int:
    checked: list[tuple[Target, Results]] = []
    with _in_parallel(checker, targets) as sections:
        for target, results in sections:
            if not json:
                show_check(target, results)
                show_line("")
            checked.append((target, results))
    if json:
        show_json([as_json(target, results) for target, results in checked])
    elif not targets:
        show_line("there are no printers; add one with `pms-coordinator printer add`")
    return WELL if all(is_well(results) for _, results in checked) else NOT_WELL


@contextmanager
def _in_parallel(
    checker: Checker, targets: Sequence[Target]
) -> Iterator[Iterator[tuple[Target, Results]]]:
    """Each target with its results, in their order; what is stored is taken away at the end."""
    executor = ThreadPoolExecutor(PARALLEL)
    try:
        yield zip(targets, executor.map(checker.all_results, targets), strict=True)
    finally:
        checker.stop()
        executor.shutdown(cancel_futures=True)
