from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from pms.broker import messages
from pms.broker.messages import BadMessageError, RejectReason


@pytest.mark.parametrize(
    ("body", "job_id"),
    [
        (b'{"JobId":7}', 7),
        (b' { "JobId" : 7 , "Other" : [1, {"JobId": 8}], "jobId": "x" } ', 7),
        (b'{"JobId":9223372036854775807}', 2**63 - 1),
        (b'{"JobId":-9223372036854775808}', -(2**63)),
        (b'{"JobId":0}', 0),
        (b'{"JobId":1,"JobId":2}', 2),
        ('{"JobId":3,"Name":"Grüße"}'.encode(), 3),
    ],
)
def test_a_paid_job_is_read(body: bytes, job_id: int) -> None:
    assert messages.decode_job_paid(body) == job_id


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the body is not JSON"),
        (b"not json", "the body is not JSON"),
        (b'{"JobId":7', "the body is not JSON"),
        (b'{"JobId":7} {}', "the body is not JSON"),
        (b"\xff\xfe", "the body is not JSON"),
        ('{"JobId":7}'.encode("utf-16"), "the body is not JSON"),
        (b'{"JobId":NaN}', "the body is not JSON"),
        (b'{"JobId":' + b"9" * 5000 + b"}", "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON"),
        (b"7", "the body is JSON, but not an object"),
        (b"null", "the body is JSON, but not an object"),
        (b'[{"JobId":7}]', "the body is JSON, but not an object"),
        (b"{}", "the body has no JobId"),
        (b'{"jobId":7}', "the body has no JobId"),
        (b'{"JobId":"7"}', 'JobId is not a 64-bit integer: "7"'),
        (b'{"JobId":7.0}', "JobId is not a 64-bit integer: 7.0"),
        (b'{"JobId":1e3}', "JobId is not a 64-bit integer: 1000.0"),
        (b'{"JobId":true}', "JobId is not a 64-bit integer: true"),
        (b'{"JobId":null}', "JobId is not a 64-bit integer: null"),
        (b'{"JobId":[7]}', "JobId is not a 64-bit integer: an array"),
        (b'{"JobId":{}}', "JobId is not a 64-bit integer: an object"),
        (
            b'{"JobId":9223372036854775808}',
            "JobId is not a 64-bit integer: 9223372036854775808",
        ),
        (
            b'{"JobId":"line\\nbreak' + b"x" * 100 + b'"}',
            'JobId is not a 64-bit integer: "line\\nbreak' + "x" * 28 + "…",
        ),
    ],
)
def test_a_bad_body_is_refused_with_a_reason(body: bytes, reason: str) -> None:
    with pytest.raises(BadMessageError) as refused:
        messages.decode_job_paid(body)
    assert str(refused.value) == reason


NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            messages.print_started(2**40, 3, 3725.5, NOON),
            b'{"JobId":1099511627776,"PrinterId":3,"PrintTime":"01:02:05.5000000",'
            b'"StartTime":"2026-03-01T12:00:00+00:00"}',
        ),
        (messages.print_finished(7, 3), b'{"JobId":7,"PrinterId":3}'),
        (
            messages.print_cleared(7, 3, NOON.replace(microsecond=120_000)),
            b'{"JobId":7,"PrinterId":3,"FinishTime":"2026-03-01T12:00:00.12+00:00"}',
        ),
        (
            messages.job_rejected(7, "a@b.cz", RejectReason.FAILED_TO_PRINT),
            b'{"JobId":7,"Email":"a@b.cz","RejectReason":3}',
        ),
        (
            messages.job_rejected(7, None, RejectReason.CANCELLED_BY_USER),
            b'{"JobId":7,"Email":null,"RejectReason":0}',
        ),
        (messages.job_completed(7), b'{"JobId":7}'),
    ],
)
def test_bodies_are_what_dotnet_would_write(body: bytes, expected: bytes) -> None:
    assert body == expected


@pytest.mark.parametrize(
    "print_time_s", [None, 0.0, -1.0, float("nan"), float("inf"), float("-inf"), 1e300]
)
def test_an_estimate_that_makes_no_sense_is_unknown(print_time_s: float | None) -> None:
    body = json.loads(messages.print_started(1, 2, print_time_s, NOON))
    assert body["PrintTime"] == "00:00:00"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain/text~", "plain/text~"),
        ("a+b@c.de", "a\\u002Bb@c.de"),
        ("\"'<>&`", "\\u0022\\u0027\\u003C\\u003E\\u0026\\u0060"),
        ("\\ \n \t \x00 \x7f", "\\\\ \\n \\t \\u0000 \\u007F"),
        ("Grüße", "Gr\\u00FC\\u00DFe"),
        ("🖨", "\\uD83D\\uDDA8"),
    ],
)
def test_text_is_escaped_as_dotnet_does(text: str, escaped: str) -> None:
    body = messages.job_rejected(1, text, RejectReason.FAILED_VALIDATION)
    assert body == b'{"JobId":1,"Email":"' + escaped.encode() + b'","RejectReason":1}'
    assert json.loads(body)["Email"] == text


def test_a_broken_character_still_makes_json() -> None:
    body = messages.job_rejected(1, "a\ud800b", RejectReason.FAILED_VALIDATION)
    assert json.loads(body)["Email"] == "a?b"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "00:00:00"),
        (-0.0, "00:00:00"),
        (59, "00:00:59"),
        (3600, "01:00:00"),
        (86_399, "23:59:59"),
        (86_400, "1.00:00:00"),
        (10 * 86_400 + 1.25, "10.00:00:01.2500000"),
        (0.1, "00:00:00.1000000"),
        (1e-7, "00:00:00.0000001"),
        (1e-9, "00:00:00"),
        (59.99999999, "00:01:00"),
        (-1.5, "-00:00:01.5000000"),
        (-90_000, "-1.01:00:00"),
        (-1e-9, "00:00:00"),
    ],
)
def test_time_spans_have_the_constant_form(seconds: float, expected: str) -> None:
    assert messages.time_span(seconds) == expected


@pytest.mark.parametrize("seconds", [float("nan"), float("inf")])
def test_what_is_not_finite_is_no_time_span(seconds: float) -> None:
    with pytest.raises(ValueError, match="no time span"):
        messages.time_span(seconds)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (NOON, "2026-03-01T12:00:00+00:00"),
        (NOON.replace(microsecond=1), "2026-03-01T12:00:00.000001+00:00"),
        (NOON.replace(microsecond=500_000), "2026-03-01T12:00:00.5+00:00"),
        (
            NOON.astimezone(timezone(timedelta(hours=-5, minutes=-30))),
            "2026-03-01T06:30:00-05:30",
        ),
    ],
)
def test_date_times_carry_their_offset(moment: datetime, expected: str) -> None:
    assert messages.date_time(moment) == expected


def test_a_date_time_without_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        messages.date_time(NOON.replace(tzinfo=None))
