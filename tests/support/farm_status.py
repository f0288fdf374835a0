"""What `status --json` says of farms that tests think of."""

from __future__ import annotations

from typing import Any


def printer(number: int, name: str, **values: Any) -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "model": "MK4",
        "enabled": True,
        "state": "idle",
        "bed": "clear",
        "worker_pid": 1000 + number,
        "restarts": 0,
        "print_id": None,
        "job_id": None,
        "progress": None,
        "eta_s": None,
        "temperatures": {},
        "last_seen_at": "2026-05-04T12:00:00+00:00",
        "detail": "",
        **values,
    }


def status(*printers: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {
        "coordinator": {
            "pid": 4711,
            "started_at": "2026-05-04T12:00:00+00:00",
            "database": "connected",
            "broker": "connected",
            "version": "0.1.0",
        },
        "printers": list(printers),
        "queue": [],
        "attention": [],
        **values,
    }


def big_farm(size: int) -> dict[str, Any]:
    """So many printers in all states, a long queue, and more to see to than fits a screen."""
    return status(
        *(_one_of_many(number) for number in range(1, size + 1)),
        queue=[
            {"print_id": 9000 + number, "job_id": number, "reason": f"reason {number % 9}"}
            for number in range(3 * size)
        ],
        attention=[
            *({"job_id": number, "text": "no reprints are left"} for number in range(30)),
            {"printer_id": 7, "text": "look at the bed, then clear it"},
        ],
    )


def _one_of_many(number: int) -> dict[str, Any]:
    name = f"mk4-{number}"
    match number % 10:
        case 0:
            return printer(number, name, state="unreachable", detail="does not answer")
        case 1:
            return printer(number, name, state="finished", bed="occupied", print_id=number)
        case 2:
            return printer(number, name, state="transferring", print_id=number, transfer=0.5)
        case 3:
            return printer(number, name, state="disabled", enabled=False)
        case 4 | 5:
            return printer(number, name)
        case _:
            return printer(
                number,
                name,
                state="printing",
                bed="occupied",
                print_id=number,
                job_id=number // 3,
                progress=0.25,
                eta_s=60.0 * (1000 - number),
                temperatures={"bed": {"actual": 60.0, "target": 60.0}},
            )
