"""What others change while the coordinator runs: printers, jobs, OctoPrints, people's wishes."""

from __future__ import annotations

import subprocess

import pytest

from pms.demo.octoprint_server import OctoPrintServer
from tests.e2e.conftest import OctoPrints
from tests.support.farm import TIMEOUT_S, Farm, endless_gcode
from tests.support.gcode import dwelling_gcode
from tests.support.ports import HOST, free_port
from tests.support.postgres import Row
from tests.support.processes import is_alive
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(120)

FATAL_ERROR = "!!DEBUG:trigger_fatal_error_marlin"


def refused(farm: Farm, *command: str) -> str:
    """Give the one line with which a command was refused."""
    done: subprocess.CompletedProcess[str] = farm.coordinator.run(*command, check=False)
    assert (done.returncode, done.stdout) == (1, ""), command
    (line,) = done.stderr.splitlines()
    return line


def wait_for_end(*pids: int) -> None:
    wait_until(lambda: not any(map(is_alive, pids)), TIMEOUT_S, f"end of the processes {pids}")


def order(server: OctoPrintServer, command: str, action: str | None = None) -> None:
    """What somebody does to the running print in OctoPrint itself."""
    body = {"command": command} | ({"action": action} if action else {})
    status, _ = server.request("POST", "/api/job", body)
    assert status == 204


def only_print(farm: Farm, job: int) -> Row:
    (row,) = farm.openfarm.prints(job)
    return row


# -- the table of printers --------------------------------------------------------


def test_a_printer_comes_changes_and_goes(farm: Farm, octoprints: OctoPrints) -> None:
    (server,) = octoprints(1)
    farm.start()
    assert farm.status()["printers"] == []
    gcode = dwelling_gcode(seconds=0.3)
    job = farm.pay(gcode)
    assert farm.wait_for_reason(job, "printers") == "there are no printers"

    nowhere = f"http://{HOST}:{free_port()}"
    printer = farm.add_printer("new", server, address=nowhere, autostart=True)
    first_pid = farm.wait_for_printer("new", "unreachable")["worker_pid"]
    assert farm.wait_for_reason(job, "unreachable") == "1 MK4 printer: 1 unreachable"
    farm.openfarm.update("printers", printer, ip_address=server.url)
    farm.wait_for_completion(job)
    second_pid = farm.wait_for_printer("new", "idle")["worker_pid"]
    wait_for_end(first_pid)

    farm.openfarm.update("printers", printer, api_key="0123456789ABCDEF")
    third_pid = farm.wait_for_printer("new", "unauthorized")["worker_pid"]
    farm.openfarm.update("printers", printer, api_key=server.api_key)
    fourth_pid = farm.wait_for_printer("new", "idle")["worker_pid"]
    wait_for_end(second_pid, third_pid)

    farm.openfarm.delete("printers", printer)
    wait_until(lambda: farm.status()["printers"] == [], TIMEOUT_S, "no printers")
    wait_for_end(fourth_pid)
    assert not farm.log_lines("ERROR")
    assert not farm.log_lines("worker_died")
    assert not farm.log_lines("0123456789ABCDEF")


def test_a_printer_is_disabled_and_enabled(farm: Farm, octoprints: OctoPrints) -> None:
    one, two = octoprints(2)
    printing = farm.add_printer("printing", one)
    waiting = farm.add_printer("waiting", two, model="MINI", autostart=True)
    farm.start()
    running = farm.pay(dwelling_gcode(seconds=4.0))
    held = farm.add_job(None, model=farm.model("MINI"))
    gate = farm.file_server.put(held, dwelling_gcode(seconds=0.3)).gate
    gate.clear()
    farm.broker.publish_job_paid(held)
    farm.wait_for_prints(running, "printing")
    order(one, "pause", "pause")
    farm.wait_for_attempts(running, "paused")
    farm.wait_for_printer("waiting", "transferring")
    assert only_print(farm, held)["printer_id"] == waiting

    for printer in (printing, waiting):
        farm.openfarm.update("printers", printer, enabled=False)
    # What has not started goes back; what prints goes on and ends as it would have.
    farm.wait_for_attempts(held, "returned")
    assert only_print(farm, held)["print_status"] == "pending"
    assert only_print(farm, held)["printer_id"] is None
    assert farm.wait_for_printer("waiting", "disabled")["bed"] == "clear"
    assert farm.wait_for_reason(held, "disabled") == "1 MINI printer: 1 disabled"
    assert farm.wait_for_printer("printing", "paused")["enabled"] is False
    order(one, "pause", "resume")
    farm.wait_for_prints(running, "completed")
    farm.wait_for_printer("printing", "finished", "occupied")
    farm.coordinator.run("clear", "printing")
    farm.wait_for_completion(running)
    farm.wait_for_printer("printing", "disabled", "clear")
    assert len(farm.attempts(running)) == 1
    second = farm.pay(dwelling_gcode(seconds=0.3))
    assert farm.wait_for_reason(second, "disabled") == "1 MK4 printer: 1 disabled"

    gate.set()
    for name in ("printing", "waiting"):
        farm.coordinator.run("printer", "enable", name)
    farm.wait_for_completion(held)
    farm.wait_for_prints(second, "completed")
    assert [row["state"] for row in farm.attempts(held)] == ["returned", "cleared"]
    assert not farm.log_lines("ERROR")


