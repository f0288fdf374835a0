"""Bad input: one clear line for each, nothing lost, nothing blocked."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.e2e.conftest import OctoPrints
from tests.support.broker import Message
from tests.support.farm import Farm
from tests.support.gcode import dwelling_gcode
from tests.support.octoprint_pool import VIEWER
from tests.support.ports import HOST, free_port

pytestmark = pytest.mark.timeout(120)

UNKNOWN_JOB = 987_654_321
GCODE_RETRY = timedelta(minutes=5)
REST = timedelta(seconds=60)


# -- messages ---------------------------------------------------------------------


def reason_of(letters: list[Message], body: Any) -> str:
    """The reason in the headers of the one dead letter with this body."""
    found = [message.properties for message in letters if message.body == body]
    assert len(found) == 1, f"{len(found)} dead letters hold {body!r}"
    assert found[0].delivery_mode == 2
    assert found[0].headers["x-pms-queue"] == "JobPaid"
    return str(found[0].headers["x-pms-reason"])


def test_messages_that_cannot_be_acted_on(farm: Farm, octoprints: OctoPrints) -> None:
    (server,) = octoprints(1)
    farm.add_printer("ejecting", server, autostart=True)
    part = dwelling_gcode(seconds=0.5)
    none = farm.add_job(part, copies=0)
    far_too_many = farm.add_job(part, copies=1_000_001)
    cancelled = farm.add_job(part, job_status="cancelled")
    good = [farm.add_job(part), farm.add_job(part)]
    farm.start()
    reasons = {
        b"{JobId: 1}": "the body is not JSON",
        b'{"Job": 1}': "the body has no JobId",
        b'{"JobId":"1"}': "JobId is not a 64-bit integer",
    }
    farm.broker.publish_job_paid(
        *reasons, good[0], UNKNOWN_JOB, none, far_too_many, cancelled, good[1]
    )

    farm.wait_for_completion(*good)
    letters = farm.broker.wait_for_messages("pms.dead-letter", 6)
    assert len(letters) == 6
    assert reasons[b"{JobId: 1}"] in reason_of(letters, b"{JobId: 1}")
    assert reasons[b'{"Job": 1}'] in reason_of(letters, {"Job": 1})
    assert reasons[b'{"JobId":"1"}'] in reason_of(letters, {"JobId": "1"})
    assert f"no print job {UNKNOWN_JOB}" in reason_of(letters, {"JobId": UNKNOWN_JOB})
    assert "asks for 0 copies" in reason_of(letters, {"JobId": none})
    assert "asks for 1000001 copies" in reason_of(letters, {"JobId": far_too_many})

    # One line for each message; the look at the tables may have found a job before its message.
    refusals = [*reasons.values(), f"no print job {UNKNOWN_JOB}", "for 0 copies", "for 1000001 c"]
    for words in refusals:
        assert len(farm.log_lines("job_paid_dead_lettered", words)) == 1, words
        assert len(farm.log_lines("job_refused", words)) <= words.startswith("for "), words
    assert len(farm.log_lines("WARNING", f"print job {cancelled} is cancelled")) == 1
    assert not farm.log_lines("ERROR")
    assert "asks for 0 copies" in farm.attention(job_id=none)[0]
    for job in (none, far_too_many, cancelled):
        assert farm.openfarm.prints(job) == []
    assert farm.openfarm.job(cancelled)["job_status"] == "cancelled"
    farm.assert_no_secrets(*map(str, letters))

    # What is said to be the remedy is one.
    farm.openfarm.update("print_jobs", none, num_copies=1)
    farm.wait_for_completion(none)
    assert farm.attention(job_id=none) == []

    # What was delivered and not acknowledged would be back in the queue.
    assert farm.coordinator.stop() == 0
    assert farm.broker.queue_depth("JobPaid") == 0
    assert farm.broker.queue_depth("pms.dead-letter") == 0
    assert len(farm.broker.messages("EmailPrintCleared")) == 3


# -- G-code -----------------------------------------------------------------------


def test_gcode_that_cannot_be_printed(farm: Farm, octoprints: OctoPrints) -> None:
    (server,) = octoprints(1)
    farm.add_printer("ejecting", server, autostart=True)
    bad = {
        farm.add_job(None): "the file server has no G-code for it",
        farm.add_job(b"", copies=2): "is empty",
        farm.add_job(b"; nothing\n\n  ; but words\n"): "holds not a single command",
    }
    good = farm.add_job(dwelling_gcode(seconds=0.5))
    farm.start()
    farm.broker.publish_job_paid(*bad, good)

    farm.wait_for_completion(good)
    for job, words in bad.items():
        (attempt,) = farm.wait_for_attempts(job, "returned")
        assert words in attempt["error"]
        (row,) = farm.openfarm.rows("pms_jobs", job_id=job)
        assert row["gcode_retry_at"] - attempt["ended_at"] == GCODE_RETRY
        assert words in farm.wait_for_reason(job, "asked again at")
        assert words in farm.attention(job_id=job)[0]
        assert {row["print_status"] for row in farm.openfarm.prints(job)} == {"pending"}
        assert {row["printer_id"] for row in farm.openfarm.prints(job)} == {None}
        assert len(farm.file_server.requests_for(job)) == 1
        assert len(farm.log_lines("transfer_finished", words)) == 1
    assert not farm.log_lines("ERROR")

    # Once there is a file that prints, it prints.
    for job in bad:
        farm.file_server.put(job, dwelling_gcode(seconds=0.3))
        farm.postpone_no_longer(job)
    farm.wait_for_completion(*bad)
    assert farm.status()["attention"] == []


# -- printers ---------------------------------------------------------------------


@pytest.fixture
def black_hole() -> Iterator[str]:
    """The address of a host that takes connections and never says a word."""
    with socket.create_server((HOST, 0)) as listener:
        yield f"http://{HOST}:{listener.getsockname()[1]}"


def test_printers_that_cannot_be_used(farm: Farm, octoprints: OctoPrints, black_hole: str) -> None:
    (server,) = octoprints(1)
    refusing = f"http://{HOST}:{free_port()}"
    wanted: dict[str, tuple[dict[str, Any], str, str]] = {
        "no-address": ({"address": None}, "unreachable", "the printer has no address"),
        "blank-address": ({"address": "  "}, "unreachable", "the printer has no address"),
        "malformed": ({"address": "http://mk4 1:port"}, "unreachable", "is malformed"),
        "password": (
            {"address": "http://pms:a-password@10.0.0.7"},
            "unreachable",
            "holds a user name or password",
        ),
        "no-key": ({"api_key": None}, "unauthorized", "has no api_key"),
        "wrong-key": ({"api_key": "0123456789ABCDEF"}, "unauthorized", "does not accept"),
        "silent": ({"address": black_hole}, "unreachable", ""),
        "refusing": ({"address": refusing}, "unreachable", "refuses the connection"),
    }
    for name, (columns, _, _) in wanted.items():
        farm.add_printer(name, server, **columns)
    farm.add_printer("good", server, autostart=True)
    farm.model("XL")
    farm.start(PMS_HTTP_TIMEOUT="2")
    nowhere = farm.pay(dwelling_gcode(seconds=0.3), model=farm.model("XL"))
    good = farm.pay(dwelling_gcode(seconds=0.5))

    farm.wait_for_completion(good)
    for name, (_, state, words) in wanted.items():
        seen = farm.wait_for_printer(name, state)
        assert words in seen["detail"], name
        assert "\n" not in seen["detail"]
    assert farm.reasons(nowhere) == ["no printer is of the model that the job asks for"]
    assert farm.openfarm.print_statuses(nowhere) == ["pending"]
    second = farm.pay(dwelling_gcode(seconds=0.5), copies=2)
    farm.wait_for_completion(second)
    assert {row["printer_id"] for row in farm.openfarm.prints(second)} == {
        farm.openfarm.row("printers", printer="good")["id"]
    }
    # A change of state is worth a line, every try that fails in the same way is not.
    for name in wanted:
        printer_id = farm.openfarm.row("printers", printer=name)["id"]
        changes = farm.log_lines("printer_state_changed", f"printer_id={printer_id} ")
        assert len(changes) <= 2, changes
    assert not farm.log_lines("ERROR")
    assert not farm.log_lines("Traceback")
    assert not farm.log_lines("a-password")
    farm.assert_no_secrets()
    assert "a-password" not in farm.coordinator.run("printer", "list").stdout


# -- transfers --------------------------------------------------------------------


def test_passing_faults_of_the_file_server(farm: Farm, octoprints: OctoPrints) -> None:
    servers = octoprints(2)
    for server, name in zip(servers, ("one", "two"), strict=True):
        farm.add_printer(name, server, autostart=True)
    gcode = dwelling_gcode(seconds=0.3)
    faults: list[dict[str, Any]] = [
        {"failures": 2},
        {"cuts": 1, "cut_after": 100},
        {"cuts": 1, "cut_after": 100, "with_length": True},
    ]
    tries = [3, 2, 2]
    jobs = [farm.add_job(None, finished_byte_pos=gcode.finished_byte_pos) for _ in faults]
    for job, fault in zip(jobs, faults, strict=True):
        farm.file_server.put(job, gcode, **fault)
    farm.start()
    farm.broker.publish_job_paid(*jobs)

    farm.wait_for_completion(*jobs)
    for job, expected in zip(jobs, tries, strict=True):
        (attempt,) = farm.attempts(job)
        assert (attempt["state"], attempt["number"]) == ("cleared", 1)
        assert (attempt["size"], attempt["sha1"]) == (gcode.size, gcode.sha1)
        assert len(farm.file_server.requests_for(job)) == expected
        assert len(farm.log_lines("transfer_failed", f"job_id={job} ")) == expected - 1
    printed = [mark for server in servers for mark in gcode.marks_in(server.printer_log())]
    assert sorted(printed) == sorted([*gcode.marks, *gcode.marks_behind] * len(jobs))


@pytest.mark.parametrize(
    ("first_key", "failures", "words"),
    [
        pytest.param(None, 2, "the file server cannot give the G-code now", id="file server"),
        pytest.param(VIEWER.api_key, 0, "its user lacks the permission", id="OctoPrint"),
    ],
)
def test_a_transfer_that_fails_for_good(
    farm: Farm, octoprints: OctoPrints, first_key: str | None, failures: int, words: str
) -> None:
    """Another printer takes the copy, and the one that could not have it rests."""
    one, two = octoprints(2)
    first = farm.add_printer("first", one, api_key=first_key or one.api_key, autostart=True)
    second = farm.add_printer("second", two, autostart=True)
    farm.start(PMS_TRANSFER_RETRIES="1")
    for name in ("first", "second"):
        farm.wait_for_printer(name, "idle")
    gcode = dwelling_gcode(seconds=0.3)
    job = farm.add_job(None, finished_byte_pos=gcode.finished_byte_pos)
    farm.file_server.put(job, gcode, failures=failures)
    farm.broker.publish_job_paid(job)
    farm.wait_for_completion(job)

    returned, cleared = farm.attempts(job)
    assert (returned["state"], cleared["state"]) == ("returned", "cleared")
    assert (returned["printer_id"], cleared["printer_id"]) == (first, second)
    assert words in returned["error"]
    assert len(farm.log_lines("transfer_failed", words)) == 2
    (row,) = farm.openfarm.prints(job)
    assert row["printer_id"] == second
    (resting,) = farm.openfarm.rows("pms_printers", printer_id=first)
    assert resting["resting_until"] - returned["ended_at"] == REST
    assert (resting["bed"], resting["consecutive_failures"]) == ("clear", 0)

    # It is idle, and takes no copy all the same.
    farm.openfarm.update("printers", second, enabled=False)
    farm.wait_for_printer("second", "disabled")
    next_one = farm.pay(gcode, copies=2)
    assert "1 resting after a failed transfer" in farm.wait_for_reason(next_one, "resting")
    farm.openfarm.update("printers", second, enabled=True)
    farm.wait_for_completion(next_one)
    assert {row["printer_id"] for row in farm.openfarm.prints(next_one)} == {second}
    assert farm.status()["attention"] == []
    assert not farm.log_lines("ERROR")
    farm.assert_no_secrets()


def test_a_file_that_has_changed_between_the_copies(farm: Farm, octoprints: OctoPrints) -> None:
    """All copies of a job are the same part: another file is not printed, and a person is told."""
    (server,) = octoprints(1)
    farm.add_printer("one", server)
    gcode, other = dwelling_gcode(seconds=0.3), dwelling_gcode(seconds=0.3)
    farm.start()
    job = farm.pay(gcode, copies=2)
    farm.wait_for_printer("one", "finished")
    # Nothing of the first file is left on this host.
    for cached in (farm.coordinator.folder / "pms-data" / "cache").iterdir():
        cached.unlink()
    farm.file_server.put(job, other)
    farm.coordinator.run("clear", "one")
    farm.wait_for_attempts(job, "cleared", "returned")
    assert "another one than its earlier copies" in farm.attention(job_id=job)[0]

    farm.file_server.put(job, gcode)
    farm.postpone_no_longer(job)
    farm.wait_for_printer("one", "finished")
    farm.coordinator.run("clear", "one")
    farm.wait_for_completion(job)
    assert other.marks_in(server.printer_log()) == []
    assert len(gcode.marks_in(server.printer_log())) == 2 * len([*gcode.marks, *gcode.marks_behind])
