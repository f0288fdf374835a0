"""The reconciliation table: every pair of belief and observation has its row."""

from __future__ import annotations

from typing import Any

import pytest

from pms.domain.observation import Activity, FileFacts, Observation
from pms.domain.reconciliation import (
    Belief,
    Verdict,
    is_ours,
    reconcile,
    remote_path,
)
from pms.domain.states import AttemptState

PATH = "pms/job-1_print-2_try-1.gcode"
OTHER = "somebody.gcode"
SHA1 = "a" * 40
S = AttemptState
A = Activity
V = Verdict


def fresh(**changes: Any) -> FileFacts:
    return FileFacts(path=PATH, **{"size": 100, "sha1": SHA1, **changes})


SUCCESS = fresh(successes=1, last_success=True, last_print_time_s=12.0)
NOTHING_PRINTED = fresh(successes=1, last_success=True)
FAILURE = fresh(failures=1, last_success=False)
OTHER_CONTENT = fresh(sha1="b" * 40)


def belief(state: AttemptState, **changes: Any) -> Belief:
    known: dict[str, Any] = {"size": 100, "sha1": SHA1, "finish_marker": 90}
    return Belief(state=state, path=PATH, **{**known, **changes})


def seen(
    activity: Activity, file: FileFacts | None = None, path: str | None = PATH, **changes: Any
) -> Observation:
    return Observation(activity=activity, path=path, file=file, **changes)


UNSTARTED = [S.CLAIMED, S.TRANSFERRING, S.STAGED]
RUNNING = [S.PRINTING, S.PAUSED]


@pytest.mark.parametrize("state", UNSTARTED)
@pytest.mark.parametrize(
    ("observation", "verdict"),
    [
        (seen(A.OPERATIONAL, None, path=None), V.UPLOAD),
        (seen(A.OPERATIONAL, OTHER_CONTENT, path=None), V.UPLOAD),
        (seen(A.OPERATIONAL, fresh(sha1=None), path=None), V.UPLOAD),
        (seen(A.OPERATIONAL, fresh(), path=None), V.STAGED),
        (seen(A.OPERATIONAL, fresh(), path=PATH), V.STAGED),
        (seen(A.PRINTING, fresh(), path=OTHER), V.RETURNED),
        (seen(A.PAUSED, None, path=OTHER), V.RETURNED),
        # Somebody was faster than PMS: the safe reading is that the copy was started.
        (seen(A.PRINTING, fresh()), V.STARTED),
        (seen(A.OPERATIONAL, SUCCESS), V.FINISHED),
        (seen(A.OPERATIONAL, FAILURE), V.FAILED),
    ],
)
def test_a_copy_that_has_not_started(
    state: AttemptState, observation: Observation, verdict: Verdict
) -> None:
    assert reconcile(belief(state), observation).verdict is verdict


