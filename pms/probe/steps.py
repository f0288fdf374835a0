"""Takes the steps of a check one after the other; what depends on a failed step is left out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pms.probe.findings import Finding, Result, skipped
from pms.probe.server_diagnosis import failure
from pms.redaction import redact
from workers.octoprint_errors import OctoPrintError


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to find out."""

    name: str
    take: Callable[[], Finding]
    #: Names of earlier steps without which this one makes no sense.
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class StepResult:
    """A step that was taken or left out; its texts hold no secrets."""

    name: str
    result: Result
    #: None: it was left out.
    duration_s: float | None
    detail: str
    cause: str
    remedy: str


def take_steps(
    steps: Iterable[Step], clock: Callable[[], float] = time.monotonic
) -> Iterator[StepResult]:
    """Take the steps and give each result as soon as it is known."""
    #: Step that cannot be relied on → the failed one at the bottom of it.
    roots: dict[str, str] = {}
    for step in steps:
        root = next((roots[need] for need in step.needs if need in roots), None)
        if root is not None:
            roots[step.name] = root
            yield _result(step, skipped(f"depends on {root}"), None)
            continue
        started_at = clock()
        finding = _find(step)
        if finding.result is Result.FAILED:
            roots[step.name] = step.name
        yield _result(step, finding, clock() - started_at)


def _find(step: Step) -> Finding:
    try:
        return step.take()
    except OctoPrintError as error:
        return failure(error)


def _result(step: Step, finding: Finding, duration_s: float | None) -> StepResult:
    return StepResult(
        name=step.name,
        result=finding.result,
        duration_s=duration_s,
        detail=redact(finding.detail),
        cause=redact(finding.cause),
        remedy=redact(finding.remedy),
    )
