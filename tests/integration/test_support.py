"""The servers that the other tests rely on are what they are taken for."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pika.exceptions
import psycopg
import pytest
import requests

from pms.demo.octoprint_server import OctoPrintServerError, find_octoprint
from tests.support.broker import TOPOLOGY, Broker
from tests.support.file_server import FileServer
from tests.support.gcode import GeneratedGcode, dwelling_gcode
from tests.support.openfarm import OpenFarm
from tests.support.ports import free_port
from tests.support.postgres import Database, PostgresServer
from tests.support.printers import OctoPrintFactory
from tests.support.processes import is_alive, process_tree
from tests.support.programs import MissingProgramError, find_program
from tests.support.rabbitmq import RabbitServer
from tests.support.waiting import wait_until

PARENT = """
import sys, time
from pathlib import Path
from pms.demo.children import start_child
folder = Path(sys.argv[1])
print(start_child(["sleep", "600"], folder=folder, log=folder / "log").pid, flush=True)
time.sleep(600)
"""


def test_wait_until_tells_what_it_saw_last() -> None:
    with pytest.raises(AssertionError, match="two prints: not within 0 s; last seen: 0"):
        wait_until(lambda: 0, 0, "two prints")


def test_missing_program_names_the_remedy() -> None:
    with pytest.raises(MissingProgramError, match="make test"):
        find_program("no-such-program")


def test_ports_are_given_once() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50


def test_children_die_with_their_parent(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, tmp_path], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not is_alive(child), 10.0, "end of the child")


class TestPostgres:
    def test_tables_and_defaults_are_those_of_the_contract(self, openfarm: OpenFarm) -> None:
        model = openfarm.add_model("MK4", autostart=True)
        printer = openfarm.add_printer("left", model, "http://127.0.0.1:5000", "key")
        openfarm.load_material(printer, openfarm.add_material("PLA", "black"))
        openfarm.add_material("PLA", "white")
        job = openfarm.add_job(copies=3, model=model, finished_byte_pos=2**40)
        openfarm.insert("prints", print_job_id=job, printer_id=printer)
        openfarm.insert("maintenance", maintenance_report_id=printer)

        assert not openfarm.printer(printer)["currently_printing"]
        assert openfarm.job(job)["job_status"] == "operatorApproved"
        assert openfarm.print_statuses(job) == ["pending"]
        assert openfarm.maintenance(printer)["session_uptime"] == 0
        openfarm.delete("printer_models", model)
        assert openfarm.rows("printers") == openfarm.rows("maintenance") == []
        assert openfarm.job(job)["printer_model_id"] is None
        assert openfarm.prints(job)[0]["printer_id"] is None

    def test_identities_cannot_be_chosen(self, openfarm: OpenFarm) -> None:
        with pytest.raises(psycopg.errors.GeneratedAlways):
            openfarm.insert("users", id=1, name="someone")

    def test_each_database_is_fresh(self, database: Database, empty_database: Database) -> None:
        with database.connect() as connection:
            assert connection.execute("SELECT * FROM print_jobs").fetchall() == []
        with empty_database.connect() as connection, pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM print_jobs")

    def test_commits_survive_a_kill_and_connections_do_not(
        self, postgres_server: PostgresServer, database: Database
    ) -> None:
        with OpenFarm(database) as before:
            job = before.add_job()
            postgres_server.kill()
            with pytest.raises(psycopg.OperationalError):
                before.job(job)
        with pytest.raises(psycopg.OperationalError):
            database.connect()
        postgres_server.start()
        with OpenFarm(database) as after:
            assert after.job(job)["paid"]


class TestRabbitMQ:
    def test_paid_job_reaches_both_queues_as_openfarm_sends_it(self, broker: Broker) -> None:
        broker.publish_job_paid(7, b"not json")

        (first, properties), (second, _) = broker.wait_for_messages("JobPaid", 2)
        assert first == {"JobId": 7}
        assert second == b"not json"
        assert properties.content_type is properties.message_id is properties.delivery_mode is None
        assert broker.queue_depth("EmailJobPaid") == 2
        assert broker.messages("JobPaid") == []

    def test_virtual_hosts_are_apart(self, broker: Broker, empty_broker: Broker) -> None:
        queues = {queue for bound in TOPOLOGY.values() for queue in bound}
        assert len(queues) == 11
        assert all(broker.is_declared(queue) for queue in queues)
        assert not any(empty_broker.is_declared(queue) for queue in queues)

    def test_connections_can_be_cut(self, rabbitmq_server: RabbitServer, broker: Broker) -> None:
        with pytest.raises(pika.exceptions.AMQPError), broker.channel() as channel:  # noqa: PT012
            rabbitmq_server.disconnect(broker)
            channel.queue_declare("JobPaid", passive=True)

    def test_durable_queues_survive_a_kill_and_no_process_does(
        self, rabbitmq_server: RabbitServer, broker: Broker
    ) -> None:
        assert rabbitmq_server.pid is not None
        before = process_tree(rabbitmq_server.pid)
        rabbitmq_server.kill()
        assert not any(map(is_alive, before))
        with pytest.raises(pika.exceptions.AMQPError):
            broker.queue_depth("JobPaid")
        rabbitmq_server.start()
        assert broker.is_declared("JobPaid")


class TestFileServer:
    def test_answers_in_chunks_without_a_length(self, file_server: FileServer) -> None:
        content = dwelling_gcode(1).content
        file_server.put(7, content)
        answer = requests.get(f"{file_server.base_url}/api/gcode/7", timeout=10)
        assert answer.content == content
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert "Content-Length" not in answer.headers

    def test_other_days(self, file_server: FileServer) -> None:
        file_server.put(1, b"G28\n", with_length=True)
        file_server.put(2, b"G28\n", failures=2)
        file_server.put(3, b"G28\n" * 1000, cuts=1)
        file_server.put(4, b"")

        def get(job_id: int) -> requests.Response:
            return requests.get(f"{file_server.base_url}/api/gcode/{job_id}", timeout=10)

        assert get(1).headers["Content-Length"] == "4"
        assert [get(2).status_code for _ in range(3)] == [500, 500, 200]
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            get(3)
        assert len(get(3).content) == 4000
        assert get(4).content == b""
        assert get(5).status_code == 404
        assert get(5).json()
        assert [request.status for request in file_server.requests_for(2)] == [500, 500, 200]

    def test_closed_gate_holds_an_answer_up(self, file_server: FileServer) -> None:
        stored = file_server.put(7, b"G28\n")
        stored.gate.clear()
        url = f"{file_server.base_url}/api/gcode/7"
        with requests.get(url, stream=True, timeout=10) as answer:
            assert file_server.requests_for(7)
            stored.gate.set()
            assert answer.content == b"G28\n"

    def test_large_file_takes_no_memory(self, file_server: FileServer) -> None:
        content = GeneratedGcode(50_000_001)
        file_server.put(7, content)
        digest, size, tail = hashlib.sha1(), 0, b""
        tracemalloc.start()
        url = f"{file_server.base_url}/api/gcode/7"
        with requests.get(url, stream=True, timeout=10) as answer:
            for piece in answer.iter_content(64 * 1024):
                digest.update(piece)
                size += len(piece)
                tail = (tail + piece)[-100:]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert size == content.size
        assert digest.hexdigest() == content.sha1
        assert tail[: content.finished_byte_pos - size].endswith(b"\nM0 ; remove the part\n")
        assert peak < 4 * 2**20


class TestGcode:
    def test_marker_stands_behind_the_m0(self) -> None:
        gcode = dwelling_gcode(1.0, lines=3)
        assert gcode.content[: gcode.finished_byte_pos].splitlines()[-1].startswith(b"M0")
        dwells = [line for line in gcode.content.split(b"\n") if line.startswith(b"G4 P")]
        assert sum(int(line[4:]) for line in dwells) == 1000
        assert len(dwells) == 3
        assert dwelling_gcode(1.0, m0=False).finished_byte_pos is None


class TestOctoPrint:
    def test_printer_log_shows_each_line_of_a_print_once(
        self, octoprint_factory: OctoPrintFactory, report: dict[str, str]
    ) -> None:
        first, second = octoprint_factory(2)
        assert first.ready_s
        assert second.ready_s
        report["OctoPrint, two started at once"] = f"{max(first.ready_s, second.ready_s):.1f} s"
        gcode = dwelling_gcode(0.2, lines=5)

        path = first.upload("pms/part.gcode", gcode.content)
        assert (first.uploads / path).read_bytes() == gcode.content
        first.select_and_print(path)
        first.wait_state("Paused")
        assert first.job()["progress"]["filepos"] == gcode.finished_byte_pos
        assert gcode.marks_in(first.printer_log()) == [*gcode.marks]
        first.request("POST", "/api/job", {"command": "pause", "action": "resume"})
        first.wait_state("Operational")
        assert gcode.marks_in(first.printer_log()) == [*gcode.marks, *gcode.marks_behind]
        assert gcode.marks_in(second.printer_log()) == []

    def test_printer_log_counts_right_over_reconnections_and_restarts(
        self, octoprint_factory: OctoPrintFactory
    ) -> None:
        (server,) = octoprint_factory(autoconnect=False)
        gcode = dwelling_gcode(0, lines=2, m0=False)
        path = server.upload("part.gcode", gcode.content)

        def print_once() -> None:
            server.connect_printer()
            server.select_and_print(path)
            server.wait_state("Operational")
            server.request("POST", "/api/connection", {"command": "disconnect"})
            server.wait_state("Closed")

        print_once()
        print_once()
        server.kill()
        server.start()
        server.wait_ready()
        print_once()
        assert gcode.marks_in(server.printer_log()) == 3 * [*gcode.marks]

    def test_frozen_server_answers_nothing(self, octoprint_factory: OctoPrintFactory) -> None:
        (server,) = octoprint_factory()
        server.freeze()
        with pytest.raises(requests.Timeout):
            server.request("GET", "/api/version", timeout_s=0.3)
        server.thaw()
        assert server.state() == "Operational"

    def test_missing_program_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(OctoPrintServerError, match="PMS_DEMO_OCTOPRINT=/no/such"):
            find_octoprint({"PMS_DEMO_OCTOPRINT": "/no/such"})
        assert os.access(find_octoprint(), os.X_OK)
