"""What `pms-probe` decides by itself, as tables."""

from __future__ import annotations

import itertools
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from pms.bus.messages import Temperature
from pms.cli import probe_gcode, probe_print
from pms.cli.arguments import options_first
from pms.cli.confirm import confirm
from pms.cli.output import data_size
from pms.cli.probe import build_parser
from pms.cli.probe_belief import Belief, Unknown
from pms.cli.probe_cleaning import DAY_S, Unneeded, unneeded
from pms.cli.probe_dialogue import Dialogue
from pms.cli.probe_feed import Picture, calls_for_a_look, heard, notices
from pms.cli.probe_files import walk
from pms.cli.probe_orders import CONNECT_GRACE_S, Order, is_so, objection, outcome, question
from pms.cli.probe_sight import Sight, describe
from pms.cli.probe_upload import remote_path
from pms.domain.observation import ACTIVE, Activity, FileFacts, Observation
from pms.domain.states import AttemptState, Bed
from pms.errors import RefusedError
from pms.probe.latency import Latency, round_trips
from pms.store.attempts import Attempt
from pms.store.printers import PrinterRow
from workers.octoprint_answers import StoredFile
from workers.push_console import PushOccurred, PushTerminal
from workers.push_frames import PushChanged, PushClosed, PushOpened, PushSnapshot

OURS = "pms/job-7_print-12_try-1.gcode"
NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)

TEXTS = {
    Activity.DISCONNECTED: "Closed",
    Activity.ERROR: "Offline after error",
    Activity.CONNECTING: "Connecting",
    Activity.OPERATIONAL: "Operational",
    Activity.PRINTING: "Printing",
    Activity.PAUSED: "Paused",
    Activity.CANCELLING: "Cancelling",
    Activity.FINISHING: "Finishing",
    Activity.OTHER: "Printing from SD",
}


def seen(activity: Activity = Activity.OPERATIONAL, **changes: Any) -> Observation:
    return Observation(**{"activity": activity, "state_text": TEXTS[activity], **changes})


# -- arguments --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "ordered"),
    [
        ("url file", "url file"),
        ("url --key K file", "--key K url file"),
        ("--key K url --yes file", "--key K --yes url file"),
        ("url --key=K file", "--key=K url file"),
        ("url --yes file --key K", "--yes --key K url file"),
        ("url --unknown file", "--unknown url file"),
        ("url --key", "--key url"),
        ("url - file", "url - file"),
        ("url --yes -- --key K", "--yes -- url --key K"),
        ("", ""),
    ],
)
def test_options_come_before_words(arguments: str, ordered: str) -> None:
    assert options_first(arguments.split(), {"--key"}) == ordered.split()


@pytest.mark.parametrize(
    "line",
    [
        "upload http://a part.gcode --api-key K",
        "upload http://a --api-key K part.gcode",
        "upload --api-key K http://a part.gcode",
    ],
)
def test_options_may_stand_anywhere(line: str) -> None:
    options = build_parser().parse_args(line.split())
    assert (options.url, str(options.file), options.api_key) == ("http://a", "part.gcode", "K")


def test_a_printer_takes_the_place_of_the_url() -> None:
    for line in ("gcode --printer a M115", "gcode M115 --printer a"):
        options = build_parser().parse_args(line.split())
        assert (options.printer, options.url, options.command) == ("a", None, "M115")


