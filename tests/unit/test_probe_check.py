"""What a check makes of what it finds: which steps it leaves out, and what it says."""

from __future__ import annotations

import dataclasses
import errno
import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from pms.cli import probe
from pms.cli.check_report import as_json, show_check
from pms.cli.probe_target import Target
from pms.domain.observation import Activity, Observation
from pms.probe import network_diagnosis, printer_diagnosis, server_diagnosis, service_diagnosis
from pms.probe.answers import (
    CurrentUser,
    LiveConnection,
    PrinterError,
    PrinterState,
    SerialAnswer,
    SerialOptions,
)
from pms.probe.door import Door, Reply
from pms.probe.findings import Finding, Result, failed, ok, skipped, warning
from pms.probe.latency import Latency
from pms.probe.reachability import Certificate, Endpoint
from pms.probe.server_diagnosis import PERMISSIONS
from pms.probe.steps import Step, StepResult, take_steps
from pms.redaction import register_secret
from workers.octoprint_errors import (
    Conflict,
    DiskFull,
    NotOctoPrint,
    OctoPrintError,
    Rejected,
    ServerError,
    TimedOut,
    Unauthorized,
    Unreachable,
    UploadCut,
)

R = Result
NOW = 1_800_000_000.0
DAY_S = 86400
MIB = 1024 * 1024
PLAIN = Endpoint(host="10.0.0.7", port=5000, tls=False, prefix="/op")
SECURE = Endpoint(host="fd00::7", port=443, tls=True)


def says(finding: Finding, result: Result, *texts: str) -> None:
    """The finding has these texts in its detail, cause and remedy, whichever it is."""
    assert finding.result is result, finding
    said = f"{finding.detail} | {finding.cause} | {finding.remedy}"
    for text in texts:
        assert text in said
    assert bool(finding.cause) == bool(finding.remedy) == (result in (R.WARNING, R.FAILED))


# -- steps --------------------------------------------------------------------------


def take(*steps: tuple[str, Callable[[], Finding], tuple[str, ...]]) -> list[StepResult]:
    ticks = iter(range(100))
    return list(take_steps([Step(*step) for step in steps], clock=lambda: next(ticks)))


def test_what_depends_on_a_failed_step_is_left_out() -> None:
    def never() -> Finding:
        raise AssertionError("taken")

    results = take(
        ("a", lambda: ok("fine"), ()),
        ("b", lambda: failed("broken", "mend it"), ("a",)),
        ("c", never, ("b",)),
        ("d", never, ("a", "c")),
        ("e", lambda: warning("odd", "look"), ("a",)),
        ("f", lambda: skipped("not used"), ("e",)),
        ("g", ok, ("e", "f")),
    )
    assert [(result.name, result.result, result.detail) for result in results] == [
        ("a", "ok", "fine"),
        ("b", "failed", ""),
        ("c", "skipped", "depends on b"),
        ("d", "skipped", "depends on b"),
        ("e", "warning", ""),
        ("f", "skipped", "not used"),
        ("g", "ok", ""),
    ]
    assert [result.duration_s for result in results] == [1, 1, None, None, 1, 1, 1]
    assert (results[1].cause, results[1].remedy) == ("broken", "mend it")


def test_an_error_of_octoprint_is_a_failure_and_holds_no_secret() -> None:
    register_secret("a-very-secret-key")

    def break_down() -> Finding:
        raise ServerError("failed with a-very-secret-key")

    (result,) = take(("a", break_down, ()))
    assert (result.result, result.cause) == ("failed", "failed with ***")


# -- the network ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "error", "texts"),
    [
        ("prnter", socket.gaierror(socket.EAI_NONAME, ""), ("no name server knows", "spelling")),
        ("printer", socket.gaierror(socket.EAI_AGAIN, ""), ("does not say what printer is", "DNS")),
        ("printer", TimedOut("late"), ("does not say what printer is", "IP address")),
        ("mk4.local", socket.gaierror(socket.EAI_NONAME, ""), ("mk4.local", "avahi-daemon")),
    ],
)
def test_names(host: str, error: OSError | TimedOut, texts: tuple[str, ...]) -> None:
    says(network_diagnosis.unknown_name(host, error), R.FAILED, *texts)