def test_a_printer_is_removed_while_it_prints(farm: Farm, octoprints: OctoPrints) -> None:
    one, two = octoprints(2)
    removed = farm.add_printer("removed", one)
    farm.start()
    farm.wait_for_printer("removed", "idle")
    job = farm.pay(endless_gcode())
    farm.wait_for_prints(job, "printing")
    assert "has print" in refused(farm, "printer", "remove", "removed")
    pid = farm.printer("removed")["worker_pid"]
    other = farm.add_printer("other", two, autostart=True)

    farm.openfarm.delete("printers", removed)
    wait_for_end(pid)
    failed, replacement = farm.wait_for_prints(job, "failed", "printing")
    assert (failed["printer_id"], replacement["printer_id"]) == (None, other)
    first, second = farm.attempts(job)
    assert (first["state"], first["printer_id"]) == ("failed", removed)
    assert first["error"] == "the printer was removed"
    assert (second["state"], second["printer_id"]) == ("printing", other)
    assert not farm.log_lines("ERROR")


def test_a_bed_needs_nobody_any_more(farm: Farm, octoprints: OctoPrints) -> None:
    (server,) = octoprints(1)
    printer = farm.add_printer("printer", server)
    farm.start()
    jobs = [farm.pay(dwelling_gcode(seconds=0.3)) for _ in range(2)]
    farm.wait_for_printer("printer", "finished", "occupied")
    assert server.state() == "Paused"
    assert farm.wait_for_reason(jobs[1], "cleared") == "1 MK4 printer: 1 waiting to be cleared"
    farm.openfarm.update("printers", printer, autostart=True)
    farm.wait_for_completion(*jobs)

    # Its own value goes before the model's, which counts where there is none.
    farm.openfarm.update("printer_models", farm.model("MK4"), autostart=True)
    farm.openfarm.update("printers", printer, autostart=False)
    last = farm.pay(dwelling_gcode(seconds=0.3))
    farm.wait_for_printer("printer", "finished", "occupied")
    farm.openfarm.update("printers", printer, autostart=None)
    farm.wait_for_completion(last)
    assert not farm.log_lines("ERROR")


def test_models_and_materials(farm: Farm, octoprints: OctoPrints) -> None:
    one, two = octoprints(2)
    mk4 = farm.add_printer("mk4", one, autostart=True)
    mini = farm.add_printer("mini", two, model="MINI", autostart=True)
    black = farm.openfarm.add_material("PLA", "Black")
    white = farm.openfarm.add_material("PLA", "White")
    gcode = dwelling_gcode(seconds=0.3)
    farm.start(PMS_MATERIAL_MATCH="strict")
    for name in ("mk4", "mini"):
        farm.wait_for_printer(name, "idle")
    lacking = "1 MK4 printer: none has the job's material loaded"
    in_black = farm.pay(gcode, material=black)
    for_all = farm.pay(gcode, model=None, material=black)
    assert farm.wait_for_reason(in_black, "material") == lacking
    assert farm.wait_for_reason(for_all, "material").startswith("2 printers: none has")
    farm.openfarm.load_material(mini, black)
    farm.wait_for_completion(for_all)
    assert only_print(farm, for_all)["printer_id"] == mini
    assert farm.reasons(in_black) == [lacking]

    # A printer that nothing is recorded of fits unless that is to be strict.
    assert farm.coordinator.stop() == 0
    farm.start(PMS_MATERIAL_MATCH="tracked")
    farm.wait_for_completion(in_black)
    assert only_print(farm, in_black)["printer_id"] == mk4
    loaded = farm.openfarm.load_material(mk4, white)
    again = farm.pay(gcode, material=black)
    assert farm.wait_for_reason(again, "material") == lacking
    farm.openfarm.update("printers_loaded_materials", loaded, material_id=black)
    farm.wait_for_completion(again)
    assert not farm.log_lines("ERROR")