@pytest.mark.parametrize(
    "line",
    [
        "state",
        "upload http://a --api-key K",
        "upload http://a --printer b part.gcode",
        "gcode http://a",
        "bench http://a --size 0",
        "gcode http://a M115 --timeout 0",
        "watch http://a --jsn",
        "explain job 1 2",
    ],
)
def test_wrong_usage(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args(line.split())
    command = line.partition(" ")[0]
    assert ended.value.code == 2
    assert f"usage: pms-probe {command} " in capsys.readouterr().err


def test_nobody_can_be_asked_where_stdin_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(RefusedError, match="nobody can be asked"):
        confirm("Do it", yes=False)


# -- orders -------------------------------------------------------------------------

DISCONNECTED, ERROR, CONNECTING, OPERATIONAL, PRINTING, PAUSED, CANCELLING, FINISHING, OTHER = (
    Activity
)

#: Order → the activities in which there is nothing to do, and those in which it may be given.
FITS: dict[Order, tuple[set[Activity], set[Activity]]] = {
    Order.PAUSE: ({PAUSED}, {PRINTING, OTHER}),
    Order.RESUME: ({PRINTING}, {PAUSED}),
    Order.CANCEL: (set(), {PRINTING, PAUSED, OTHER}),
    Order.CONNECT: (
        {OPERATIONAL, PRINTING, PAUSED, CANCELLING, FINISHING, OTHER},
        {DISCONNECTED, ERROR, CONNECTING},
    ),
    Order.DISCONNECT: ({DISCONNECTED, ERROR}, {CONNECTING, OPERATIONAL}),
}


@pytest.mark.parametrize(("order", "activity"), list(itertools.product(Order, Activity)))
def test_when_an_order_fits(order: Order, activity: Activity) -> None:
    already, fitting = FITS[order]
    assert is_so(order, seen(activity)) == (activity in already)
    if activity not in already:
        assert (objection(order, seen(activity)) is None) == (activity in fitting)


def test_a_print_that_is_still_pausing_cannot_be_resumed() -> None:
    pausing = seen(PRINTING, state_text="Pausing")
    assert not is_so(Order.RESUME, pausing)
    assert "still pausing" in (objection(Order.RESUME, pausing) or "")


@pytest.mark.parametrize("activity", sorted(ACTIVE))
def test_only_force_disconnects_from_a_print(activity: Activity) -> None:
    assert "--force" in (objection(Order.DISCONNECT, seen(activity)) or "")
    assert objection(Order.DISCONNECT, seen(activity), force=True) is None


#: Order → activity → what has become of it; what is not listed is waited for.
OUTCOMES: dict[Order, dict[Activity, bool]] = {
    Order.PAUSE: {
        PAUSED: True,
        DISCONNECTED: False,
        ERROR: False,
        CONNECTING: False,
        OPERATIONAL: False,
        CANCELLING: False,
        FINISHING: False,
    },
    Order.RESUME: {
        CONNECTING: True,
        OPERATIONAL: True,
        PRINTING: True,
        CANCELLING: True,
        FINISHING: True,
        OTHER: True,
        DISCONNECTED: False,
        ERROR: False,
    },
    Order.CANCEL: {DISCONNECTED: True, ERROR: True, CONNECTING: True, OPERATIONAL: True},
    Order.CONNECT: {
        OPERATIONAL: True,
        PRINTING: True,
        PAUSED: True,
        CANCELLING: True,
        FINISHING: True,
        OTHER: True,
    },
    Order.DISCONNECT: {DISCONNECTED: True, ERROR: True},
}


@pytest.mark.parametrize(("order", "activity"), list(itertools.product(Order, Activity)))
def test_what_becomes_of_an_order(order: Order, activity: Activity) -> None:
    assert outcome(order, seen(PAUSED), seen(activity), 0.0) is OUTCOMES[order].get(activity)


def test_a_print_that_pauses_again_has_been_resumed() -> None:
    assert outcome(Order.RESUME, seen(PAUSED, filepos=10), seen(PAUSED, filepos=10), 9.0) is None
    assert outcome(Order.RESUME, seen(PAUSED, filepos=10), seen(PAUSED, filepos=20), 9.0) is True


@pytest.mark.parametrize("activity", [DISCONNECTED, ERROR])
def test_a_connection_that_does_not_come_is_given_up(activity: Activity) -> None:
    late = CONNECT_GRACE_S
    assert outcome(Order.CONNECT, seen(DISCONNECTED), seen(activity), late - 0.1) is None
    assert outcome(Order.CONNECT, seen(DISCONNECTED), seen(activity), late) is False
    assert outcome(Order.CONNECT, seen(DISCONNECTED), seen(CONNECTING), late) is None


@pytest.mark.parametrize(
    ("order", "path", "words"),
    [
        (Order.CANCEL, OURS, "`pms-coordinator cancel`"),
        (Order.CANCEL, "a.gcode", "End the print of a.gcode on mk4-1"),
        (Order.RESUME, "a.gcode", "the bed must be empty"),
        (Order.PAUSE, None, "Pause the print of a file on mk4-1"),
        (Order.CONNECT, None, "Connect mk4-1"),
        (Order.DISCONNECT, None, "Disconnect mk4-1"),
    ],
)
def test_what_a_person_agrees_to(order: Order, path: str | None, words: str) -> None:
    assert words in question(order, path, "mk4-1")


# -- printing -----------------------------------------------------------------------


def belief(bed: Bed = Bed.CLEAR, state: AttemptState | None = None) -> Belief:
    printer = filled(PrinterRow, name="mk4-1", bed=bed)
    attempt = None if state is None else filled(Attempt, print_id=12, state=state)
    return Belief(printer=printer, attempt=attempt, events=[])


def filled(kind: type[Any], **values: Any) -> Any:
    """A row of which only some columns matter."""
    return kind(**(dict.fromkeys((field.name for field in fields(kind)), None) | values))


UNKNOWN = Unknown("PMS has no database here")


@pytest.mark.parametrize(
    ("path", "look", "believed", "words"),
    [
        ("a.gcode", seen(), UNKNOWN, None),
        ("a.gcode", seen(), Unknown("away", doubtful=True), None),
        ("a.gcode", seen(), belief(), None),
        (OURS, seen(), UNKNOWN, "is a copy's"),
        ("a.gcode", seen(), belief(Bed.OCCUPIED), "`pms-coordinator clear mk4-1`"),
        ("a.gcode", seen(), belief(state=AttemptState.STAGED), "print 12, which is staged"),
        ("a.gcode", seen(DISCONNECTED), UNKNOWN, "`pms-probe connect`"),
        ("a.gcode", seen(ERROR), UNKNOWN, "Offline after error"),
        ("a.gcode", seen(CONNECTING), UNKNOWN, "Connecting"),
        *[("a.gcode", seen(activity), UNKNOWN, "never disturbed") for activity in sorted(ACTIVE)],
    ],
)
def test_when_a_print_may_be_started(
    path: str, look: Observation, believed: Belief | Unknown, words: str | None
) -> None:
    reason = probe_print.objection(path, look, believed)
    assert reason is None if words is None else words in (reason or "")


FILE = FileFacts(path="a.gcode", size=10, sha1="s", successes=1)
AGAIN = FileFacts(path="a.gcode", size=10, sha1="s", successes=2)


@pytest.mark.parametrize(
    ("look", "started"),
    [
        (seen(PRINTING, path="a.gcode", file=FILE), True),
        (seen(FINISHING, path="a.gcode", file=FILE), True),
        (seen(OPERATIONAL, path="a.gcode", file=AGAIN), True),
        (seen(OPERATIONAL, path="a.gcode", file=FILE), False),
        (seen(PRINTING, path="b.gcode", file=FILE), False),
        (seen(OPERATIONAL), False),
    ],
)
def test_what_proves_a_start(look: Observation, started: bool) -> None:
    assert probe_print.started(look, FILE) is started


@pytest.mark.parametrize("activity", Activity)
def test_when_a_command_may_be_sent(activity: Activity) -> None:
    assert (probe_gcode.objection(seen(activity), force=False) is None) == (activity is OPERATIONAL)
    forced = probe_gcode.objection(seen(activity), force=True)
    assert (forced is None) == (activity is OPERATIONAL or activity in ACTIVE)


# -- the printer's answer -------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "lines", "answer"),
    [
        ("M115", "Send: M115|Recv: FIRMWARE_NAME:x|Recv: ok", ["FIRMWARE_NAME:x", "ok"]),
        ("m115 ; who?", "Send: m115|Recv: A|Recv: wait|Recv: ok P15", ["A", "ok P15"]),
        ("M105", "Send: M105|Recv: ok T:21.0 /0.0", ["ok T:21.0 /0.0"]),
        ("M114", "Send: N7 M114*39|Recv: X:0|Recv: ok", ["X:0", "ok"]),
        ("M115", "Send: M105|Send: M115|Recv: ok T:1|Recv: A|Recv: ok", ["A", "ok"]),
        ("M115", "Recv: T:1|Recv: ok|Send: M115|Recv: A|Recv: ok|Send: M1", ["A", "ok"]),
        ("M115", "Send: M115|Recv: A|Recv: ok|Send: M115|Recv: B|Recv: ok", ["A", "ok"]),
        ("M115", "Changed monitoring state|Send: M115|Recv: ok", ["ok"]),
    ],
)
def test_the_answer_is_found(command: str, lines: str, answer: list[str]) -> None:
    dialogue = Dialogue(command)
    for line in lines.split("|"):
        dialogue.take(line)
    assert dialogue.done
    assert dialogue.answer == answer


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("Recv: wait", "no sign of sending M115"),
        ("Send: M105|Recv: ok", "no sign of sending M115"),
        ("Send: M115", "not acknowledged M115 within 3 s"),
        ("Send: M115|Recv: A|Recv: B", "it said: A / B"),
    ],
)
def test_what_is_missing_of_an_answer(lines: str, words: str) -> None:
    dialogue = Dialogue("M115")
    for line in lines.split("|"):
        dialogue.take(line)
    assert not dialogue.done
    assert words in dialogue.complaint(3.0)