@pytest.mark.parametrize(
    ("error", "elsewhere", "texts"),
    [
        (ConnectionRefusedError(), None, ("nothing listens on its port 5000", "OctoPi 80")),
        (ConnectionRefusedError(), "http://10.0.0.7:80", ("answers at http://10.0.0.7:80",)),
        (TimeoutError(), None, ("does not react at all", "firewalls")),
        (OSError(errno.EHOSTUNREACH, "No route to host"), None, ("no way", "No route to host")),
        (OSError(errno.ENOBUFS, "No buffer space"), None, ("No buffer space", "check the address")),
    ],
)
def test_connections(error: OSError, elsewhere: str | None, texts: tuple[str, ...]) -> None:
    says(network_diagnosis.no_connection(PLAIN, error, elsewhere), R.FAILED, *texts)


def certificate(days: float = 100) -> Certificate:
    return Certificate(
        names=("farm.local", "farm"),
        issuer="Workshop",
        not_before=NOW - DAY_S,
        not_after=NOW + days * DAY_S,
    )


def test_trusted_certificates() -> None:
    fine = network_diagnosis.certificate_ok("TLSv1.3", certificate(), NOW)
    says(fine, R.OK, "TLSv1.3", "of Workshop", "until 2027-04-25")
    soon = network_diagnosis.certificate_ok("TLSv1.3", certificate(13.5), NOW)
    says(soon, R.WARNING, "ends in 13 days", "renew it")


@pytest.mark.parametrize(
    ("code", "texts"),
    [
        (9, ("valid only from 2027-01-14 on", "clocks")),
        (10, ("has expired on 2027-01-16", "renew it")),
        (18, ("self-signed", "SSL_CERT_FILE")),
        (19, ("of the certificate, Workshop, is not trusted", "that authority's certificate")),
        (20, ("of the certificate, Workshop, is not trusted", "SSL_CERT_FILE")),
        (62, ("for farm.local, farm, not for fd00::7", "use a name that is in it")),
        (64, ("for farm.local, farm, not for fd00::7", "use a name that is in it")),
        (26, ("unsuitable purpose", "replace it")),
    ],
)
def test_untrusted_certificates(code: int, texts: tuple[str, ...]) -> None:
    error = ssl.SSLCertVerificationError()
    error.verify_code, error.verify_message = code, "unsuitable purpose"
    says(network_diagnosis.untrusted(SECURE, error, certificate(1)), R.FAILED, *texts)
    assert network_diagnosis.untrusted(SECURE, error, None).result is R.FAILED


@pytest.mark.parametrize(
    ("error", "speaks_http", "texts"),
    [
        (TimeoutError(), True, ("speaks plain HTTP", "write http://[fd00::7]:443,")),
        (TimeoutError(), False, ("takes no TLS connection (it does not answer)", "check the port")),
        (ConnectionResetError(errno.ECONNRESET, "reset"), False, ("(reset)",)),
        (ssl.SSLError(1, "no protocols available"), False, ("(no protocols available)",)),
    ],
)
def test_no_tls(error: OSError, speaks_http: bool, texts: tuple[str, ...]) -> None:
    finding = network_diagnosis.no_tls(SECURE, error, speaks_http=speaks_http)
    says(finding, R.FAILED, *texts)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://10.0.0.7", "http://10.0.0.7:80"),
        ("https://farm.local/octoprint", "https://farm.local:443/octoprint"),
        ("http://[fd00::7]:5000", "http://[fd00::7]:5000"),
    ],
)
def test_endpoints(address: str, shown: str) -> None:
    assert Endpoint.of(address).address == shown


# -- the server -----------------------------------------------------------------------

USER = Reply(status=200, body=b'{"name": null, "permissions": [], "groups": ["guests"]}')
LOGIN_PAGE = Reply(status=200, server="lighttpd", body=b"<title>\n Router\n login</title>")


def reply(status: int, **facts: Any) -> Reply:
    return Reply(status=status, **{"server": "nginx", **facts})


@pytest.mark.parametrize(
    ("door", "result", "texts"),
    [
        (Door(reply=USER), R.OK, ("status 200",)),
        (Door(reply=reply(404)), R.OK, ("status 404, nginx",)),
        (Door(front=LOGIN_PAGE, error=NotOctoPrint("no HTTP")), R.OK, ("lighttpd",)),
        (Door(wants_tls=True), R.FAILED, ("speaks TLS", "write https://10.0.0.7:5000/op,")),
        (Door(words=b"SSH-2.0-x\r\n"), R.FAILED, ("else than HTTP: 'SSH-2.0-x'", "the port")),
        (Door(error=TimedOut("no answer")), R.FAILED, ("no answer", "when nothing prints")),
        (Door(error=Unreachable("broke off")), R.FAILED, ("broke off", "check the network")),
    ],
)
def test_http(door: Door, result: Result, texts: tuple[str, ...]) -> None:
    says(server_diagnosis.http(PLAIN, door), result, *texts)