@pytest.mark.parametrize(
    ("same_server", "observation", "verdict", "certain"),
    [
        (True, seen(A.PRINTING, fresh()), V.STARTED, True),
        (False, seen(A.PRINTING, fresh()), V.STARTED, True),
        (False, seen(A.PAUSED, fresh(), filepos=95), V.STARTED, True),
        (False, seen(A.FINISHING, fresh()), V.STARTED, True),
        (True, seen(A.OPERATIONAL, SUCCESS), V.FINISHED, True),
        (False, seen(A.OPERATIONAL, SUCCESS), V.FINISHED, True),
        (True, seen(A.OPERATIONAL, NOTHING_PRINTED), V.FAILED, True),
        (True, seen(A.OPERATIONAL, FAILURE), V.FAILED, True),
        (True, seen(A.ERROR, FAILURE, path=None), V.FAILED, True),
        # Never printed and does not print: only of the same server it is known for sure, and
        # only of a file that is still selected.
        (True, seen(A.OPERATIONAL, fresh()), V.START_AGAIN, False),
        (True, seen(A.OPERATIONAL, fresh(), path=None), V.ASK_PERSON, False),
        (True, seen(A.OPERATIONAL, fresh(), path=OTHER), V.ASK_PERSON, False),
        (False, seen(A.OPERATIONAL, fresh()), V.ASK_PERSON, False),
        (False, seen(A.OPERATIONAL, fresh(), path=None), V.ASK_PERSON, False),
        (True, seen(A.OPERATIONAL, None), V.ASK_PERSON, False),
        (False, seen(A.PRINTING, fresh(), path=OTHER), V.ASK_PERSON, False),
        (True, seen(A.PRINTING, fresh(), path=OTHER), V.ASK_PERSON, False),
        # A pause and a lost connection leave no trace in the history.
        (True, seen(A.DISCONNECTED, fresh(), path=None), V.FAILED, False),
        (True, seen(A.ERROR, fresh(), path=None), V.FAILED, False),
        (True, seen(A.CONNECTING, fresh(), path=None), V.UNCHANGED, True),
        # A person is not asked before OctoPrint was, whether it remembers.
        (None, seen(A.OPERATIONAL, fresh()), V.PROVE_SERVER, False),
        (None, seen(A.OPERATIONAL, fresh(), path=None), V.ASK_PERSON, False),
        (None, seen(A.PRINTING, fresh(), path=OTHER), V.ASK_PERSON, False),
        (None, seen(A.OPERATIONAL, None), V.ASK_PERSON, False),
        (None, seen(A.PRINTING, fresh()), V.STARTED, True),
        (None, seen(A.OPERATIONAL, SUCCESS), V.FINISHED, True),
        (None, seen(A.ERROR, fresh(), path=None), V.FAILED, False),
    ],
)
def test_a_start_whose_outcome_is_open(
    same_server: bool | None, observation: Observation, verdict: Verdict, certain: bool
) -> None:
    conclusion = reconcile(belief(S.STARTING, same_server=same_server), observation)
    assert (conclusion.verdict, conclusion.certain) == (verdict, certain)


@pytest.mark.parametrize("same_server", [True, False, None])
@pytest.mark.parametrize(
    ("observation", "verdict"),
    [
        (seen(A.OPERATIONAL, fresh()), V.RETURNED),
        (seen(A.OPERATIONAL, None, path=None), V.RETURNED),
        (seen(A.PRINTING, fresh(), path=OTHER), V.RETURNED),
        (seen(A.DISCONNECTED, fresh(), path=None), V.RETURNED),
        # It was refused because somebody else had started this very file.
        (seen(A.PRINTING, fresh()), V.STARTED),
        (seen(A.OPERATIONAL, SUCCESS), V.FINISHED),
        (seen(A.OPERATIONAL, FAILURE), V.FAILED),
    ],
)
def test_a_start_that_was_refused(
    observation: Observation, verdict: Verdict, same_server: bool | None
) -> None:
    believed = belief(S.STARTING, same_server=same_server, start_refusal="409")
    conclusion = reconcile(believed, observation)
    assert (conclusion.verdict, conclusion.certain) == (verdict, True)


@pytest.mark.parametrize("state", RUNNING)
@pytest.mark.parametrize(
    ("observation", "verdict", "certain"),
    [
        (seen(A.PAUSED, fresh(), filepos=90), V.FINISHED, True),
        (seen(A.PAUSED, fresh(), filepos=99), V.FINISHED, True),
        (seen(A.FINISHING, fresh()), V.UNCHANGED, True),
        (seen(A.CANCELLING, fresh()), V.UNCHANGED, True),
        (seen(A.OPERATIONAL, SUCCESS), V.FINISHED, True),
        (seen(A.PRINTING, SUCCESS, path=OTHER), V.FINISHED, True),
        (seen(A.OPERATIONAL, NOTHING_PRINTED), V.FAILED, True),
        (seen(A.OPERATIONAL, FAILURE), V.FAILED, True),
        (seen(A.ERROR, FAILURE, path=None), V.FAILED, True),
        (seen(A.DISCONNECTED, fresh(), path=None), V.FAILED, False),
        (seen(A.ERROR, fresh(), path=None), V.FAILED, False),
        # The server was restarted, or its history lags behind by some milliseconds.
        (seen(A.OPERATIONAL, fresh(), path=None), V.FAILED, False),
        (seen(A.OPERATIONAL, fresh()), V.FAILED, False),
        (seen(A.PRINTING, fresh(), path=OTHER), V.FAILED, False),
        # Another server, which cannot know what the printer does that was asked.
        (seen(A.OPERATIONAL, None, path=None), V.ASK_PERSON, False),
        (seen(A.PRINTING, None, path=OTHER), V.ASK_PERSON, False),
        (seen(A.DISCONNECTED, None, path=None), V.ASK_PERSON, False),
        (seen(A.CONNECTING, None, path=None), V.UNCHANGED, True),
        (seen(A.CONNECTING, fresh(), path=None), V.UNCHANGED, True),
    ],
)
def test_a_print_that_runs(
    state: AttemptState, observation: Observation, verdict: Verdict, certain: bool
) -> None:
    conclusion = reconcile(belief(state), observation)
    assert (conclusion.verdict, conclusion.certain) == (verdict, certain)