# -- files ----------------------------------------------------------------------------


def stored(path: str, days: float = 0.0, **prints: int) -> FileFacts:
    return FileFacts(
        path=path, size=10, sha1="s", uploaded_at=NOW.timestamp() - days * DAY_S, **prints
    )


PRINTED = {"successes": 1}


@pytest.mark.parametrize(
    ("file", "states", "reason"),
    [
        # Of others.
        (stored("a.gcode", 99, **PRINTED), {}, None),
        (stored("pms/a.gcode", 99, **PRINTED), None, None),
        # The database knows it.
        *[
            (stored(OURS, 99, **PRINTED), {OURS: state}, None)
            for state in AttemptState
            if state not in ("cleared", "failed", "cancelled", "returned")
        ],
        (stored(OURS), {OURS: AttemptState.CLEARED}, "its attempt is cleared"),
        (stored(OURS), {OURS: AttemptState.FAILED}, "its attempt is failed"),
        (stored(OURS), {OURS: AttemptState.CANCELLED}, "its attempt is cancelled"),
        (stored(OURS), {OURS: AttemptState.RETURNED}, "its attempt is returned"),
        # It does not, or there is none.
        *itertools.chain.from_iterable(
            [
                (stored(OURS), states, None),
                (stored(OURS, 6.9), states, None),
                (stored(OURS, 7.0), states, "7 days old"),
                (stored(OURS, **PRINTED), states, "printed before"),
                (stored(OURS, failures=1), states, "printed before"),
            ]
            for states in (None, {})
        ),
    ],
)
def test_which_files_are_not_needed(
    file: FileFacts, states: dict[str, AttemptState] | None, reason: str | None
) -> None:
    found = unneeded([file], None, states, NOW.timestamp())
    assert found == ([] if reason is None else [Unneeded(file.path, 10, reason)])
    assert unneeded([file], file.path, states, NOW.timestamp()) == []


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ("", "part.gcode"),
        ("other.gcode", "other.gcode"),
        ("/other.gcode", "other.gcode"),
        ("a/b/other.gcode", "a/b/other.gcode"),
        ("a/b/", "a/b/part.gcode"),
        ("/a/", "a/part.gcode"),
        ("/", "part.gcode"),
    ],
)
def test_where_a_file_goes(wanted: str, path: str) -> None:
    assert remote_path(wanted, "part.gcode") == path