def test_start_up() -> None:
    page = Reply(status=200, body=b"<title>OctoPrint is still starting</title>")
    says(server_diagnosis.start_up(Door(front=page)), R.FAILED, "still starting", "wait a minute")
    says(server_diagnosis.start_up(Door(reply=USER)), R.OK)


@pytest.mark.parametrize(
    ("door", "elsewhere", "texts"),
    [
        (Door(reply=reply(404), front=LOGIN_PAGE), None, ("(lighttpd, page 'Router login')",)),
        (Door(reply=reply(404)), None, ("another web server answers (nginx), no OctoPrint",)),
        (Door(reply=reply(200, body=b"[1]")), None, ("no OctoPrint", "correct the address")),
        (
            Door(reply=reply(404)),
            "http://x:80",
            ("an OctoPrint answers at http://x:80: if", "correct the address"),
        ),
        (Door(front=LOGIN_PAGE), None, ("lighttpd",)),
        (Door(reply=reply(301, location="https://x/")), None, ("on to https://x/", "no redirect")),
        (Door(reply=reply(401)), None, ("log-in of its own", "API key only")),
        (Door(reply=reply(502)), None, ("a proxy answers (nginx)", "502", "start OctoPrint")),
        (Door(reply=reply(503)), None, ("a proxy answers (nginx)", "503", "start OctoPrint")),
    ],
)
def test_other_servers(door: Door, elsewhere: str | None, texts: tuple[str, ...]) -> None:
    says(server_diagnosis.octoprint(door, elsewhere), R.FAILED, *texts)


def test_an_octoprint() -> None:
    says(server_diagnosis.octoprint(Door(reply=USER), None), R.OK)


def test_keys() -> None:
    admin = CurrentUser(name="admin", permissions=[], groups=["admins", "users"])
    says(server_diagnosis.api_key(admin), R.OK, "user admin, groups admins, users")
    nobody = CurrentUser(permissions=["STATUS"], groups=["guests"])
    says(server_diagnosis.api_key(nobody), R.FAILED, "does not know this API key", "copy it anew")
    says(server_diagnosis.unusable_key("has no api_key"), R.FAILED, "has no", "--api-key K")


@pytest.mark.parametrize("needed", PERMISSIONS, ids=lambda permission: permission.key)
def test_permissions(needed: server_diagnosis.Permission) -> None:
    others = [other.key for other in PERMISSIONS if other != needed]
    user = CurrentUser(name="farm", permissions=others, groups=[])
    result = R.FAILED if needed.required else R.WARNING
    texts = (f"user farm may not {needed.use}", f"the permission '{needed.title}'")
    says(server_diagnosis.permission(user, needed), result, *texts)
    user = CurrentUser(name="farm", permissions=[needed.key], groups=[])
    says(server_diagnosis.permission(user, needed), R.OK, needed.use)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (TimedOut("it failed"), "restart OctoPrint when nothing prints"),
        (Unauthorized("it failed", 403), "rights of the API key's user"),
        (ServerError("it failed"), "octoprint.log"),
        (Conflict("it failed", 409), "octoprint.log"),
        (NotOctoPrint("it failed"), "a proxy in between"),
        (Unreachable("it failed"), "check the network"),
    ],
)
def test_failures(error: OctoPrintError, remedy: str) -> None:
    says(server_diagnosis.failure(error), R.FAILED, "it failed", remedy)


# -- the printer ------------------------------------------------------------------------


def serial(state: str, port: str | None = None, **options: Any) -> SerialAnswer:
    current = LiveConnection(state=state, port=port, baudrate=115200, printer_profile="_default")
    return SerialAnswer(current=current, options=SerialOptions(**options))


@pytest.mark.parametrize(
    ("answer", "result", "text"),
    [
        (serial("Printing", "/dev/ttyUSB0"), R.OK, "/dev/ttyUSB0 is in use"),
        (serial("Closed", ports=("A", "B"), port_preference="B"), R.OK, "B is there"),
        (serial("Closed", ports=("A", "B")), R.OK, "any of A, B"),
        (serial("Closed", ports=("A",), port_preference="AUTO"), R.OK, "any of A"),
        (serial("Closed", port_preference="AUTO"), R.FAILED, "no serial port; it has none at all"),
        (serial("Closed", ports=("A",), port_preference="B"), R.FAILED, "port B; it has A"),
        (serial("Opening serial connection", "B", ports=("A",)), R.FAILED, "port B; it has A"),
        (serial("Error", "A", ports=("A",)), R.OK, "A is there"),
    ],
)
def test_serial_ports(answer: SerialAnswer, result: Result, text: str) -> None:
    says(printer_diagnosis.serial_port(answer), result, text)


