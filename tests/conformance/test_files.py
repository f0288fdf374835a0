"""Files: taking them in, showing them, copying, moving and deleting them."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from pms.demo.octoprint_client import OctoPrintClient
from tests.conformance.values import DWELL, LONG, NOT_FOUND, NUMBER, TEXT, selected, sha1
from tests.support.waiting import wait_until


def upload(
    octoprint: OctoPrintClient, name: str, content: bytes = DWELL, **fields: str
) -> tuple[int, Any]:
    """The bare answer to an upload."""
    return octoprint.request(
        "POST", "/api/files/local", files={"file": (name, content)}, data=fields
    )


def info(octoprint: OctoPrintClient, path: str) -> tuple[int, Any]:
    return octoprint.request("GET", f"/api/files/local/{path}?force=true&recursive=true")


def uploaded(octoprint: OctoPrintClient, path: str, **effects: bool) -> dict[str, Any]:
    """The answer to a good upload."""
    return {
        "done": True,
        "effectivePrint": False,
        "effectiveSelect": False,
        "files": {
            "local": {
                "name": path.rpartition("/")[2],
                "origin": "local",
                "path": path,
                "refs": refs(octoprint, path),
            }
        },
    } | effects


def refs(octoprint: OctoPrintClient, path: str) -> dict[str, str]:
    return {
        "download": f"{octoprint.url}/downloads/files/local/{path}",
        "resource": f"{octoprint.url}/api/files/local/{path}",
    }


def stored(octoprint: OctoPrintClient, path: str, content: bytes) -> dict[str, Any]:
    """How a file is shown that has never been printed."""
    name = path.rpartition("/")[2]
    return {
        "date": NUMBER,
        "display": name,
        "hash": sha1(content),
        "name": name,
        "origin": "local",
        "path": path,
        "refs": refs(octoprint, path),
        "size": len(content),
        "type": "machinecode",
        "typePath": ["machinecode", "gcode"],
        "user": "admin",
    }


def folder(octoprint: OctoPrintClient, path: str, children: list[dict[str, Any]]) -> dict[str, Any]:
    name = path.rpartition("/")[2]
    return {
        "children": children,
        "date": NUMBER,
        "display": name,
        "name": name,
        "origin": "local",
        "path": path,
        "prints": {"failure": 0, "success": 0},
        "refs": {"resource": TEXT},
        "size": sum(child["size"] for child in children),
        "type": "folder",
        "typePath": ["folder"],
    }


# -- uploads --------------------------------------------------------------------------


def test_stores_a_file_under_a_name_that_it_makes_safe(octoprint: OctoPrintClient) -> None:
    for name, fields, path in (
        ("a.gcode", {}, "a.gcode"),
        ("a.gcode", {"path": "pms/jobs"}, "pms/jobs/a.gcode"),
        ("b.gcode", {"path": "/pms/"}, "pms/b.gcode"),
        ("c.gcode", {"path": "x/../pms"}, "pms/c.gcode"),
        ("UPPER.GCODE", {}, "UPPER.GCODE"),
        ("a.gco", {}, "a.gco"),
        ("a.g", {}, "a.g"),
        ("with space.gcode", {}, "with space.gcode"),
        ("a:b*c?d<e>f|g.gcode", {}, "abcdefg.gcode"),
        (".hidden.gcode", {}, "hidden.gcode"),
        ("con.gcode", {}, "con_.gcode"),
        ("Teil-Größe.gcode", {}, "Teil-Größe.gcode"),
        ("file.gcode", {"filename": "other.gcode"}, "other.gcode"),
    ):
        status, answer = upload(octoprint, name, **fields)
        assert (status, answer["files"]["local"]["path"]) == (201, path), name
        assert info(octoprint, path)[1]["path"] == path


def test_answers_where_the_file_is(octoprint: OctoPrintClient) -> None:
    assert upload(octoprint, "a.gcode", path="pms") == (201, uploaded(octoprint, "pms/a.gcode"))
    assert info(octoprint, "pms/a.gcode") == (200, stored(octoprint, "pms/a.gcode", DWELL))


def test_refuses_names_that_it_does_not_like(octoprint: OctoPrintClient) -> None:
    for name, fields, status, error in (
        ("a.txt", {}, 415, "Could not upload file, invalid type"),
        ("a.gcode.gz", {}, 415, "Could not upload file, invalid type"),
        ("a", {}, 415, "Could not upload file, invalid type"),
        ("a.gcode", {"path": "../../etc"}, 400, "Can not upload file, invalid file name"),
        ("a.gcode", {"filename": "a\\b.gcode"}, 400, "Can not upload file, invalid file name"),
        ("a.gcode", {"userdata": "{"}, 400, "userdata contains invalid JSON"),
    ):
        answer = upload(octoprint, name, **fields)
        assert answer == (status, {"error": error}), (name, fields)
    assert octoprint.request("GET", "/api/files/local?recursive=true")[1]["files"] == []


def test_refuses_a_body_without_a_length(octoprint: OctoPrintClient) -> None:
    answer = requests.post(
        f"{octoprint.url}/api/files/local",
        data=iter([b"some", b"thing"]),
        headers={
            "X-Api-Key": octoprint.api_key,
            "Content-Type": "multipart/form-data; boundary=x",
        },
        timeout=10,
    )
    assert answer.status_code == 411


def test_refuses_a_form_without_a_file(octoprint: OctoPrintClient) -> None:
    error = "No file to upload and no folder to create"
    answer = octoprint.request("POST", "/api/files/local", files={"other": (None, "x")})
    assert answer == (400, {"error": error})
    file = {"file": ("a.gcode", DWELL)}
    assert octoprint.request("POST", "/api/files/elsewhere", files=file) == (404, NOT_FOUND)


def test_takes_big_files(octoprint: OctoPrintClient) -> None:
    content = b"; as long as a file for a real part\nG1 X1 Y1 E1\n" * 100_000
    octoprint.upload("big.gcode", content)
    assert info(octoprint, "big.gcode") == (200, stored(octoprint, "big.gcode", content))
    status, downloaded = octoprint.request("GET", "/downloads/files/local/big.gcode")
    assert (status, sha1(downloaded.encode())) == (200, sha1(content))


def test_keeps_what_somebody_wants_to_know_of_a_file(octoprint: OctoPrintClient) -> None:
    upload(octoprint, "a.gcode", userdata='{"job": 7}')
    assert info(octoprint, "a.gcode")[1]["userdata"] == {"job": 7}


def test_overwrites_unless_told_otherwise(octoprint: OctoPrintClient) -> None:
    octoprint.upload("a.gcode", DWELL)
    refusal = {"error": "File already exists and noOverwrite was set"}
    assert upload(octoprint, "a.gcode", LONG, noOverwrite="true") == (409, refusal)
    assert info(octoprint, "a.gcode")[1]["size"] == len(DWELL)
    assert upload(octoprint, "a.gcode", LONG)[0] == 201
    assert info(octoprint, "a.gcode") == (200, stored(octoprint, "a.gcode", LONG))


def test_selects_what_was_uploaded(octoprint: OctoPrintClient) -> None:
    answer = upload(octoprint, "a.gcode", LONG, select="true")
    assert answer == (201, uploaded(octoprint, "a.gcode", effectiveSelect=True))
    wait_until(lambda: octoprint.job()["job"]["file"]["path"], 5.0, "the selection")
    assert octoprint.job()["job"] == selected("a.gcode", len(LONG))


def test_prints_what_was_uploaded(octoprint: OctoPrintClient) -> None:
    assert upload(octoprint, "a.gcode", LONG, print="on") == (201, uploaded(octoprint, "a.gcode"))
    answer = upload(octoprint, "a.gcode", LONG, print="yes")
    assert answer == (201, uploaded(octoprint, "a.gcode", effectivePrint=True))
    octoprint.wait_state("Printing")


def test_takes_files_while_it_prints_another_one(octoprint: OctoPrintClient) -> None:
    octoprint.upload("a.gcode", LONG)
    octoprint.select_and_print("a.gcode")
    octoprint.wait_state("Printing")
    busy = {"error": "Trying to overwrite file that is currently being printed"}
    assert upload(octoprint, "a.gcode", LONG) == (409, busy)
    assert upload(octoprint, "b.gcode", LONG, print="true") == (201, uploaded(octoprint, "b.gcode"))
    assert octoprint.job()["job"]["file"]["path"] == "a.gcode"
    octoprint.request("POST", "/api/job", {"command": "pause", "action": "pause"})
    octoprint.wait_state("Paused")
    assert upload(octoprint, "a.gcode", LONG) == (409, busy)


def test_takes_files_without_a_printer(octoprint: OctoPrintClient) -> None:
    octoprint.request("POST", "/api/connection", {"command": "disconnect"})
    octoprint.wait_state("Closed")
    answer = upload(octoprint, "a.gcode", LONG, print="true", select="true")
    assert answer == (201, uploaded(octoprint, "a.gcode"))


# -- what is there --------------------------------------------------------------------


def test_lists_files_and_folders(octoprint: OctoPrintClient) -> None:
    for path in ("a.gcode", "pms/b.gcode", "pms/deep/c.gcode"):
        octoprint.upload(path, DWELL)
    deep = folder(octoprint, "pms/deep", [stored(octoprint, "pms/deep/c.gcode", DWELL)])
    pms = folder(octoprint, "pms", [stored(octoprint, "pms/b.gcode", DWELL), deep])
    top = stored(octoprint, "a.gcode", DWELL)
    for path in ("/api/files/local", "/api/files"):
        status, answer = octoprint.request("GET", f"{path}?recursive=true&force=true")
        assert (status, by_path(answer["files"])) == (200, by_path([top, pms]))
        assert (answer["free"], answer["total"]) == (NUMBER, NUMBER)
    status, answer = info(octoprint, "pms")
    assert (status, by_path([answer])) == (200, by_path([pms]))
    status, answer = octoprint.request("GET", "/api/files/local?force=true")
    shallow = {each["path"]: "children" in each and each["children"] for each in answer["files"]}
    assert shallow == {"a.gcode": False, "pms": []}


def by_path(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The order within a folder is the disk's."""
    return [
        entry | ({"children": by_path(entry["children"])} if "children" in entry else {})
        for entry in sorted(entries, key=lambda entry: str(entry["path"]))
    ]