def test_the_tree_has_folders_first_and_no_empty_ones() -> None:
    files = {path: StoredFile(path=path, size=1) for path in ("z", "pms/a", "pms/b")}
    empty = StoredFile(path="empty", type="folder")
    below = StoredFile(path="pms", type="folder", children=[files["pms/b"], files["pms/a"]])
    entries = [files["z"], empty, below]
    shown = {"z", "pms/a", "pms/b"}
    assert [(depth, entry.path) for depth, entry in walk(entries, shown)] == [
        (0, "pms"),
        (1, "pms/a"),
        (1, "pms/b"),
        (0, "z"),
    ]
    assert [entry.path for _, entry in walk(entries, {"z"})] == ["z"]


# -- watching ---------------------------------------------------------------------------

HEATERS = {"tool0": Temperature(actual=200.0, target=210.0)}
IDLE = Picture(sight=Sight(seen(), HEATERS))
SNAPSHOT = PushSnapshot(
    state_text="Printing", printing=True, paused=False, operational=True, path="a.gcode",
    progress=0.25, filepos=70,
)  # fmt: skip
LIVE = Picture(sight=IDLE.sight, live=True)
POLLED = Picture(sight=IDLE.sight, no_push="it broke")
PRINTS = Sight(seen(PRINTING, path="a.gcode", progress=0.25, filepos=70), HEATERS)


