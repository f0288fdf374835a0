"""Invariant 6: whatever stands at one printer's address, the others do not notice."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import OctoPrints
from tests.support.farm import TIMEOUT_S, Farm
from tests.support.gcode import dwelling_gcode
from tests.support.odd_server import (
    Behaviour,
    OddServer,
    answer,
    hangs,
    says,
    silent_address,
    trickles,
)
from tests.support.ports import HOST, free_port
from tests.support.processes import private_bytes, process_tree
from tests.support.tls import CERTIFICATE, server_tls
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(150)

MIB = 1024 * 1024
#: What one of the answers would take if it were kept.
ENDLESS = 4 * 1024 * MIB
ENDLESS_HEAD = f"HTTP/1.1 200 OK\r\nContent-Length: {ENDLESS}\r\n\r\n".encode()
HTML = answer("200 OK", b"<!doctype html><title>Router</title>", "Content-Type: text/html")

#: Name → what it does, and words with which `status` has to tell it from the others.
ODD: dict[str, tuple[Behaviour, str]] = {
    "swallows": (hangs, "gave no complete answer in time; OctoPrint may hang"),
    "trickles": (trickles(ENDLESS_HEAD, b" ", 1.0), "gave no complete answer in time"),
    "floods": (trickles(ENDLESS_HEAD, b" " * MIB, 0.0), "more than 1048576 bytes"),
    "floods-heads": (
        trickles(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 9999, 0.0),
        "not as OctoPrint does (no HTTP)",
    ),
    "web-page": (says(HTML), "not as OctoPrint does (a web page)"),
    "other-json": (says(answer("200 OK", b'["hello"]')), "not as OctoPrint does (unknown JSON)"),
    "not-http": (says(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n"), "not as OctoPrint does (no HTTP)"),
    "hangs-up": (says(), "broke off the connection before it had answered"),
    "fails": (says(answer("503 Service Unavailable")), "failed with status 503"),
}


def redirects(connection: socket.socket, head: str, over: object) -> None:
    """To the same address, for as long as anybody follows."""
    path, address = head.split()[1], connection.getsockname()
    location = f"Location: http://{HOST}:{address[1]}{path}"
    connection.sendall(answer("302 Found", b"", location))


@pytest.fixture
def odd_addresses(tmp_path: Path) -> Iterator[dict[str, tuple[str, str]]]:
    """Address and words of each odd printer by its name."""
    certificate = tmp_path / "certificate.pem"
    certificate.write_text(CERTIFICATE)
    with ExitStack() as stack:

        def run(behave: Behaviour, **options: Any) -> str:
            return stack.enter_context(OddServer(behave, **options)).address

        found = {name: (run(behave), words) for name, (behave, words) in ODD.items()}
        found["redirects"] = (run(redirects), "redirects to http://")
        tls = server_tls(certificate)
        found["certificate"] = (run(says(), tls=tls), "TLS certificate is not trusted")
        found["silent"] = (stack.enter_context(silent_address()), "does not answer; is it switched")
        found["refuses"] = (f"http://{HOST}:{free_port()}", "refuses the connection")
        found["unknown"] = ("http://no-such-printer.invalid", "the host name is not known")
        found["malformed"] = ("http://[::1", "is malformed")
        yield found


def by_name(farm: Farm) -> dict[str, dict[str, Any]]:
    return {printer["name"]: printer for printer in farm.status()["printers"]}


def wait_for_all(farm: Farm, condition: Callable[[dict[str, Any]], bool], what: str) -> None:
    def those_that_are_not() -> list[tuple[str, str, str]]:
        printers = by_name(farm).values()
        return [(p["name"], p["state"], p["detail"]) for p in printers if not condition(p)]

    waiting: list[tuple[str, str, str]] = []

    def all_are() -> bool:
        waiting[:] = those_that_are_not()
        return not waiting

    try:
        wait_until(all_are, TIMEOUT_S, what, interval_s=0.1)
    except AssertionError as error:
        raise AssertionError(f"{error}: {waiting}") from error


def test_odd_printers_beside_a_real_one(
    farm: Farm, octoprints: OctoPrints, odd_addresses: dict[str, tuple[str, str]]
) -> None:
    (server,) = octoprints(1)
    real = farm.add_printer("real", server, autostart=True)
    for name, (address, _) in odd_addresses.items():
        farm.add_printer(name, server, address=address, api_key="odd-printers-key")
    farm.start(PMS_HTTP_TIMEOUT="2")
    farm.wait_for_printer("real", "idle")
    wait_for_all(farm, lambda p: p["worker_pid"] is not None, "a process for each printer")
    pids = {name: printer["worker_pid"] for name, printer in by_name(farm).items()}
    assert len(set(pids.values())) == len(odd_addresses) + 1

    gcode = dwelling_gcode(seconds=6.0)
    jobs = [farm.pay(gcode, copies=2)]
    farm.wait_for_prints(jobs[0], "pending", "printing")
    wait_for_all(
        farm,
        lambda p: p["name"] == "real" or odd_addresses[p["name"]][1] in p["detail"],
        "each odd printer's own words",
    )
    assert by_name(farm)["real"]["state"] in ("printing", "finished", "transferring", "idle")
    farm.wait_for_completion(*jobs)

    printers = by_name(farm)
    for name, (address, words) in odd_addresses.items():
        assert printers[name]["state"] == "unreachable", name
        assert words in printers[name]["detail"], name
        assert address in printers[name]["detail"], name
        assert printers[name]["bed"] == "clear", name
    assert {name: printer["worker_pid"] for name, printer in printers.items()} == pids
    assert {printer["restarts"] for printer in printers.values()} == {0}
    _assert_undisturbed(farm, real, jobs[0])
    assert gcode.marks_in(server.printer_log()) == [*gcode.marks, *gcode.marks_behind] * 2
    _assert_bounded(farm)
    farm.assert_no_secrets()


def _assert_undisturbed(farm: Farm, real: int, job: int) -> None:
    """Both copies on the real printer at the first try, which was never lost sight of."""
    assert [row["printer_id"] for row in farm.attempts(job)] == [real, real]
    seen = [row["kind"] for row in farm.openfarm.rows("pms_events", printer_id=real)]
    assert "unreachable" not in str(seen)
    for words in ("worker_died", "worker_hangs", "ERROR", "_broke", "report_failed"):
        assert not farm.log_lines(words)


def _assert_bounded(farm: Farm) -> None:
    coordinator, *others = process_tree(farm.coordinator.pid)
    assert private_bytes(coordinator) < 100 * MIB
    for pid in others:
        assert private_bytes(pid) < 40 * MIB
