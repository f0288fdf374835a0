"""Certificates for one test: an authority of its own, and whatever it vouches for."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.programs import find_program

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_DAYS = 30


class Authority:
    """Nobody trusts it unless told to, with `certificate` in SSL_CERT_FILE."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.certificate = folder / "authority.pem"
        self._folder = folder
        self._key = folder / "authority.key"
        self._count = 0
        self._openssl(
            *("req", "-x509", *_KEY, "-days", _DAYS, "-subj", "/CN=PMS test authority"),
            *("-addext", "basicConstraints=critical,CA:TRUE"),
            *("-keyout", self._key, "-out", self.certificate),
        )

    def issue(self, name: str = "IP:127.0.0.1", days: int = _DAYS) -> Path:
        """A file with a certificate for `name` and its key; -1 day makes one that has expired."""
        self._count += 1
        request, key, made, extensions = (
            self._folder / f"{self._count}.{kind}" for kind in ("csr", "key", "pem", "ext")
        )
        extensions.write_text(f"subjectAltName={name}\n")
        self._openssl("req", *_KEY, "-subj", "/CN=PMS test", "-keyout", key, "-out", request)
        self._openssl(
            *("x509", "-req", "-in", request, "-days", days, "-extfile", extensions),
            *("-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial", "-out", made),
        )
        made.write_bytes(made.read_bytes() + key.read_bytes())
        return made

    def self_signed(self, name: str = "IP:127.0.0.1") -> Path:
        """The same, but with nobody who vouches for it."""
        made = self._folder / "self-signed.pem"
        key = self._folder / "self-signed.key"
        self._openssl(
            *("req", "-x509", *_KEY, "-days", _DAYS, "-subj", "/CN=PMS test"),
            *("-addext", f"subjectAltName={name}", "-keyout", key, "-out", made),
        )
        made.write_bytes(made.read_bytes() + key.read_bytes())
        return made

    def _openssl(self, *arguments: object) -> None:
        command = [find_program("openssl"), *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True)