# -- jobs -------------------------------------------------------------------------


def test_jobs_that_wait_for_approval_or_lost_their_message(
    farm: Farm, octoprints: OctoPrints
) -> None:
    (server,) = octoprints(1)
    farm.add_printer("printer", server, autostart=True)
    farm.start()
    farm.wait_for_printer("printer", "idle")
    gcode = dwelling_gcode(seconds=0.3)
    received = farm.pay(gcode, job_status="received", copies=2)
    half_approved = farm.pay(gcode, job_status="systemApproved")
    to_be_rejected = farm.pay(gcode, job_status="received")
    farm.wait_for_prints(received, "pending", "pending")
    reason = "the job is received: an operator has to approve it"
    assert farm.wait_for_reason(received, "approve") == reason
    assert len(farm.reasons(received)) == 2
    reason = "the job is systemApproved: an operator has to approve it"
    assert farm.wait_for_reason(half_approved, "approve") == reason

    for job in (received, half_approved):
        farm.openfarm.update("print_jobs", job, job_status="operatorApproved")
    farm.openfarm.update("print_jobs", to_be_rejected, job_status="rejected")
    farm.wait_for_completion(received, half_approved)

    lost = farm.add_job(gcode, copies=2)
    unpaid = farm.add_job(gcode, paid=False)
    farm.wait_for_completion(lost)
    assert len(farm.openfarm.prints(lost)) == 2
    assert farm.openfarm.prints(unpaid) == []
    assert farm.openfarm.print_statuses(to_be_rejected) == ["pending"]
    assert farm.attempts(to_be_rejected) == []
    assert farm.status()["queue"] == []
    assert not farm.log_lines("ERROR")


# -- OctoPrints -------------------------------------------------------------------


def test_octoprint_without_its_printer_and_started_again(
    farm: Farm, octoprints: OctoPrints
) -> None:
    one, two = octoprints(2)
    farm.add_printer("one", one, autostart=True)
    off = farm.add_printer("off", two, enabled=False)
    for server in (one, two):
        server.request("POST", "/api/connection", {"command": "disconnect"})
        server.wait_state("Closed")
    farm.start()
    # Connected as soon as the printer may be used.
    farm.wait_for_printer("one", "idle")
    assert farm.wait_for_printer("off", "disabled")["worker_pid"] is not None
    assert (one.state(), two.state()) == ("Operational", "Closed")
    farm.openfarm.update("printers", off, enabled=True)
    farm.wait_for_printer("off", "idle")

    one.request("POST", "/api/connection", {"command": "disconnect"})
    two.stop()
    farm.wait_for_printer("off", "unreachable")
    assert one.wait_state("Operational") == "Operational"
    two.start()
    farm.wait_for_printer("off", "idle")
    farm.openfarm.update("printers", off, autostart=True)
    job = farm.pay(dwelling_gcode(seconds=0.5), copies=2)
    farm.wait_for_completion(job)
    assert len({row["printer_id"] for row in farm.openfarm.prints(job)}) == 2
    assert not farm.log_lines("ERROR")


def test_prints_of_another_life_do_not_count(farm: Farm, octoprints: OctoPrints) -> None:
    """OctoPrint remembers the prints of a file even when its folder was deleted."""
    (server,) = octoprints(1)
    gcode = dwelling_gcode(seconds=0.3)
    name = "pms/job-1_print-1_try-1.gcode"
    assert server.upload(name, gcode.content) == name
    server.select_and_print(name)
    server.wait_state("Paused")
    order(server, "cancel")
    server.wait_state("Operational")
    server.upload("other.gcode", b"G4 P1\n", select="true")
    assert server.request("DELETE", "/api/files/local/pms")[0] == 204
    already = len(gcode.marks_in(server.printer_log()))
    farm.add_printer("printer", server, autostart=True)
    farm.start()

    job = farm.pay(gcode)
    assert job == 1
    farm.wait_for_completion(job)
    (attempt,) = farm.attempts(job)
    assert (attempt["state"], attempt["remote_path"]) == ("cleared", name)
    printed = gcode.marks_in(server.printer_log())[already:]
    assert printed == [*gcode.marks, *gcode.marks_behind]


