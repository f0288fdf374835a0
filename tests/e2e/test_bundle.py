"""The bundle of a system full of known secrets holds none of them."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from tests.e2e.conftest import OctoPrints
from tests.support.bundles import Bundle, lines_with
from tests.support.farm import Farm, endless_gcode
from tests.support.odd_server import OddServer, answer, says

WEB_TOKEN = "web-token-of-the-page"
FILE_SERVER_PASSWORD = "file/server+pass word"
ADDRESS_PASSWORD = 'octo:p@ss w"ord'
ODD_KEY = 'odd"key\\of<a>printer+&'
ENVIRONMENT_TOKEN = "token-of-another-service"
REMOVED_KEY = secrets.token_hex(16).upper()
SESSION = "b2c41f6b9e5d4a0f"
PERSON, E_MAIL = "Jane Q. Doe", "jane.doe+farm@uni.example.org"

#: What an OctoPrint, or what stands in its place, may answer.
TELLTALE = {
    "server": "1.11.8",
    "session": SESSION,
    "_is_external_client": True,
    "apikey": ODD_KEY,
    "api": {"key": ODD_KEY},
    "plugins": {"mail": {"recipient": E_MAIL, "smtp_password": "smtp-pass-word"}},
    "name": "jane",
    "job": {"user": "jane", "file": {"name": f"{ODD_KEY}.gcode", "origin": "local"}},
    "note": f"{PERSON} may be reached at http://jane:{FILE_SERVER_PASSWORD}@host/",
}


def plant(farm: Farm, known: list[str]) -> None:
    """Let the diary and the other tables of PMS tell all of it."""
    words = "\n".join(lines_with(known))
    with farm.database.connect() as connection:
        connection.execute("UPDATE pms_printers SET detail = %s, attention = %s", (words, words))
        connection.execute("UPDATE pms_jobs SET attention = %s", (words,))
        connection.execute("UPDATE pms_attempts SET error = %s", (words,))
        connection.execute(
            "INSERT INTO pms_events (at, kind, detail) VALUES (now(), %s, %s)",
            ("printer_error", f"{words} session={SESSION} {E_MAIL} {PERSON}"),
        )
        connection.execute("INSERT INTO users (name, org_id) VALUES (%s, %s)", (PERSON, "doe-4711"))


def test_the_bundle_of_a_system_full_of_secrets_holds_none(
    farm: Farm, octoprints: OctoPrints, tmp_path: Path
) -> None:
    (server,) = octoprints(1)
    body = json.dumps(TELLTALE).encode()
    with OddServer(says(answer("200 OK", body, "Content-Type: application/json"))) as odd:
        farm.add_printer("mk4-1", server)
        farm.add_printer("odd", server, address=odd.address, api_key="ODD-" + REMOVED_KEY[:20])
        farm.add_printer(
            "named", server, address=f"http://jane:{ADDRESS_PASSWORD}@10.0.0.7", api_key=ODD_KEY
        )
        farm.start(PMS_WEB_TOKEN=WEB_TOKEN)
        job = farm.pay(endless_gcode())
        farm.wait_for_prints(job, "printing")
        known = [
            server.api_key,
            "ODD-" + REMOVED_KEY[:20],
            ODD_KEY,
            ADDRESS_PASSWORD,
            WEB_TOKEN,
            FILE_SERVER_PASSWORD,
            ENVIRONMENT_TOKEN,
            farm.database.password,
            farm.broker.password,
        ]
        plant(farm, known)
        log = tmp_path / "coordinator.log"
        log.write_text(
            "\n".join(
                [
                    *farm.log_lines(),
                    *lines_with(known),
                    f"a removed printer's key {REMOVED_KEY}",
                    f'{{"session": "{SESSION}", "email": "{E_MAIL}"}} {PERSON} doe-4711',
                ]
            )
        )
        farm.coordinator.environment |= {
            "FILE_SERVER_BASE_URL": "http://jane:file%2Fserver%2Bpass%20word@127.0.0.1:9/files",
            "MY_TOKEN": ENVIRONMENT_TOKEN,
        }
        path = tmp_path / "report.zip"
        options = ("pms-probe", "bundle", str(path), "--log", str(log))
        shown = farm.coordinator.run(*options).stdout

    bundle = Bundle(path)
    private = [*known, REMOVED_KEY, SESSION, E_MAIL, PERSON, "doe-4711", "smtp-pass-word"]
    bundle.assert_without(private, shown)
    _still_helps(bundle, shown, job)


def _still_helps(bundle: Bundle, shown: str, job: int) -> None:
    """A bundle that is all stars would hold no secret either."""
    status: dict[str, Any] = bundle.json("status.json")
    states = {printer["name"]: printer["state"] for printer in status["printers"]}
    assert states["mk4-1"] == "printing"
    answers = bundle.json("octoprint/1.json")["answers"]
    assert answers["version"]["server"] == "1.11.8"
    assert answers["job"]["state"] == "Printing"
    assert answers["job"]["job"]["file"]["path"].startswith(f"pms/job-{job}_print-")
    assert "PRINT" in answers["currentuser"]["permissions"]
    assert bundle.json("octoprint/2.json")["answers"]["version"]["server"] == "1.11.8"
    assert "holds a user name or password" in bundle.json("octoprint/3.json")["answers"]["error"]
    assert [row["id"] for row in bundle.json("database/jobs.json")] == [job]
    assert bundle.json("database/pms_attempts.json")[0]["state"] == "printing"
    assert "coordinator_started" in bundle.texts["logs/1-coordinator.log.txt"]
    assert "could not be had: named: " in shown
    assert "octoprint/1.json" in shown
