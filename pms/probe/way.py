"""The steps on the way to an OctoPrint: from the address until somebody answers as one does."""

from __future__ import annotations

import ssl
import time

from pms.probe import network_diagnosis, server_diagnosis
from pms.probe.door import Door, find_elsewhere, knock
from pms.probe.findings import Finding, ok, skipped
from pms.probe.reachability import (
    Endpoint,
    connect,
    handshake,
    plain_words,
    read_certificate,
    resolve,
)
from pms.probe.steps import Step
from workers.address import normalize_address
from workers.octoprint import CONNECT_TIMEOUT_S
from workers.octoprint_errors import BadAddress, TimedOut


class Way:
    """Each step relies on what the ones before it have found out."""

    def __init__(self, address: str, timeout_s: float) -> None:
        #: As it was entered, and once it has been read, the base URL.
        self.address = address
        self._endpoint = Endpoint(host="", port=0, tls=False)
        self._door = Door()
        self._timeout_s = timeout_s
        self._connect_timeout_s = min(CONNECT_TIMEOUT_S, timeout_s)

    def steps(self) -> list[Step]:
        """In order."""
        return [
            Step("address", self._read_address),
            Step("name resolution", self._resolve, ("address",)),
            Step("tcp", self._connect, ("name resolution",)),
            Step("tls", self._secure, ("tcp",)),
            Step("http", self._knock, ("tls",)),
            Step("start-up", lambda: server_diagnosis.start_up(self._door), ("http",)),
            Step("octoprint", self._identify, ("start-up",)),
        ]

    def _read_address(self) -> Finding:
        try:
            self.address = normalize_address(self.address)
        except BadAddress as error:
            return network_diagnosis.bad_address(str(error))
        self._endpoint = Endpoint.of(self.address)
        return ok(self.address)

    def _resolve(self) -> Finding:
        try:
            found = resolve(self._endpoint, self._timeout_s)
        except (OSError, TimedOut) as error:
            return network_diagnosis.unknown_name(self._endpoint.host, error)
        return ok(", ".join(found))

    def _connect(self) -> Finding:
        try:
            peer = connect(self._endpoint, self._connect_timeout_s)
        except ConnectionRefusedError as error:
            elsewhere = find_elsewhere(self.address)
            return network_diagnosis.no_connection(self._endpoint, error, elsewhere)
        except OSError as error:
            return network_diagnosis.no_connection(self._endpoint, error, None)
        return ok(f"{peer} port {self._endpoint.port}")

    def _secure(self) -> Finding:
        if not self._endpoint.tls:
            return skipped("not used")
        try:
            version, certificate = handshake(self._endpoint, self._connect_timeout_s)
        except ssl.SSLCertVerificationError as error:
            shown = read_certificate(self._endpoint, self._connect_timeout_s)
            return network_diagnosis.untrusted(self._endpoint, error, shown)
        except OSError as error:
            words = plain_words(self._endpoint, self._connect_timeout_s)
            is_http = words.startswith(b"HTTP/")
            return network_diagnosis.no_tls(self._endpoint, error, speaks_http=is_http)
        return network_diagnosis.certificate_ok(version, certificate, time.time())

    def _knock(self) -> Finding:
        self._door = knock(self.address, self._timeout_s)
        return server_diagnosis.http(self._endpoint, self._door)

    def _identify(self) -> Finding:
        elsewhere = None if self._door.is_octoprint else find_elsewhere(self.address)
        return server_diagnosis.octoprint(self._door, elsewhere)
