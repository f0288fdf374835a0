"""What OctoPrint shows against what we believe: which of the two is right, and what follows.

`docs/reliability.md` has it as a table; here it is one pure function. Where nothing else is
certain the safe reading holds: the print was started, the bed is occupied, a person decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from pms.domain.observation import ACTIVE, Activity, FileFacts, Observation
from pms.domain.states import UNSTARTED_STATES, AttemptState


class Verdict(Enum):
    """What follows from a look at OctoPrint."""

    UNCHANGED = auto()
    #: Send the file (again).
    UPLOAD = auto()
    #: The file is on OctoPrint as it should be, and has never been printed.
    STAGED = auto()
    #: Our file is being printed.
    STARTED = auto()
    #: Our file is certainly not being printed and never was: ask for the start once more.
    START_AGAIN = auto()
    #: Find out whether OctoPrint is still the process that was asked to start.
    PROVE_SERVER = auto()
    #: Nobody but a person can say whether the print was started.
    ASK_PERSON = auto()
    PAUSED = auto()
    RESUMED = auto()
    #: The part is complete and lies on the bed.
    FINISHED = auto()
    #: The part is off the bed: the file behind its end marker has run, or was ended.
    CLEARED = auto()
    FAILED = auto()
    #: Certainly never started; the copy can go to another printer.
    RETURNED = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class Belief:
    """What we think about the attempt that this printer works on."""

    state: AttemptState
    path: str
    #: Bytes and SHA-1 of the G-code; None while they are not known yet.
    size: int | None = None
    sha1: str | None = None
    #: Byte offset behind the last M0; paused there, the part is complete.
    finish_marker: int | None = None
    #: OctoPrint has provably been the same process since the start was asked for; None: nobody
    #: has looked into that.
    same_server: bool | None = None
    #: OctoPrint has refused the only request to start, for this reason.
    start_refusal: str = ""
    #: The print was seen paused at its end marker.
    paused_at_marker: bool = False
    #: The file is to run to its end, by which the bed is empty at the latest.
    clearing: bool = False
    #: A person has said that the bed is empty.
    cleared_by_person: bool = False
    #: The file has gone on behind its end marker.
    tail_ran: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Conclusion:
    """A verdict, its reason for a person, and whether one look is enough for it."""

    verdict: Verdict
    reason: str = ""
    #: False: OctoPrint's answers can lag behind each other by some 100 ms, so the verdict
    #: holds only if later looks agree.
    certain: bool = True


UNCHANGED = Conclusion(verdict=Verdict.UNCHANGED)


def reconcile(belief: Belief, seen: Observation) -> Conclusion:
    """Say what follows for the attempt from one look at its OctoPrint."""
    if belief.state in UNSTARTED_STATES:
        return _unstarted(belief, seen)
    if belief.state is AttemptState.STARTING:
        return _starting(belief, seen)
    if belief.state is AttemptState.FINISHED:
        return _finished(belief, seen)
    if belief.state in (AttemptState.PRINTING, AttemptState.PAUSED):
        return _running(belief, seen)
    return UNCHANGED


def prints_ours(belief: Belief, seen: Observation) -> bool:
    """Whether OctoPrint shows our print, or its pause."""
    return seen.path == belief.path and seen.activity in ACTIVE


def _unstarted(belief: Belief, seen: Observation) -> Conclusion:
    if prints_ours(belief, seen):
        return Conclusion(verdict=Verdict.STARTED, reason="somebody started the file at OctoPrint")
    if seen.file is not None and seen.file.was_printed and _matches(belief, seen.file):
        return _outcome(seen.file, seen.error)
    if seen.activity in ACTIVE:
        return Conclusion(verdict=Verdict.RETURNED, reason="another print runs on the printer")
    if seen.file is None or not _matches(belief, seen.file):
        return Conclusion(verdict=Verdict.UPLOAD)
    return Conclusion(verdict=Verdict.STAGED)


def _matches(belief: Belief, file: FileFacts) -> bool:
    return (
        belief.sha1 is not None
        and file.sha1 is not None
        and (file.size, file.sha1) == (belief.size, belief.sha1)
    )


def _starting(belief: Belief, seen: Observation) -> Conclusion:
    if prints_ours(belief, seen):
        return Conclusion(verdict=Verdict.STARTED)
    if seen.file is not None and seen.file.was_printed:
        return _outcome(seen.file, seen.error)
    if belief.start_refusal:
        return Conclusion(verdict=Verdict.RETURNED, reason=belief.start_refusal)
    if seen.activity is Activity.CONNECTING:
        return UNCHANGED
    if seen.activity in (Activity.DISCONNECTED, Activity.ERROR):
        # A print that was paused when the connection broke leaves no trace in the history.
        return _lost(seen)
    return _never_seen(belief, seen)


def _never_seen(belief: Belief, seen: Observation) -> Conclusion:
    """Only a file that is still selected has not been printed unseen.

    Of a print that was paused, OctoPrint records nothing when its connection breaks or its server
    dies; but either of them also ends the selection.
    """
    forgotten = seen.file is None or seen.path != belief.path
    if forgotten or belief.same_server is False:
        return Conclusion(
            verdict=Verdict.ASK_PERSON,
            reason="the start was asked for, and OctoPrint may have been restarted or"
            " disconnected since: look at the bed, then clear it",
            certain=False,
        )
    if belief.same_server is None:
        return Conclusion(verdict=Verdict.PROVE_SERVER, certain=False)
    return Conclusion(verdict=Verdict.START_AGAIN, certain=False)


def _running(belief: Belief, seen: Observation) -> Conclusion:
    if prints_ours(belief, seen):
        return _goes_on(belief, seen)
    if seen.file is not None and seen.file.was_printed:
        return _outcome(seen.file, seen.error)
    if seen.activity is Activity.CONNECTING:
        return UNCHANGED
    if seen.file is None:
        return Conclusion(verdict=Verdict.ASK_PERSON, reason=_NOT_THERE, certain=False)
    if seen.activity in (Activity.DISCONNECTED, Activity.ERROR):
        return _lost(seen)
    return Conclusion(
        verdict=Verdict.FAILED,
        reason="interrupted: OctoPrint does not print the file any more and knows no outcome",
        certain=False,
    )


#: OctoPrint keeps the files that it prints, even when it is killed.
_NOT_THERE = (
    "this OctoPrint does not have the file that was being printed: give the printer back its"
    " address, or see what became of the print, then clear it"
)


def _goes_on(belief: Belief, seen: Observation) -> Conclusion:
    if seen.activity is Activity.PAUSED:
        if rests_at_marker(belief, seen):
            return Conclusion(verdict=Verdict.FINISHED)
        if belief.state is not AttemptState.PAUSED:
            return Conclusion(verdict=Verdict.PAUSED, certain=belief.finish_marker is None)
    if seen.activity is Activity.PRINTING and belief.state is AttemptState.PAUSED:
        return Conclusion(verdict=Verdict.RESUMED)
    return UNCHANGED


def rests_at_marker(belief: Belief, seen: Observation) -> bool:
    """Whether our print is paused with its part complete."""
    return (
        prints_ours(belief, seen)
        and seen.activity is Activity.PAUSED
        and belief.finish_marker is not None
        and seen.filepos is not None
        and seen.filepos >= belief.finish_marker
    )


def runs(belief: Belief, seen: Observation) -> bool:
    """Whether our file is being worked on, and not just held in a pause."""
    return prints_ours(belief, seen) and seen.activity is not Activity.PAUSED


def _finished(belief: Belief, seen: Observation) -> Conclusion:
    """The part lies there until a person, or the end of the file, has taken it off.

    That the print was ended at its marker shows neither: a reset of the printer ends it, too.
    """
    if prints_ours(belief, seen):
        return UNCHANGED
    printed = seen.file is not None and seen.file.was_printed
    succeeded = seen.file is not None and seen.file.last_success is True
    let_go = succeeded or (printed and belief.tail_ran)
    if belief.clearing:
        return _clearing(belief, seen, succeeded=succeeded, known=printed)
    if belief.paused_at_marker and let_go:
        return Conclusion(verdict=Verdict.CLEARED)
    return UNCHANGED


def _clearing(belief: Belief, seen: Observation, *, succeeded: bool, known: bool) -> Conclusion:
    """A person's word is enough; without it the file must have run through, to eject the part."""
    if succeeded or belief.cleared_by_person:
        return Conclusion(verdict=Verdict.CLEARED)
    if seen.activity is Activity.CONNECTING:
        return UNCHANGED
    return Conclusion(verdict=Verdict.ASK_PERSON, reason=_NOT_CLEARED, certain=known)


