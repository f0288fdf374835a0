"""What is wrong on the way to a server, and what helps: name, TCP, TLS. Pure."""

from __future__ import annotations

import errno
import socket
import ssl
from dataclasses import replace
from datetime import UTC, datetime

from pms.probe.findings import Finding, failed, ok, warning
from pms.probe.reachability import Certificate, Endpoint
from workers.octoprint_errors import TimedOut, one_line

#: A certificate that ends sooner should be renewed by now.
CERTIFICATE_WARNING_DAYS = 14
_DAY_S = 86400
_TRUST_IT = (
    "add {} to the trust store of this machine, or name it in SSL_CERT_FILE, for PMS too; "
    "or let the server use a certificate of a public authority"
)


def bad_address(text: str) -> Finding:
    """The address cannot be read."""
    return failed(
        text,
        "give the address at which a browser shows OctoPrint, such as http://10.0.0.7:5000 or "
        "https://farm.local/octoprint",
    )


def unknown_name(host: str, error: OSError | TimedOut) -> Finding:
    """The host's name leads nowhere."""
    if isinstance(error, TimedOut) or error.errno == socket.EAI_AGAIN:
        cause = f"the name server does not say what {host} is"
    else:
        cause = f"no name server knows the host name {host}"
    if host.endswith(".local"):
        return failed(
            cause,
            "names in .local need avahi-daemon and libnss-mdns on this machine; "
            "or use the IP address of OctoPrint",
        )
    return failed(
        cause, "check the spelling and this machine's DNS, or use the IP address of OctoPrint"
    )


def no_connection(endpoint: Endpoint, error: OSError, elsewhere: str | None) -> Finding:
    """The host takes no TCP connection; `elsewhere` on it, an OctoPrint answers."""
    host, port = endpoint.host, endpoint.port
    if isinstance(error, ConnectionRefusedError):
        return _refused(host, port, elsewhere)
    if isinstance(error, TimeoutError):
        return failed(
            f"{host} does not react at all to a connection to port {port}",
            "switch the machine on and look at its network, at the IP address, and at firewalls "
            "in between",
        )
    if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return failed(
            f"there is no way from here to {host} ({one_line(error.strerror or '')})",
            "switch the machine on; check its IP address, and the network of this machine",
        )
    return failed(
        f"no connection to port {port} of {host}: {one_line(error.strerror or str(error))}",
        "check the address and the network",
    )


def _refused(host: str, port: int, elsewhere: str | None) -> Finding:
    cause = f"{host} is there, but nothing listens on its port {port}"
    if elsewhere:
        return failed(cause, other_octoprint(elsewhere))
    return failed(
        cause,
        "start OctoPrint there, or correct the port (OctoPrint itself has 5000, OctoPi 80)",
    )


def other_octoprint(address: str) -> str:
    """What to do when an OctoPrint is found where nobody has looked for it: it may be another's."""
    return (
        f"an OctoPrint answers at {address}: if it is this printer's, correct the address; "
        "if not, start this printer's"
    )


def certificate_ok(version: str, certificate: Certificate, now: float) -> Finding:
    """PMS trusts the certificate; `now` in seconds since 1970."""
    until = _date(certificate.not_after)
    detail = f"{version}, certificate of {certificate.issuer}, valid until {until}"
    days = int((certificate.not_after - now) / _DAY_S)
    if days >= CERTIFICATE_WARNING_DAYS:
        return ok(detail)
    return warning(f"the certificate ends in {days} days", "renew it before that", detail)


def untrusted(
    endpoint: Endpoint, error: ssl.SSLCertVerificationError, certificate: Certificate | None
) -> Finding:
    """PMS does not trust the certificate."""
    match error.verify_code:
        case 9 if certificate:
            return failed(
                f"the certificate is valid only from {_date(certificate.not_before)} on",
                "compare the clocks of both machines, or make a new certificate",
            )
        case 10:
            since = f" on {_date(certificate.not_after)}" if certificate else ""
            return failed(
                f"the certificate has expired{since}",
                "renew it on the server; if it is new, look at the clock of this machine",
            )
        case 18:
            return failed(
                "the certificate is self-signed: no authority vouches for it",
                _TRUST_IT.format("it"),
            )
        case 19 | 20 | 21:
            issuer = f", {certificate.issuer}," if certificate else ""
            return failed(
                f"the authority of the certificate{issuer} is not trusted here",
                _TRUST_IT.format("that authority's certificate"),
            )
        case 62 | 64:
            return _wrong_name(endpoint.host, certificate)
    return failed(
        f"the certificate is not accepted: {one_line(error.verify_message)}",
        "replace it on the server",
    )


def _wrong_name(host: str, certificate: Certificate | None) -> Finding:
    names = ", ".join(certificate.names) if certificate else ""
    return failed(
        f"the certificate is for {one_line(names) or 'another name'}, not for {host}",
        f"use a name that is in it, or make one for {host}",
    )


def no_tls(endpoint: Endpoint, error: OSError, *, speaks_http: bool) -> Finding:
    """No TLS connection comes about, whatever the certificate."""
    if speaks_http:
        return failed(
            f"port {endpoint.port} speaks plain HTTP, and the address begins with https://",
            f"write {replace(endpoint, tls=False).address}, or give the port that has TLS",
        )
    silent = isinstance(error, TimeoutError)
    said = "it does not answer" if silent else one_line(error.strerror or type(error).__name__)
    return failed(
        f"port {endpoint.port} takes no TLS connection ({said})",
        "check the port; a server with nothing newer than TLS 1.1 has to be updated",
    )


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
