from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import make_url

from pms import npgsql
from pms.errors import SettingsError


def understood(text: str) -> dict[str, Any]:
    """What psycopg is called with in the end, numbers as text."""
    url = make_url(npgsql.parse(text).url)
    assert url.drivername == "postgresql+psycopg"
    _, arguments = url.get_dialect()().create_connect_args(url)
    return {name: str(value) for name, value in arguments.items() if name != "context"}


FULL = {"host": "db", "port": "5432", "dbname": "openfarm", "user": "u", "password": "p"}


@pytest.mark.parametrize(
    "text",
    [
        "Host=db;Port=5432;Database=openfarm;Username=u;Password=p",
        "host=db;port=5432;database=openfarm;username=u;password=p;",
        "SERVER=db;PORT=5432;DB=openfarm;USER ID=u;PWD=p",
        "Server = db ; Port = 5432 ; Initial Catalog = openfarm ; UserId = u ; Psw = p ;;",
        "Data Source=db:5432;Database=openfarm;User=u;Password=p",
        "Host=db:5432;Port=1;Database=openfarm;User Name=u;Password=p",
        ";;Host='db';Port=\"5432\";Database=openfarm;UID=u;Password='p'",
        "Host=old;Host=db;Port=5432;Database=openfarm;Username=u;Password=p",
    ],
)
def test_every_spelling_means_the_same(text: str) -> None:
    assert understood(text) == FULL


@pytest.mark.parametrize(
    ("written", "password"),
    [
        ("plain", "plain"),
        ("a=b==", "a=b=="),
        ("it's", "it's"),
        ("p@ss:/?#[]%+ &", "p@ss:/?#[]%+ &"),
        ('"a;b"', "a;b"),
        ('"a""b"', 'a"b'),
        ("'a''b'", "a'b"),
        ("'a\"b'", 'a"b'),
        ('  " padded "  ', " padded "),
        ('"a;Host=evil"', "a;Host=evil"),
        ("pässwörd✓", "pässwörd✓"),
    ],
)
def test_passwords_survive(written: str, password: str) -> None:
    arguments = understood(f"Host=db;Username=u;Password={written};Database=d")
    assert arguments == {"host": "db", "dbname": "d", "user": "u", "password": password}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Host=db", {"host": "db"}),
        ("Host=db;Password=", {"host": "db"}),
        ("Host=db;Username=u;Password=p;Password=", {"host": "db", "user": "u"}),
        ("Host=::1;Port=5433", {"host": "::1", "port": "5433"}),
        ("Host=[::1]:5433", {"host": "::1", "port": "5433"}),
        ("Host=/run/postgresql;Database=d", {"host": "/run/postgresql", "dbname": "d"}),
        ("Host=a:1,b;Port=2;Database=d", {"host": "a,b", "port": "1,2", "dbname": "d"}),
        ("Host=db;SSL Mode=VerifyFull", {"host": "db", "sslmode": "verify-full"}),
        ("Host=db;SslMode=require", {"host": "db", "sslmode": "require"}),
        ("Host=db;Timeout=15", {"host": "db", "connect_timeout": "15"}),
        (
            "Host=db;Root Certificate=/a b/ca.pem;Application Name=p&q",
            {"host": "db", "sslrootcert": "/a b/ca.pem", "application_name": "p&q"},
        ),
        ("Host=db;Database=a/b?c", {"host": "db", "dbname": "a/b?c"}),
    ],
)
def test_other_keys(text: str, expected: dict[str, str]) -> None:
    assert understood(text) == expected


def test_keys_without_use_are_noted_without_values() -> None:
    parsed = npgsql.parse(
        "Host=db;Maximum Pool Size=77;Pooling=true;hunter=2;Password=x;username=u"
    )
    assert parsed.notes == (
        "Maximum Pool Size is not used by PMS and is ignored",
        "Pooling is not used by PMS and is ignored",
        "the key of part 4 is not used by PMS and is ignored",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no Host"),
        ("Username=u", "has no Host"),
        ("Host=", "has no Host"),
        ("hunter2", "part 1 is not of the form Key=Value"),
        ("Host=db;hunter2", "part 2 is not of the form Key=Value"),
        ("Host=db;=hunter2", "part 2 is not of the form Key=Value"),
        ('Host=db;Password="hunter2', "quoted value of part 2"),
        ("Host=db;Password='hunter2' x", "quoted value of part 2"),
        ("Host=db;Password=hunter2", "a Password but no Username"),
        ("Host=db;Port=hunter2", "a Port that is not a whole number from 1 to 65535"),
        ("Host=db;Port=0", "a Port that"),
        ("Host=db;Port=65536", "a Port that"),
        ("Host=db;Timeout=-1", "a Timeout that"),
        ("Host=db;SSL Mode=hunter2", "an unknown SSL Mode; known are disable, allow"),
        ("Host=http://hunter2", "a Host that is neither"),
        ("Host=hunter2@db", "a Host that is neither"),
        ("Host=db:hunter2", "a Host that is neither"),
        ("Host=a,,b", "a Host that is neither"),
    ],
)
def test_errors_name_the_fault_and_no_value(text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        npgsql.parse(text)
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_password_is_not_in_the_representation() -> None:
    assert "hunter2" not in repr(npgsql.parse("Host=db;Username=u;Password=hunter2"))
