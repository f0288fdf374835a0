"""`dead-letters …`: works on RabbitMQ, whether a coordinator runs or not."""

from __future__ import annotations

import argparse
from typing import Any

from pms.broker import dead_letters
from pms.broker.dead_letters import DeadLetter
from pms.cli.confirm import confirm
from pms.cli.output import add_row, count, moment, show, show_json, show_line, table
from pms.cli.session import read_settings
from pms.config import BrokerSettings
from pms.errors import RefusedError

#: A longer body is cut in the list.
BODY_CHARACTERS = 60


def list_letters(options: argparse.Namespace) -> int:
    """List the dead letters, the oldest first."""
    letters = dead_letters.list_all(_broker())
    if options.json:
        show_json([as_json(letter) for letter in letters])
    elif letters:
        _show_list(letters)
    else:
        show_line("there are no dead letters")
    return 0


def show_letter(options: argparse.Namespace) -> int:
    """Show one dead letter."""
    letter = as_json(dead_letters.show(_broker(), options.letter))
    if options.json:
        show_json(letter)
        return 0
    for fact, value in letter.items():
        show_line(f"{fact.replace('_', ' ')}: {value or '-'}")
    return 0


def requeue(options: argparse.Namespace) -> int:
    """Put dead letters back into the queue that they came from."""
    return _report(options, dead_letters.requeue(_broker(), _chosen(options)), "requeued")


def drop(options: argparse.Namespace) -> int:
    """Delete dead letters."""
    broker, chosen = _broker(), _chosen(options)
    if chosen is None:
        # Those that come while a person thinks were not meant.
        chosen = [letter.id for letter in dead_letters.list_all(broker)]
    if chosen:
        confirm(f"delete {count(len(chosen), 'dead letter')} for good", yes=options.yes)
    return _report(options, dead_letters.drop(broker, chosen), "dropped")


def as_json(letter: DeadLetter) -> dict[str, Any]:
    """The letter for programs; a body that is no text is shown as Python writes bytes."""
    try:
        body = letter.body.decode()
    except UnicodeDecodeError:
        body = repr(letter.body)
    return {
        "id": letter.id,
        "reason": letter.reason,
        "failed_at": letter.failed_at or None,
        "queue": letter.queue,
        "exchange": letter.exchange,
        "body": body,
    }


def _broker() -> BrokerSettings:
    broker = read_settings().broker
    if broker is None:
        raise RefusedError("there is no broker, and so no dead letters: RABBITMQ_HOST is not set")
    return broker


def _chosen(options: argparse.Namespace) -> list[str] | None:
    """The ids that were named; None: all."""
    return None if options.all else options.letters


def _show_list(letters: list[DeadLetter]) -> None:
    listed = table("Id", "Since", "Reason", "Body")
    for letter in letters:
        body = as_json(letter)["body"]
        shown = body if len(body) <= BODY_CHARACTERS else f"{body[: BODY_CHARACTERS - 1]}…"
        add_row(listed, letter.id, moment(letter.failed_at or None), letter.reason, shown)
    show(listed)


def _report(options: argparse.Namespace, number: int, verb: str) -> int:
    if options.json:
        show_json({verb: number})
    else:
        show_line(f"{verb} {count(number, 'dead letter')}")
    return 0
