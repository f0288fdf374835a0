"""What leaves the farm holds no secret, in whatever form it was written."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from pms.scrubbing import Scrubber, base64_pieces
from tests.support.bundles import written

SECRETS = [
    "7F3A9C0D5E1B4826AF90D3C2B1E4F507",
    "swordfish",
    "pa ss/w\"o\\rd'&<ü>+@:#",
    "pw12",
    "x9",
    "12345678",
]
PEOPLE = ["Jane Doe", "Zoë", "  "]
scrubber = Scrubber(SECRETS, PEOPLE)

FORMS = {
    "as it is": "say {} twice: {}",
    "in a word": "before_{}_after",
    "in a URL": "http://u:{}@host/?a=1",
    "in JSON": '{{"x": "{}"}}',
}


LONG = [secret for secret in SECRETS if len(secret) > 3]


@pytest.mark.parametrize("frame", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("secret", LONG)
def test_a_secret_is_masked_in_every_form(secret: str, frame: str) -> None:
    for form, text in written(secret).items():
        scrubbed = scrubber.text(frame.format(text, text))
        assert text not in scrubbed, form
        assert secret not in scrubbed, form
        assert "***" in scrubbed, form


@pytest.mark.parametrize("before", ["", "u", "us", "use", "user:"])
@pytest.mark.parametrize("secret", [secret for secret in LONG if len(secret) > 7])
def test_a_secret_is_masked_inside_base64_wherever_it_stands(secret: str, before: str) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(f"{before}{secret} and more".encode()).decode()
        scrubbed = scrubber.text(f"x {encoded} y")
        assert scrubbed.strip("= ") in ("x *** y", "x ***= y", "x ***== y")


def test_a_piece_of_base64_too_short_to_be_told_is_none() -> None:
    assert base64_pieces("x9") == set()
    assert all(len(piece) >= 4 for piece in base64_pieces("pw12word"))


def test_a_very_short_secret_is_masked_where_it_stands_alone() -> None:
    assert scrubber.text("x9 ax9 'x9'") == "*** ax9 '***'"


def test_a_secret_within_another_does_not_leave_the_rest() -> None:
    assert Scrubber(["sword", "swordfish"]).text("swordfish sword") == "*** ***"


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("X-Api-Key: abc123def", "X-Api-Key: ***"),
        ("GET /api/job?apikey=abc&x=1", "GET /api/job?apikey=***&x=1"),
        ("?token=abc&access_token=def", "?token=***&access_token=***"),
        ('{"session": "9a8b7c"}', '{"session": "***"}'),
        ('"{\\"csrf_token\\": \\"abc\\"}"', '"{\\"csrf_token\\": \\"***\\"}"'),
        ("session=9a8b7c user", "session=*** user"),
        ("Authorization: Digest username=u, response=abc", "Authorization: ***"),
        ("Set-Cookie: sid=abc; Path=/", "Set-Cookie: ***"),
        ("curl -H 'Authorization: Bearer abc.def'", "curl -H 'Authorization: ***'"),
        ("sent Basic dTpwMQ== to it", "sent Basic *** to it"),
        ("http://jane@10.0.0.7/x", "http://***@10.0.0.7/x"),
        ("http://jane:p%40ss@10.0.0.7/x", "http://***@10.0.0.7/x"),
        ("postgresql+psycopg://u:***@db:5432/farm", "postgresql+psycopg://***@db:5432/farm"),
        ("from jane.doe+x@uni.example.org to", "from *** to"),
        ("mail=jane%40uni.example.org", "mail=***"),
        ("an old key 0a1B2C3D4E5F60718293A4B5C6D7E8F9", "an old key ***"),
        ("key Zm9vYmFyLTEyMzQ1Njc4OTAtYWJjZGVmZ2hpams_AbC", "key ***"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nx", "***\nx"),
        ("JANE DOE's printer, ZOË's too", "***'s printer, ***'s too"),
        ("Jane Doer", "Jane Doer"),
    ],
)
def test_what_looks_private_is_masked_although_nobody_knows_it(text: str, scrubbed: str) -> None:
    assert scrubber.text(text) == scrubbed
    assert scrubber.text(scrubbed) == scrubbed


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-24T18:22:34.059Z INFO coordinator pms.coordinator.reports: printer_ready",
        "pms/job-1_print-2_try-1.gcode",
        "sha1=da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "the session has expired; the token was refused",
        "bed 60/60 °C, tool0 215/215 °C",
        "http://10.0.0.7:5000/api/job",
        "PMS_WEB_TOKEN is ignored",
    ],
)
def test_what_helps_to_find_a_fault_stays(text: str) -> None:
    assert scrubber.text(text) == text


def test_where_secrets_are_unknown_every_long_word_is_suspicious() -> None:
    suspicious = Scrubber([], suspicious=True)
    assert suspicious.text("key abcdef-0123456789-abcdef!") == "key ***!"
    kept = "printer_state_changed pms/job-1234_print-12345_try-12.gcode 2026-11-24T18:22:34.059Z"
    assert suspicious.text(kept) == kept


@pytest.mark.parametrize(
    ("value", "scrubbed"),
    [
        ({"api_key": "a", "apikey": None}, {"api_key": "***", "apikey": None}),
        ({"has_api_key": True, "token_count": 3}, {"has_api_key": True, "token_count": 3}),
        ({"user": "admin", "owner": "jane"}, {"user": "***", "owner": "***"}),
        ({"file": {"user": "a", "name": "b.gcode"}}, {"file": {"user": "***", "name": "b.gcode"}}),
        ({"sessions": ["a", "b"]}, {"sessions": ["***", "***"]}),
        ({"swordfish": ["swordfish!"]}, {"***": ["***!"]}),
        (
            {"detail": "x", "e-mail": "a", "key": "b"},
            {"detail": "x", "e-mail": "***", "key": "***"},
        ),
        ([12345678, 1.5, True, None, 7], ["***", 1.5, True, None, 7]),
        ({"note": ""}, {"note": ""}),
    ],
)
def test_data_keeps_its_shape(value: Any, scrubbed: Any) -> None:
    assert scrubber.data(value) == scrubbed