def test_says_that_there_is_no_such_file(octoprint: OctoPrintClient) -> None:
    octoprint.upload("pms/a.gcode", DWELL)
    assert info(octoprint, "none.gcode") == (404, NOT_FOUND)
    assert info(octoprint, "pms/none.gcode") == (404, NOT_FOUND)
    # A folder that does not exist is a defect of OctoPrint's.
    assert info(octoprint, "nowhere/none.gcode")[0] == 500
    assert octoprint.request("DELETE", "/api/files/local/none.gcode") == (404, NOT_FOUND)
    assert octoprint.request("GET", "/downloads/files/local/none.gcode")[0] == 404


def test_gives_a_file_back(octoprint: OctoPrintClient) -> None:
    octoprint.upload("pms/a.gcode", DWELL)
    status, content = octoprint.request("GET", "/downloads/files/local/pms/a.gcode")
    assert (status, content) == (200, DWELL.decode())


# -- copying, moving, deleting --------------------------------------------------------


@pytest.mark.parametrize("command", ["copy", "move"])
def test_copies_and_moves(octoprint: OctoPrintClient, command: str) -> None:
    octoprint.upload("pms/a.gcode", DWELL)
    octoprint.upload("taken.gcode", DWELL)

    def to(destination: str) -> tuple[int, Any]:
        body = {"command": command, "destination": destination}
        return octoprint.request("POST", "/api/files/local/pms/a.gcode", body)

    assert to("taken.gcode") == (409, {"error": "File or folder does already exist"})
    error = f"Could not {command} pms/a.gcode to nowhere/b.gcode"
    assert to("nowhere/b.gcode") == (500, {"error": error})
    status, answer = to("pms/b.gcode")
    assert (status, answer["path"], answer["name"]) == (201, "pms/b.gcode", "a.gcode")
    assert answer["refs"] == refs(octoprint, "pms/b.gcode")
    assert info(octoprint, "pms/b.gcode") == (200, stored(octoprint, "pms/b.gcode", DWELL))
    assert info(octoprint, "pms/a.gcode")[0] == (200 if command == "copy" else 404)