@pytest.mark.parametrize(
    ("before", "stimulus", "after"),
    [
        (IDLE, PushOpened(), LIVE),
        (POLLED, PushOpened(), LIVE),
        (LIVE, PushClosed(reason="it broke"), POLLED),
        (LIVE, SNAPSHOT, Picture(sight=PRINTS, live=True)),
        (LIVE, PushChanged(kind="PrintStarted"), LIVE),
        (LIVE, PushOccurred(kind="Home"), LIVE),
        (LIVE, PushTerminal(lines=("Recv: ok",)), LIVE),
    ],
)
def test_what_push_does_to_the_picture(before: Picture, stimulus: Any, after: Picture) -> None:
    assert heard(before, stimulus) == after


def test_heaters_that_are_not_told_again_stay_while_the_printer_is_connected() -> None:
    away = PushSnapshot(state_text="Offline", printing=False, paused=False, operational=False)
    gone = heard(LIVE, away)
    assert gone.sight == Sight(seen(DISCONNECTED, state_text="Offline"), {})
    # Asked for it, OctoPrint has another word.
    closed = Picture(sight=Sight(seen(DISCONNECTED), {}), live=True)
    assert heard(closed, away) == closed
    cold = {"tool0": Temperature(actual=20.0, target=0.0)}
    told = PushSnapshot(
        state_text="Operational", printing=False, paused=False, operational=True, heaters=cold
    )
    assert heard(LIVE, told).sight.heaters == cold


def test_an_errors_text_stays_as_long_as_the_error() -> None:
    failed = Picture(sight=Sight(seen(ERROR, error="too hot"), {}), live=True)
    same = PushSnapshot(
        state_text="Offline after error", printing=False, paused=False, operational=False
    )
    assert heard(failed, same) == failed
    assert heard(failed, SNAPSHOT).sight.seen.error == ""


@pytest.mark.parametrize(
    ("before", "after", "due"),
    [
        (IDLE, IDLE, False),
        (IDLE, LIVE, True),
        (LIVE, POLLED, False),
        (LIVE, Picture(sight=PRINTS, live=True), True),
    ],
)
def test_when_push_calls_for_a_look(before: Picture, after: Picture, due: bool) -> None:
    assert calls_for_a_look(before, after) is due


AWAY = Picture(sight=IDLE.sight, no_push="it broke", problem="refuses the connection")


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (IDLE, LIVE, []),
        (LIVE, LIVE, []),
        (IDLE, POLLED, ["no push, polling every 2 s: it broke"]),
        (LIVE, POLLED, ["no push, polling every 2 s: it broke"]),
        (POLLED, POLLED, []),
        (POLLED, LIVE, ["live through push again"]),
        (POLLED, AWAY, ["refuses the connection"]),
        (AWAY, AWAY, []),
        (AWAY, replace(AWAY, problem="gave no answer"), ["gave no answer"]),
        (AWAY, POLLED, ["OctoPrint answers again"]),
    ],
)
def test_what_a_watcher_is_told(before: Picture, after: Picture, lines: list[str]) -> None:
    assert notices(before, after) == lines


@pytest.mark.parametrize(
    ("look", "line"),
    [
        (seen(), "Operational"),
        (seen(PRINTING, path="a.gcode", progress=0.29), "Printing, a.gcode, 20 %"),
        (seen(PRINTING, path="a.gcode", progress=0.3), "Printing, a.gcode, 30 %"),
        (seen(ERROR, error="too hot"), "Offline after error, too hot"),
    ],
)
def test_a_sight_in_a_line(look: Observation, line: str) -> None:
    assert describe(Sight(look, HEATERS)) == line


# -- figures ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "figures"),
    [
        ([0.5], (1, 0.5, 0.5, 0.5)),
        ([0.3, 0.1, 0.2], (3, 0.1, 0.2, 0.3)),
        ([number / 1000 for number in range(1, 101)], (100, 0.001, 0.0505, 0.099)),
        ([number / 1000 for number in range(1, 201)], (200, 0.001, 0.1005, 0.198)),
    ],
)
def test_latency(samples: list[float], figures: tuple[float, ...]) -> None:
    latency = Latency.of(samples)
    assert (latency.count, latency.minimum_s, latency.median_s, latency.p99_s) == figures


def test_the_first_round_trip_is_not_counted() -> None:
    calls = itertools.count(1)
    assert round_trips(lambda: next(calls), 5).count == 5
    assert next(calls) == 7


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (5 * 1024**2, "5.0 MiB"),
        (3 * 1024**3, "3.0 GiB"),
        (5 * 1024**4, "5120.0 GiB"),
    ],
)
def test_sizes(size: int, words: str) -> None:
    assert data_size(size) == words