@pytest.mark.parametrize(
    ("look", "error", "result", "texts"),
    [
        (Observation(activity=Activity.OPERATIONAL), {}, R.OK, ("A, 115200 baud, profile",)),
        (Observation(activity=Activity.PRINTING), {}, R.OK, ("port A",)),
        (Observation(activity=Activity.OTHER), {}, R.OK, ("port A",)),
        (Observation(activity=Activity.DISCONNECTED), {}, R.FAILED, ("not connected", "connect")),
        (
            Observation(activity=Activity.CONNECTING, state_text="Connecting"),
            {},
            R.FAILED,
            ("still connecting to its printer (Connecting)", "port A or baud rate 115200"),
        ),
        (
            Observation(activity=Activity.ERROR, error="Thermal Runaway"),
            {"error": "Thermal Runaway, halted", "reason": "firmware"},
            R.FAILED,
            ("in error: Thermal Runaway, halted", "switch it off and on"),
        ),
        (
            Observation(activity=Activity.ERROR, error="Too many timeouts"),
            {"reason": "timeout"},
            R.FAILED,
            ("in error: Too many timeouts", "check its cable and power"),
        ),
        (Observation(activity=Activity.ERROR), {}, R.FAILED, ("does not say which", "its cable")),
    ],
)
def test_printers(
    look: Observation, error: dict[str, str], result: Result, texts: tuple[str, ...]
) -> None:
    answer = serial("as seen", "A")
    says(printer_diagnosis.printer(look, answer, PrinterError(**error)), result, *texts)


def test_states() -> None:
    flags = {"operational": True, "printing": True, "error": False}
    printing = Observation(activity=Activity.PRINTING, path="a.gcode", progress=0.345)
    finding = printer_diagnosis.state(PrinterState(text="Printing", flags=flags), printing)
    says(finding, R.OK, "Printing: a.gcode, 34% (flags operational, printing)")
    idle = Observation(activity=Activity.OPERATIONAL, path="a.gcode", progress=1.0)
    finding = printer_diagnosis.state(PrinterState(text="Operational", flags={}), idle)
    assert "a.gcode" not in finding.detail
    other = Observation(activity=Activity.OTHER, state_text="Transferring")
    finding = printer_diagnosis.state(PrinterState(text="Transferring", flags={}), other)
    says(finding, R.WARNING, "does not know the state 'Transferring'", "wait until it is over")


@pytest.mark.parametrize(
    ("free", "result", "text"),
    [
        (600 * MIB, R.OK, "0.6 GiB are free"),
        (500 * MIB, R.OK, "0.5 GiB are free"),
        (499 * MIB, R.WARNING, "499 MiB are left"),
        (200 * MIB, R.WARNING, "200 MiB are left"),
        (199 * MIB, R.FAILED, "199 MiB are left"),
    ],
)
def test_free_space(free: int, result: Result, text: str) -> None:
    says(printer_diagnosis.free_space(free), result, text)


@pytest.mark.parametrize(
    ("ahead_s", "result", "text"),
    [
        (0.04, R.OK, "0.0 s ahead of"),
        (-30.0, R.OK, "30.0 s behind"),
        (31.0, R.WARNING, "1 min ahead of"),
        (-3600.0, R.WARNING, "1 h 0 min behind"),
    ],
)
def test_clocks(ahead_s: float, result: Result, text: str) -> None:
    says(printer_diagnosis.clock(ahead_s), result, text)


def test_round_trips() -> None:
    says(printer_diagnosis.round_trips(Latency.of([0.1] * 20)), R.OK, "100.0 ms of 20")
    slow = printer_diagnosis.round_trips(Latency.of([0.1, 0.8, 0.9]))
    says(slow, R.WARNING, "longer than 0.8 s", "Wi-Fi")


