"""Holds the invariants against what is left of a run. Each check yields violations in words."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta

from tests.chaos.facts import Facts
from tests.chaos.physical import Run
from tests.chaos.plan import Kind
from tests.support.postgres import Row

#: A fault that explains why nobody could know that a print was complete: it ended the server or
#: the connection, and with them their memory of the print.
FORGETFUL = frozenset(
    {
        Kind.OCTOPRINT_KILLED,
        Kind.OCTOPRINT_STOPPED,
        Kind.PRINTER_DISCONNECTED,
        Kind.PRINTER_ERROR,
    }
)
#: A fault is noted when it has been done, which takes a moment.
NOTED_LATE = timedelta(seconds=3)


def audit(facts: Facts) -> list[str]:
    """Every violation of an invariant, named by its number in the design."""
    checks = (
        _no_copy_is_lost,
        _no_copy_too_many,
        _one_start_per_attempt,
        _records_are_true,
        _no_start_on_an_occupied_bed,
        _messages_of_the_outbox,
        _messages_of_the_prints,
        _order_of_messages,
        _nothing_left_over,
    )
    return [violation for check in checks for violation in check(facts)]


def complete_but_failed(facts: Facts) -> list[tuple[Row, Run]]:
    """Prints that were complete, and that nobody could know to be."""
    runs = facts.runs_by_path()
    return [
        (attempt, run)
        for attempt in facts.tables["pms_attempts"]
        if attempt["state"] == "failed"
        for run in runs.get(attempt["remote_path"], [])
        if run.completed_at is not None
    ]


def _no_copy_is_lost(facts: Facts) -> Iterator[str]:
    for job in facts.jobs:
        prints = facts.of_job("prints", job.id)
        statuses = Counter(row["print_status"] for row in prints)
        unreplaced = len(prints) - job.copies
        replaced = len(
            [e for e in facts.tables["pms_events"]
             if e["kind"] == "print_replaced" and e["job_id"] == job.id]
        )  # fmt: skip
        if unreplaced != replaced:
            yield (
                f"1: job {job.id} has {len(prints)} prints for {job.copies} copies"
                f" and {replaced} replacements"
            )
        if statuses["pending"] or statuses["printing"] or statuses["cancelled"]:
            yield f"1: job {job.id} ended with prints {dict(statuses)}"
        row = next(row for row in facts.tables["print_jobs"] if row["id"] == job.id)
        done = statuses["completed"] == job.copies
        if done != (row["job_status"] == "completed"):
            yield f"1: job {job.id} is {row['job_status']} with prints {dict(statuses)}"
        if not done and facts.attention(job.id) is None:
            yield f"1: job {job.id} has prints {dict(statuses)} and nobody is told"


def _no_copy_too_many(facts: Facts) -> Iterator[str]:
    for job in facts.jobs:
        statuses = Counter(row["print_status"] for row in facts.of_job("prints", job.id))
        good = sum(statuses.values()) - statuses["failed"]
        if good > job.copies:
            yield f"2: job {job.id} of {job.copies} copies has prints {dict(statuses)}"
        for row in facts.of_job("prints", job.id):
            cleared = [
                a for a in facts.of_job("pms_attempts", job.id)
                if a["print_id"] == row["id"] and a["state"] == "cleared"
            ]  # fmt: skip
            if len(cleared) != (row["print_status"] == "completed"):
                yield f"2: print {row['id']} is {row['print_status']} with attempts {cleared}"


def _one_start_per_attempt(facts: Facts) -> Iterator[str]:
    attempts = {row["remote_path"]: row for row in facts.tables["pms_attempts"]}
    for path, runs in facts.runs_by_path().items():
        if len(runs) > 1:
            yield f"3: {path} was started {len(runs)} times: {'; '.join(map(str, runs))}"
        attempt = attempts.get(path)
        if attempt is None:
            yield f"3: {path} was printed and no attempt says so"
        elif attempt["printer_id"] != runs[0].printer_id:
            yield f"3: {path} was printed on printer {runs[0].printer_id}, recorded: {attempt}"
        elif attempt["starting_at"] is None:
            yield f"3: {runs[0]} without a record of its start: {attempt['state']}"
        elif attempt["state"] in ("returned", "cancelled"):
            yield f"3: {runs[0]} is recorded as {attempt['state']}: {attempt['error']}"
    for printer_id, printer in facts.printers.items():
        for mark in printer.stray:
            yield f"3: printer {printer_id} got {mark.command!r} at {mark.at} without a start"
    for earlier, later in _overlaps(facts):
        yield f"3: one print in two places at once: {earlier}; {later}"


def _overlaps(facts: Facts) -> Iterator[tuple[Run, Run]]:
    """Runs of one print of which the second began before the end of the first was recorded."""
    ended = {row["remote_path"]: row["ended_at"] for row in facts.tables["pms_attempts"]}
    by_print: defaultdict[str, list[Run]] = defaultdict(list)
    for run in facts.runs:
        by_print[run.path.partition("_try-")[0]].append(run)
    for runs in by_print.values():
        for earlier, later in itertools.pairwise(runs):
            end = ended.get(earlier.path)
            if end is None or later.asked_at < min(facts.true_times(end)):
                yield earlier, later


def _records_are_true(facts: Facts) -> Iterator[str]:
    runs = facts.runs_by_path()
    for attempt in facts.tables["pms_attempts"]:
        if attempt["state"] not in ("finished", "cleared"):
            continue
        found = runs.get(attempt["remote_path"], [])
        if not any(run.completed_at for run in found):
            yield f"7: {attempt['remote_path']} is recorded complete, seen: {list(map(str, found))}"
    for attempt, run in complete_but_failed(facts):
        if not _excused(facts, attempt, run):
            yield f"7: {run}, and it is recorded as failed: {attempt['error']}"


def _excused(facts: Facts, attempt: Row, run: Run) -> bool:
    """Whether a fault took the memory of the print away before its end could be recorded."""
    index = sorted(facts.printers).index(run.printer_id)
    began: datetime = run.began_at or run.asked_at
    recorded: datetime = max(facts.true_times(attempt["ended_at"]))
    return any(
        entry.facts["kind"] in FORGETFUL
        and entry.facts["target"] in (f"printer{index}", f"serial{index}")
        and began - NOTED_LATE <= entry.at <= recorded + NOTED_LATE
        for entry in facts.history.of("fault")
    )


def _no_start_on_an_occupied_bed(facts: Facts) -> Iterator[str]:
    for printer_id, printer in facts.printers.items():
        removals = facts.removals(printer_id)
        begun = [run for run in printer.runs if run.began_at is not None]
        for lying, later in itertools.pairwise(begun):
            assert lying.began_at is not None
            assert later.began_at is not None
            freed = list(removals)
            if printer_id in facts.ejecting and lying.ended_at is not None:
                freed.append(lying.ended_at)
            if not any(lying.began_at < at <= later.began_at for at in freed):
                yield f"4: {later}, while {lying} lay on the bed"


def _messages_of_the_outbox(facts: Facts) -> Iterator[str]:
    recorded: defaultdict[str, set[bytes]] = defaultdict(set)
    for message in facts.messages:
        properties = message.properties
        recorded[properties.message_id].add(json.dumps(message.body, sort_keys=True).encode())
    rows = {row["message_id"]: row for row in facts.tables["pms_outbox"]}
    for message_id, bodies in recorded.items():
        if message_id not in rows:
            yield f"5: message {message_id} with {bodies} is not in the outbox"
        elif len(bodies) > 1:
            yield f"5: message {message_id} was sent with different bodies: {bodies}"
    for message_id, row in rows.items():
        if message_id not in recorded:
            yield f"5: message {row['id']} ({row['exchange']}, {row['body']!r}) never arrived"


def _messages_of_the_prints(facts: Facts) -> Iterator[str]:
    """Each start, each finish and each completed job has exactly one message."""
    sent = _distinct(facts)
    for job in facts.jobs:
        attempts = facts.of_job("pms_attempts", job.id)
        for exchange, column in (("PrintStarted", "started_at"), ("PrintFinished", "finished_at")):
            wanted = Counter(row["printer_id"] for row in attempts if row[column] is not None)
            if wanted != sent[exchange, job.id]:
                yield (
                    f"5: job {job.id} has {exchange} for printers {dict(sent[exchange, job.id])},"
                    f" and attempts on {dict(wanted)}"
                )
        row = next(row for row in facts.tables["print_jobs"] if row["id"] == job.id)
        cleared = sum(sent["PrintCleared", job.id].values())
        if cleared != (row["job_status"] == "completed"):
            yield f"5: job {job.id} is {row['job_status']} with {cleared} PrintCleared"


def _distinct(facts: Facts) -> defaultdict[tuple[str, int], Counter[int]]:
    """Message ids by exchange and job, counted by printer."""
    sent: defaultdict[tuple[str, int], Counter[int]] = defaultdict(Counter)
    seen: set[str] = set()
    for message in facts.messages:
        if message.properties.message_id not in seen:
            seen.add(message.properties.message_id)
            body = message.body
            sent[message.properties.type, body["JobId"]][body["PrinterId"]] += 1
    return sent


def _order_of_messages(facts: Facts) -> Iterator[str]:
    """For a job the messages' first arrivals are in the order of the outbox."""
    rows = {row["message_id"]: row for row in facts.tables["pms_outbox"]}
    arrived: defaultdict[int, list[int]] = defaultdict(list)
    for message_id in dict.fromkeys(m.properties.message_id for m in facts.messages):
        if message_id in rows:
            arrived[rows[message_id]["job_id"]].append(rows[message_id]["id"])
    for job_id, ids in arrived.items():
        if ids != sorted(ids):
            yield f"5: the messages of job {job_id} came as {ids}"


def _nothing_left_over(facts: Facts) -> Iterator[str]:
    for queue, depth in facts.left_over.items():
        if depth:
            yield f"1: {depth} messages are left in {queue}"