_NOT_CLEARED = (
    "the end of the file, by which the bed is cleared, did not run through:"
    " look at the bed, then clear it"
)


def _outcome(file: FileFacts, error: str) -> Conclusion:
    """What the history says, with the error that OctoPrint shows beside it, if any."""
    if not file.last_success:
        reason = f"the print failed: {error}" if error else "the print failed or was cancelled"
        return Conclusion(verdict=Verdict.FAILED, reason=reason)
    if file.last_print_time_s is None:
        return Conclusion(
            verdict=Verdict.FAILED, reason="OctoPrint reports success but printed nothing"
        )
    return Conclusion(verdict=Verdict.FINISHED)


def _lost(seen: Observation) -> Conclusion:
    detail = f": {seen.error}" if seen.error else ""
    return Conclusion(
        verdict=Verdict.FAILED,
        reason=f"the printer was lost during the print ({seen.state_text or seen.activity})"
        + detail,
        certain=False,
    )


#: Folder on OctoPrint that holds nothing but files of PMS.
REMOTE_FOLDER = "pms"


def remote_path(job_id: int, print_id: int, number: int) -> str:
    """Name a file on OctoPrint; each name is used once."""
    return f"{REMOTE_FOLDER}/job-{job_id}_print-{print_id}_try-{number}.gcode"


_REMOTE_PATH = re.compile(rf"{REMOTE_FOLDER}/job-[0-9]+_print-[0-9]+_try-[0-9]+\.gcode")


def is_ours(path: str | None) -> bool:
    """Whether the path is one that PMS gives."""
    return path is not None and _REMOTE_PATH.fullmatch(path) is not None