def test_somebody_elses_print(farm: Farm, octoprints: OctoPrints) -> None:
    (server,) = octoprints(1)
    printer = farm.add_printer("printer", server, autostart=True)
    farm.start()
    farm.wait_for_printer("printer", "idle", "clear")
    path = server.upload("mine.gcode", endless_gcode().content)
    server.select_and_print(path)
    assert "mine.gcode" in farm.wait_for_printer("printer", "busy", "occupied")["detail"]
    assert not farm.openfarm.printer(printer)["currently_printing"]
    job = farm.pay(dwelling_gcode(seconds=0.3))
    reason = "1 MK4 printer: 1 busy with a print of somebody else"
    assert farm.wait_for_reason(job, "busy") == reason
    assert "is printing; clear it when that has ended" in refused(farm, "clear", "printer")

    order(server, "cancel")
    farm.wait_for_printer("printer", "idle", "occupied")
    assert farm.wait_for_reason(job, "bed") == "1 MK4 printer: 1 bed occupied"
    assert farm.attempts(job) == []
    farm.coordinator.run("clear", "printer")
    farm.wait_for_completion(job)
    farm.wait_for_printer("printer", "idle", "clear")
    assert not farm.log_lines("ERROR")


# -- what people want -------------------------------------------------------------


def test_pause_and_resume(farm: Farm, octoprints: OctoPrints) -> None:
    (server,) = octoprints(1)
    farm.add_printer("printer", server)
    farm.start()
    job = farm.pay(dwelling_gcode(seconds=4.0))
    farm.wait_for_prints(job, "printing")
    copy = str(only_print(farm, job)["id"])
    assert farm.coordinator.run("pause", copy).stdout == f"print {copy}: pausing\n"
    farm.wait_for_attempts(job, "paused")
    assert server.state() == "Paused"
    assert farm.wait_for_printer("printer", "paused")["print_id"] == int(copy)
    assert only_print(farm, job)["print_status"] == "printing"
    assert "is paused, not printing" in refused(farm, "pause", copy)
    assert "in state paused" in refused(farm, "clear", "printer")

    assert farm.coordinator.run("resume", copy).stdout == f"print {copy}: resuming\n"
    farm.wait_for_prints(job, "completed")
    farm.wait_for_printer("printer", "finished", "occupied")
    for verb in ("pause", "resume"):
        assert "is finished, not" in refused(farm, verb, copy)
    assert "clear its printer" in refused(farm, "cancel", copy)
    assert farm.coordinator.run("clear", "printer").stdout == "printer printer: clearing\n"
    farm.wait_for_completion(job)
    farm.wait_for_printer("printer", "idle", "clear")
    assert [row["state"] for row in farm.attempts(job)] == ["cleared"]
    assert not farm.log_lines("ERROR")


def test_cancel(farm: Farm, octoprints: OctoPrints) -> None:
    (server,) = octoprints(1)
    farm.add_printer("printer", server)
    farm.start()
    cancelled, waiting = farm.pay(endless_gcode()), farm.pay(endless_gcode())
    farm.wait_for_prints(cancelled, "printing")
    farm.wait_for_prints(waiting, "pending")
    first, second = (str(only_print(farm, job)["id"]) for job in (cancelled, waiting))
    assert "is printing, not paused" in refused(farm, "resume", first)
    assert "in state printing" in refused(farm, "clear", "printer")
    for verb in ("pause", "resume"):
        assert "no printer works on print" in refused(farm, verb, second)

    assert farm.coordinator.run("cancel", first).stdout == f"print {first}: cancelling\n"
    farm.wait_for_prints(cancelled, "cancelled")
    farm.wait_for_printer("printer", "idle", "occupied")
    assert server.state() == "Operational"
    assert "is cancelled already" in refused(farm, "cancel", first)
    assert farm.coordinator.run("cancel", second).stdout == f"print {second}: cancelled\n"
    assert farm.openfarm.print_statuses(waiting) == ["cancelled"]
    assert "no printer" in refused(farm, "clear", "nobody")
    assert "no print 4711" in refused(farm, "cancel", "4711")
    farm.coordinator.run("clear", "printer")
    farm.wait_for_printer("printer", "idle", "clear")
    # Nobody counts as failed what was not wanted.
    assert [row["state"] for row in farm.attempts(cancelled)] == ["cancelled"]
    assert farm.attempts(waiting) == []
    (known,) = farm.openfarm.rows("pms_printers")
    assert (known["consecutive_failures"], known["suspended"]) == (0, False)
    assert not farm.log_lines("ERROR")


