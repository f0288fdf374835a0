"""`pms-probe check` on every bad way to an OctoPrint, each with the real thing."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pms.demo.octoprint_server import OctoPrintServer
from tests.support.certificates import Authority
from tests.support.checking import ELSEWHERE, TIMEOUT_S, Checked, Checker
from tests.support.lying_push import Lie, LyingPush
from tests.support.nginx import LOCKED, OTHER_PAGE, SLOW, nginx, proxy
from tests.support.octoprint_plugins import hold_up_start
from tests.support.octoprint_pool import OctoPrintPool
from tests.support.odd_server import OddServer, says, silent_address
from tests.support.ports import free_port
from tests.support.printers import OctoPrintFactory
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def server(octoprint_pool: OctoPrintPool) -> OctoPrintServer:
    """One with which nothing is wrong; tests leave it so."""
    (server,) = octoprint_pool.take(1)
    return server


@pytest.fixture(scope="module")
def check(server: OctoPrintServer, authority: Authority) -> Checker:
    return Checker(server.api_key, authority.certificate)


# -- the way to OctoPrint -----------------------------------------------------------


def test_an_address_that_is_none(check: Checker) -> None:
    checked = check("http://printer:port")
    checked.expect("address", "is malformed", "at which a browser shows OctoPrint")
    assert "deletion" in checked.left_out("address")


def test_a_name_that_nobody_knows(check: Checker) -> None:
    check("http://printer.invalid").expect(
        "name resolution", "host name printer.invalid|what printer.invalid is", "check the spelling"
    )


def test_nothing_listens(check: Checker) -> None:
    checked = check(f"http://127.0.0.1:{free_port()}")
    checked.expect("tcp", "nothing listens on its port", f"start OctoPrint there|{ELSEWHERE}")
    assert checked.left_out("tcp")[:2] == ["tls", "http"]


def test_a_port_of_something_else(check: Checker) -> None:
    with OddServer(says(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n")) as other:
        check(other.address).expect(
            "http", "something else than HTTP: 'SSH-2.0", "correct the port"
        )


def test_a_black_hole(check: Checker) -> None:
    with silent_address() as address:
        check(address).expect("tcp", "does not react at all", "switch the machine on")


def test_an_octoprint_that_hangs(check: Checker, server: OctoPrintServer) -> None:
    server.freeze()
    try:
        check(server.url).expect("http", "no complete answer in time", "restart OctoPrint when")
    finally:
        server.thaw()


def test_another_web_server(check: Checker, tmp_path: Path) -> None:
    with nginx(tmp_path, OTHER_PAGE) as url:
        check(url).expect(
            "octoprint", "nginx.*'Router login'.*no OctoPrint", f"correct the address|{ELSEWHERE}"
        )


def test_an_octoprint_elsewhere_on_the_host(
    check: Checker, server: OctoPrintServer, tmp_path: Path
) -> None:
    with nginx(tmp_path, proxy(server.url, prefix="/octoprint")) as url:
        check(url).expect("octoprint", "another web server", f"answers at {url}/octoprint")


def test_an_octoprint_that_starts(check: Checker, octoprint_factory: OctoPrintFactory) -> None:
    starting = octoprint_factory.prepare()
    gate = hold_up_start(starting)
    starting.start()

    def is_seen() -> Checked | None:
        checked = check(starting.url)
        return checked if checked.wrong == ["start-up"] else None

    checked = wait_until(is_seen, TIMEOUT_S, "an OctoPrint that is still starting")
    assert checked is not None
    checked.expect("start-up", "is still starting up", "wait a minute or two")
    gate.write_text("go on")
    starting.wait_ready()
    starting.wait_state("Operational")
    assert check(starting.url, "--no-write", key=starting.api_key).code == 0


# -- TLS, and proxies -----------------------------------------------------------------


def behind(server: OctoPrintServer, folder: Path, certificate: Path) -> AbstractContextManager[str]:
    return nginx(folder, proxy(server.url), certificate)


def test_a_certificate_that_has_expired(
    check: Checker, server: OctoPrintServer, authority: Authority, tmp_path: Path
) -> None:
    with behind(server, tmp_path, authority.issue(days=-1)) as url:
        check(url).expect("tls", r"has expired on \d{4}-\d\d-\d\d", "renew it")


def test_a_certificate_that_expires_soon(
    check: Checker, server: OctoPrintServer, authority: Authority, tmp_path: Path
) -> None:
    with behind(server, tmp_path, authority.issue(days=3)) as url:
        checked = check(url, "--no-write")
        checked.expect("tls", "ends in 2 days", "renew it")
        assert checked.steps["round trips"]["result"] == "ok"


def test_a_certificate_that_is_self_signed(
    check: Checker, server: OctoPrintServer, authority: Authority, tmp_path: Path
) -> None:
    with behind(server, tmp_path, authority.self_signed()) as url:
        check(url).expect("tls", "is self-signed", "trust store.*SSL_CERT_FILE")


def test_a_certificate_of_an_unknown_authority(
    check: Checker, server: OctoPrintServer, tmp_path: Path
) -> None:
    with behind(server, tmp_path, Authority(tmp_path / "other").issue()) as url:
        check(url).expect("tls", "PMS test authority, is not trusted", "trust store")


def test_a_certificate_for_another_name(
    check: Checker, server: OctoPrintServer, authority: Authority, tmp_path: Path
) -> None:
    with behind(server, tmp_path, authority.issue("DNS:farm.example")) as url:
        check(url).expect("tls", "for farm.example, not for 127.0.0.1", "use a name that is in it")


def test_plain_http_on_a_tls_port(
    check: Checker, server: OctoPrintServer, authority: Authority, tmp_path: Path
) -> None:
    with behind(server, tmp_path, authority.issue()) as url:
        checked = check(url.replace("https", "http"))
        checked.expect("http", "speaks TLS", f"write {url}")


def test_tls_on_a_plain_port(check: Checker, server: OctoPrintServer) -> None:
    checked = check(server.url.replace("http", "https"))
    checked.expect("tls", "speaks plain HTTP", f"write {server.url}")


def test_tls_and_a_path_prefix(
    check: Checker, server: OctoPrintServer, authority: Authority, tmp_path: Path
) -> None:
    with nginx(tmp_path, proxy(server.url, prefix="/octoprint"), authority.issue()) as url:
        checked = check(f"{url}/octoprint/")
        assert checked.code == 0, checked.wrong
        assert "PMS test authority" in checked.steps["tls"]["detail"]


@pytest.mark.parametrize(
    ("server_block", "cause", "remedy"),
    [
        ("return 301 https://farm.local$request_uri;", "on to https://farm.local", "redirect"),
        (proxy("http://127.0.0.1:1"), "OctoPrint behind it does not.*502", "start OctoPrint"),
        (proxy("http://127.0.0.1:1", LOCKED), "log-in of its own", "API key only"),
    ],
)
def test_a_proxy_that_does_not_lead_to_octoprint(
    check: Checker, tmp_path: Path, server_block: str, cause: str, remedy: str
) -> None:
    with nginx(tmp_path, server_block) as url:
        check(url).expect("octoprint", cause, f"{remedy}|{ELSEWHERE}")


def test_push_blocked_by_a_proxy(check: Checker, server: OctoPrintServer, tmp_path: Path) -> None:
    with nginx(tmp_path, proxy(server.url, more="")) as url:
        checked = check(url, "--no-write")
        checked.expect("push", "blocked while REST works.*status 400", "Upgrade and Connection")
        assert checked.left_out("push") == ["clock"]


def test_push_that_is_silent(check: Checker, server: OctoPrintServer) -> None:
    with LyingPush(server.url) as liar:
        liar.lie(Lie.SILENT)
        check(liar.url, "--no-write").expect("push", "nothing comes out", "let the proxy pass")


def test_very_slow_answers(check: Checker, server: OctoPrintServer, tmp_path: Path) -> None:
    with nginx(tmp_path, proxy(server.url, SLOW)) as url:
        checked = check(url, "--no-write")
        checked.expect("round trips", "longer than 0.6 s", "Wi-Fi.*overloaded")
