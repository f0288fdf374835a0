"""Messages that PMS cannot act on: seen, tried again and dropped with the commands."""

from __future__ import annotations

from typing import Any

from tests.support.coordinator import COMMANDS
from tests.support.farm import TIMEOUT_S, Farm
from tests.support.terminal import Terminal
from tests.support.waiting import wait_until

DROP = [COMMANDS / "pms-coordinator", "dead-letters", "drop"]


def letters(farm: Farm) -> dict[str, dict[str, Any]]:
    """The dead letters by their bodies."""
    return {each["body"]: each for each in farm.coordinator.json("dead-letters", "list")}


def test_dead_letters_are_seen_tried_again_and_dropped(farm: Farm) -> None:
    run = farm.coordinator.run
    farm.start()
    first = farm.add_job(None, job_status="received", paid=False)
    unborn = b'{"JobId": %d}' % (first + 1)
    farm.broker.publish_job_paid(b"no JSON", b"neither \x1b[2J", unborn)
    wait_until(lambda: len(letters(farm)) == 3, TIMEOUT_S, "three dead letters")
    # Who lists takes nothing away.
    found = letters(farm)
    assert len(letters(farm)) == 3

    bad, missing = found["no JSON"], found[unborn.decode()]
    assert missing["reason"] == f"there is no print job {first + 1}"
    assert missing["queue"] == "JobPaid"
    assert farm.coordinator.json("dead-letters", "show", missing["id"]) == missing
    shown = run("dead-letters", "list").stdout
    assert bad["id"] in shown
    assert "\x1b" not in shown + run("dead-letters", "show", found["neither \x1b[2J"]["id"]).stdout

    # A job that the sweep does not find by itself, because nobody has approved it yet.
    job = farm.add_job(None, job_status="received")
    assert job == first + 1
    assert run("dead-letters", "requeue", missing["id"]).stdout == "requeued 1 dead letter\n"
    farm.wait_for_prints(job, "pending")
    assert farm.broker.queue_depth("EmailJobPaid") == 3

    refused = run("dead-letters", "drop", "--all", check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "add --yes" in refused.stderr
    with Terminal([*DROP, bad["id"]], farm.coordinator.environment) as terminal:
        terminal.wait_for("delete 1 dead letter for good")
        terminal.press("n\n")
        assert terminal.wait_for_exit() == 1
    assert letters(farm).keys() == {"no JSON", "neither \x1b[2J"}
    with Terminal([*DROP, "--all"], farm.coordinator.environment) as terminal:
        terminal.wait_for("delete 2 dead letters for good")
        terminal.press("y\n")
        assert terminal.wait_for_exit() == 0
    assert run("dead-letters", "list").stdout == "there are no dead letters\n"
    assert farm.coordinator.json("dead-letters", "drop", "--all") == {"dropped": 0}


def test_without_a_broker_or_a_letter_the_remedy_is_named(farm: Farm) -> None:
    done = farm.coordinator.run("dead-letters", "show", "nope", check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "there is no dead letter nope" in done.stderr
    del farm.coordinator.environment["RABBITMQ_HOST"]
    done = farm.coordinator.run("dead-letters", "list", check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "RABBITMQ_HOST is not set" in done.stderr