@pytest.mark.parametrize(
    ("state", "observation", "verdict"),
    [
        (S.PRINTING, seen(A.PRINTING, fresh(), filepos=40), V.UNCHANGED),
        (S.PRINTING, seen(A.PAUSED, fresh(), filepos=40), V.PAUSED),
        (S.PRINTING, seen(A.PAUSED, fresh(), filepos=None), V.PAUSED),
        (S.PAUSED, seen(A.PAUSED, fresh(), filepos=40), V.UNCHANGED),
        (S.PAUSED, seen(A.PRINTING, fresh(), filepos=40), V.RESUMED),
    ],
)
def test_pause_and_resume(state: AttemptState, observation: Observation, verdict: Verdict) -> None:
    assert reconcile(belief(state), observation).verdict is verdict


def test_without_a_marker_every_pause_is_only_a_pause() -> None:
    believed = belief(S.PRINTING, finish_marker=None)
    paused = seen(A.PAUSED, fresh(), filepos=100)
    assert reconcile(believed, paused).verdict is V.PAUSED


@pytest.mark.parametrize(
    ("paused_at_marker", "observation", "verdict"),
    [
        (True, seen(A.PAUSED, fresh(), filepos=90), V.UNCHANGED),
        (True, seen(A.PRINTING, fresh(), filepos=95), V.UNCHANGED),
        (True, seen(A.FINISHING, fresh()), V.UNCHANGED),
        (True, seen(A.OPERATIONAL, SUCCESS), V.CLEARED),
        # Somebody ended it at its marker; or the printer was switched off and on.
        (True, seen(A.OPERATIONAL, FAILURE), V.UNCHANGED),
        # The connection was lost while the part lay there: nobody has taken it off.
        (True, seen(A.DISCONNECTED, fresh(), path=None), V.UNCHANGED),
        (True, seen(A.OPERATIONAL, fresh(), path=None), V.UNCHANGED),
        # Done without a pause at the marker: the part lies there until a person says otherwise.
        (False, seen(A.OPERATIONAL, SUCCESS), V.UNCHANGED),
        (False, seen(A.OPERATIONAL, fresh(), path=None), V.UNCHANGED),
        (False, seen(A.PRINTING, SUCCESS, path=OTHER), V.UNCHANGED),
    ],
)
def test_a_finished_part_on_the_bed(
    paused_at_marker: bool, observation: Observation, verdict: Verdict
) -> None:
    believed = belief(S.FINISHED, paused_at_marker=paused_at_marker)
    assert reconcile(believed, observation).verdict is verdict


@pytest.mark.parametrize("tail_ran", [True, False])
@pytest.mark.parametrize(
    ("observation", "verdict"),
    [
        (seen(A.PAUSED, fresh(), filepos=90), V.UNCHANGED),
        (seen(A.PRINTING, fresh(), filepos=95), V.UNCHANGED),
        (seen(A.FINISHING, SUCCESS), V.UNCHANGED),
        (seen(A.OPERATIONAL, SUCCESS), V.CLEARED),
        (seen(A.PRINTING, SUCCESS, path=OTHER), V.CLEARED),
        # Whatever became of the file: a person has seen the bed empty.
        (seen(A.OPERATIONAL, FAILURE), V.CLEARED),
        (seen(A.OPERATIONAL, fresh(), path=None), V.CLEARED),
        (seen(A.OPERATIONAL, None, path=None), V.CLEARED),
        (seen(A.DISCONNECTED, fresh(), path=None), V.CLEARED),
        (seen(A.CONNECTING, fresh(), path=None), V.CLEARED),
    ],
)
def test_a_bed_that_a_person_has_cleared(
    observation: Observation, verdict: Verdict, tail_ran: bool
) -> None:
    believed = belief(S.FINISHED, clearing=True, cleared_by_person=True, tail_ran=tail_ran)
    conclusion = reconcile(believed, observation)
    assert (conclusion.verdict, conclusion.certain) == (verdict, True)