# -- push and uploads ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("finding", "texts"),
    [
        (service_diagnosis.no_login(Rejected("no", 429)), ("no log-ins", "in some minutes")),
        (service_diagnosis.no_login(ServerError("it failed")), ("it failed", "octoprint.log")),
        (service_diagnosis.push_not_opened(NotOctoPrint("no"), 403), ("status 403", "Upgrade")),
        (service_diagnosis.push_not_opened(TimedOut("too late"), None), ("too late", "Upgrade")),
        (service_diagnosis.push_silent(TimedOut("late")), ("nothing comes out", "proxy")),
        (service_diagnosis.push_silent(Unreachable("gone")), ("is closed again", "proxy")),
        (service_diagnosis.push_log_in_refused(), ("does not take", "different servers")),
        (service_diagnosis.upload_failed(Rejected("413", 413)), ("413", "client_max_body_size")),
        (service_diagnosis.upload_failed(DiskFull("it is full")), ("it is full", "remove files")),
        (service_diagnosis.upload_failed(UploadCut("it broke")), ("it broke", "remove files")),
        (service_diagnosis.upload_failed(ServerError("it failed")), ("it failed", "octoprint.log")),
        (service_diagnosis.checksum("ab", "cd"), ("(SHA-1 cd, not ab)", "broken disk")),
        (service_diagnosis.checksum("ab", None), ("does not have the file", "plugin")),
        (service_diagnosis.not_deleted(), ("still has it", "disk")),
    ],
)
def test_services(finding: Finding, texts: tuple[str, ...]) -> None:
    says(finding, R.FAILED, *texts)


def test_services_that_work() -> None:
    says(service_diagnosis.push_ok(0.0123), R.OK, "12 ms")
    says(service_diagnosis.checksum("ab", "ab"), R.OK, "SHA-1 ab")


# -- the command ----------------------------------------------------------------------------


def result(name: str, kind: Result, **texts: str) -> StepResult:
    facts = {"detail": "", "cause": "", "remedy": "", **texts}
    return StepResult(name=name, result=kind, duration_s=0.0123, **facts)


FINE = result("tcp", R.OK, detail="port 5000")
SLOW = result("clock", R.WARNING, cause="an\x1b hour", remedy="set it")


def printed(capsys: pytest.CaptureFixture[str], *results: StepResult) -> list[str]:
    target = Target(address="http://a", api_key="k", name="mk4-1")
    assert show_check(target, iter(results)) == list(results)
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_a_report_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, FINE, SLOW) == [
        "mk4-1, http://a",
        "ok tcp 12 ms port 5000",
        "warning clock 12 ms",
        "cause an\\x1b hour",
        "remedy set it",
        "something is wrong: clock",
    ]
    assert printed(capsys, FINE)[-1] == "all is well"


def test_what_is_left_out_takes_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    names = {"tls": "tcp", "http": "tcp", "clock": "push"}
    left_out = [
        dataclasses.replace(FINE, name=name, result=R.SKIPPED, duration_s=None, detail=f"on {root}")
        for name, root in names.items()
    ]
    assert printed(capsys, FINE, *left_out, FINE)[2:4] == [
        "skipped on tcp: tls, http",
        "skipped on push: clock",
    ]


def test_a_report_for_programs() -> None:
    target = Target(address="http://a", api_key="k", name="mk4-1")
    assert as_json(target, [FINE, SLOW]) == {
        "printer": "mk4-1",
        "address": "http://a",
        "ok": False,
        "steps": [
            {
                "name": "tcp",
                "result": "ok",
                "duration_s": 0.0123,
                "detail": "port 5000",
                "cause": "",
                "remedy": "",
            },
            {
                "name": "clock",
                "result": "warning",
                "duration_s": 0.0123,
                "detail": "",
                "cause": "an\x1b hour",
                "remedy": "set it",
            },
        ],
    }


@pytest.mark.parametrize("address", ["u:password@host", "http://u:password@host"])
def test_a_password_in_an_address_is_not_shown(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = Target(address=address, api_key="k")
    assert as_json(target, [])["address"] == "***@host"
    show_check(target, [])
    assert capsys.readouterr().out.startswith("***@host")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("check", "usage: pms-probe check"),
        ("check http://a --printer b", "not allowed with"),
        ("check --all --printer b", "not allowed with"),
        ("check http://a", "no API key: give one with --api-key K"),
        ("check --all --api-key k", "leave out --api-key"),
    ],
)
def test_wrong_usage(
    line: str,
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("OCTOPRINT_API_KEY", raising=False)
    try:
        code = probe.main(line.split())
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2
    assert complaint in capsys.readouterr().err
