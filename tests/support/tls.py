"""A certificate for 127.0.0.1 that nobody trusts and only these tests use, with its key."""

from __future__ import annotations

import ssl
from pathlib import Path

CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg4ho/oAJlJi2aGtW+
SQpHcYyGaUtyFmCSHJIn1EajpJuhRANCAAR4ueonO8/gefYNm0deZo5DvYPM+Vd9
uzkILaKPa1cfpYKP/6mQg3W7grzA+/IBch8QkE9g7Im+q0SJSRSjzZQa
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBjTCCATSgAwIBAgIUBaC9exFGixsiHbLq32AmjUD8qE8wCgYIKoZIzj0EAwIw
EzERMA8GA1UEAwwIUE1TIHRlc3QwIBcNMjYxMTIzMTUzMDI4WhgPMjEyNjEwMzAx
NTMwMjhaMBMxETAPBgNVBAMMCFBNUyB0ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEeLnqJzvP4Hn2DZtHXmaOQ72DzPlXfbs5CC2ij2tXH6WCj/+pkIN1u4K8
wPvyAXIfEJBPYOyJvqtEiUkUo82UGqNkMGIwHQYDVR0OBBYEFOZFkzhIpLKYNmxS
c4DhkhPleUKqMB8GA1UdIwQYMBaAFOZFkzhIpLKYNmxSc4DhkhPleUKqMA8GA1Ud
EwEB/wQFMAMBAf8wDwYDVR0RBAgwBocEfwAAATAKBggqhkjOPQQDAgNHADBEAiBC
O2+M3NtCu9k00cvauiqO/matFsWyOqIGlT0Tsld3hAIgDvgByr8CWGnFAJ7YWdzC
oAqQDtO1oWEwSXOSpwL+aUY=
-----END CERTIFICATE-----
"""


def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