@pytest.mark.parametrize("file", [SUCCESS, FAILURE])
def test_a_person_who_lets_the_file_go_on_at_octoprint_has_cleared_the_bed(file: FileFacts) -> None:
    believed = belief(S.FINISHED, paused_at_marker=True, tail_ran=True)
    assert reconcile(believed, seen(A.PRINTING, fresh())).verdict is V.UNCHANGED
    assert reconcile(believed, seen(A.OPERATIONAL, file)).verdict is V.CLEARED


@pytest.mark.parametrize("paused_at_marker", [True, False])
@pytest.mark.parametrize(
    ("observation", "verdict"),
    [
        (seen(A.PAUSED, fresh(), filepos=90), V.UNCHANGED),
        (seen(A.PRINTING, fresh(), filepos=95), V.UNCHANGED),
        (seen(A.CONNECTING, fresh(), path=None), V.UNCHANGED),
        (seen(A.OPERATIONAL, SUCCESS), V.CLEARED),
        # The lines that eject the part have not run: it lies there.
        (seen(A.OPERATIONAL, fresh(), path=None), V.ASK_PERSON),
        (seen(A.DISCONNECTED, fresh(), path=None), V.ASK_PERSON),
        (seen(A.OPERATIONAL, None, path=None), V.ASK_PERSON),
        (seen(A.OPERATIONAL, FAILURE), V.ASK_PERSON),
    ],
)
def test_a_printer_ejects_a_part_only_by_the_end_of_its_file(
    observation: Observation, verdict: Verdict, paused_at_marker: bool
) -> None:
    believed = belief(S.FINISHED, paused_at_marker=paused_at_marker, clearing=True)
    assert reconcile(believed, observation).verdict is verdict


@pytest.mark.parametrize("state", [S.CLEARED, S.FAILED, S.CANCELLED, S.RETURNED])
@pytest.mark.parametrize("activity", list(Activity))
def test_what_is_over_stays_over(state: AttemptState, activity: Activity) -> None:
    assert reconcile(belief(state), seen(activity, SUCCESS)).verdict is V.UNCHANGED


@pytest.mark.parametrize("activity", list(Activity))
@pytest.mark.parametrize("file", [None, fresh(), SUCCESS, NOTHING_PRINTED, FAILURE])
@pytest.mark.parametrize("path", [None, PATH, OTHER])
@pytest.mark.parametrize("state", [S.STARTING, *RUNNING])
def test_what_may_have_started_is_never_sent_or_given_back(
    state: AttemptState, path: str | None, file: FileFacts | None, activity: Activity
) -> None:
    """If in doubt, the print was started: a second start needs proof that there was none."""
    observation = seen(activity, file, path=path)
    for same_server in (False, None):
        verdict = reconcile(belief(state, same_server=same_server), observation).verdict
        assert verdict not in (V.UPLOAD, V.STAGED, V.START_AGAIN, V.RETURNED)


@pytest.mark.parametrize("activity", list(Activity))
@pytest.mark.parametrize("file", [SUCCESS, NOTHING_PRINTED, FAILURE])
def test_a_file_that_was_printed_is_never_started_again(
    file: FileFacts, activity: Activity
) -> None:
    for state in AttemptState:
        verdict = reconcile(belief(state, same_server=True), seen(activity, file)).verdict
        assert verdict not in (V.START_AGAIN, V.UPLOAD, V.STAGED)


def test_paths_name_the_copy_and_the_try() -> None:
    assert remote_path(7, 31, 2) == "pms/job-7_print-31_try-2.gcode"
    assert is_ours(remote_path(7, 31, 2))
    assert not is_ours("job-7_print-31_try-2.gcode")
    assert not is_ours(None)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("", "the print failed or was cancelled"),
        ("Thermal Runaway", "the print failed: Thermal Runaway"),
    ],
)
def test_failure_has_the_reason_of_octoprint(error: str, reason: str) -> None:
    observation = seen(A.ERROR, FAILURE, path=None, error=error)
    assert reconcile(belief(S.PRINTING), observation).reason == reason