def test_a_copy_inherits_the_history(octoprint: OctoPrintClient) -> None:
    octoprint.upload("a.gcode", DWELL)
    octoprint.select_and_print("a.gcode")
    wait_until(lambda: "prints" in info(octoprint, "a.gcode")[1], 10.0, "the history")
    copy = {"command": "copy", "destination": "b.gcode"}
    assert octoprint.request("POST", "/api/files/local/a.gcode", copy)[0] == 201
    prints = info(octoprint, "b.gcode")[1]["prints"]
    assert prints == info(octoprint, "a.gcode")[1]["prints"]
    octoprint.wait_state("Operational")
    octoprint.select_and_print("b.gcode")
    wait_until(lambda: info(octoprint, "b.gcode")[1]["prints"] != prints, 10.0, "another print")
    assert info(octoprint, "a.gcode")[1]["prints"] == prints


def test_deletes_files_and_folders(octoprint: OctoPrintClient) -> None:
    for path in ("a.gcode", "pms/b.gcode", "pms/c.gcode"):
        octoprint.upload(path, DWELL)
    assert octoprint.request("DELETE", "/api/files/local/a.gcode") == (204, None)
    assert octoprint.request("DELETE", "/api/files/local/pms/b.gcode") == (204, None)
    assert info(octoprint, "pms/b.gcode") == (404, NOT_FOUND)
    assert octoprint.request("DELETE", "/api/files/local/pms") == (204, None)
    assert octoprint.request("GET", "/api/files/local?recursive=true")[1]["files"] == []


def test_deletes_nothing_that_is_printed(octoprint: OctoPrintClient) -> None:
    octoprint.upload("pms/a.gcode", LONG)
    octoprint.select_and_print("pms/a.gcode")
    octoprint.wait_state("Printing")
    file = {"error": "Trying to delete a file that is currently in use"}
    around = {"error": "Trying to delete a folder that contains a file that is currently in use"}
    moved = {"error": "Trying to move a file or folder that is currently in use"}
    assert octoprint.request("DELETE", "/api/files/local/pms/a.gcode") == (409, file)
    assert octoprint.request("DELETE", "/api/files/local/pms") == (409, around)
    move = {"command": "move", "destination": "b.gcode"}
    assert octoprint.request("POST", "/api/files/local/pms/a.gcode", move) == (409, moved)


def test_a_selected_file_may_be_deleted(octoprint: OctoPrintClient) -> None:
    octoprint.upload("a.gcode", LONG, select="true")
    wait_until(lambda: octoprint.job()["job"]["file"]["path"], 5.0, "the selection")
    assert octoprint.request("DELETE", "/api/files/local/a.gcode") == (204, None)
    wait_until(lambda: not octoprint.job()["job"]["file"]["path"], 5.0, "no selection")