# -- failures ---------------------------------------------------------------------


def test_failed_prints_are_replaced_while_reprints_are_left(
    farm: Farm, octoprints: OctoPrints
) -> None:
    one, two = octoprints(2)
    first = farm.add_printer("first", one)
    second = farm.add_printer("second", two)
    farm.start()
    for name in ("first", "second"):
        farm.wait_for_printer(name, "idle")
    job = farm.pay(endless_gcode())
    farm.wait_for_prints(job, "printing")
    assert only_print(farm, job)["printer_id"] == first

    one.send_gcode(FATAL_ERROR)
    failed, replacement = farm.wait_for_prints(job, "failed", "printing")
    assert (failed["printer_id"], replacement["printer_id"]) == (first, second)
    assert failed["started_at"] < failed["finished_at"]
    assert not farm.openfarm.printer(first)["currently_printing"]
    assert "Thermal Runaway" in farm.attempts(job)[0]["error"]
    # Connected again, but not to be used before a person has looked at it.
    farm.wait_for_printer("first", "idle", "occupied")
    counted = farm.openfarm.maintenance(first)
    assert counted["session_prints_failed"] == 1
    assert counted["session_error_count"] == 1
    assert counted["session_prints_completed"] == 0
    (known,) = farm.openfarm.rows("pms_printers", printer_id=first)
    assert (known["consecutive_failures"], known["suspended"]) == (1, False)

    order(two, "cancel")
    farm.wait_for_prints(job, "failed", "failed")
    farm.wait_for_printer("second", "idle", "occupied")
    (words,) = farm.attention(job_id=job)
    assert "no reprints are left" in words
    assert farm.openfarm.job(job)["job_status"] == "printing"
    assert [row["state"] for row in farm.attempts(job)] == ["failed", "failed"]
    for name in ("first", "second"):
        farm.coordinator.run("clear", name)
        farm.wait_for_printer(name, "idle", "clear")
    assert farm.status()["queue"] == []
    assert len(farm.broker.messages("EmailPrintStarted")) == 2
    assert farm.broker.messages("DiscordPrintFinished") == []
    assert not farm.log_lines("ERROR")


def test_a_printer_that_keeps_failing_is_suspended(farm: Farm, octoprints: OctoPrints) -> None:
    (server,) = octoprints(1)
    printer = farm.add_printer("printer", server)
    farm.start(PMS_REPRINTS="3")
    job = farm.add_job(None)
    farm.file_server.put(job, endless_gcode())
    farm.broker.publish_job_paid(job)
    for failures in range(1, 4):
        farm.wait_for_prints(job, *["failed"] * (failures - 1), "printing")
        order(server, "cancel")
        farm.wait_for_prints(job, *["failed"] * failures, "pending")
        farm.wait_for_printer("printer", "suspended" if failures == 3 else "idle", "occupied")
        farm.coordinator.run("clear", "printer")
    suspended = farm.wait_for_printer("printer", "suspended", "clear")
    words = "3 prints in a row failed: look at it, then enable it"
    assert suspended["detail"] == words
    assert farm.attention(printer_id=printer) == [words]
    assert farm.wait_for_reason(job, "suspended") == "1 MK4 printer: 1 suspended"
    # That it is enabled in the table says nothing: it always was.
    assert farm.openfarm.printer(printer)["enabled"]

    farm.coordinator.run("printer", "enable", "printer")
    farm.wait_for_prints(job, "failed", "failed", "failed", "printing")
    assert farm.status()["attention"] == []
    (known,) = farm.openfarm.rows("pms_printers", printer_id=printer)
    assert (known["consecutive_failures"], known["suspended"]) == (0, False)
    assert farm.openfarm.maintenance(printer)["session_prints_failed"] == 3
    assert not farm.log_lines("ERROR")
