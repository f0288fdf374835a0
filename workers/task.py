"""One attempt in the hands of its printer's process: what a look or a command does to it.

Pure: events and calls come out, nothing is sent from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pms.bus.messages import Event, StartPrint
from pms.domain.observation import Activity, Observation
from pms.domain.reconciliation import (
    Belief,
    Conclusion,
    Verdict,
    prints_ours,
    reconcile,
    rests_at_marker,
    runs,
)
from pms.domain.states import UNSTARTED_STATES, AttemptState
from workers.doubt import Doubt
from workers.start import Start
from workers.steering import Steering
from workers.steps import (
    Call,
    CallFailed,
    CallOutcome,
    Moment,
    PauseFile,
    ProveServer,
    ResumeFile,
    ServerProof,
    StartFile,
    TransferOutcome,
)
from workers.wording import Wording


class Task:
    """The attempt that the printer works on, from its claim to its end."""

    def __init__(self, order: StartPrint) -> None:
        self.attempt_id = order.attempt_id
        self.print_id = order.print_id
        self.job_id = order.job_id
        self.path = order.remote_path
        self.job_sha1 = order.job_sha1
        self.state = order.believed
        #: The event with which it is over.
        self.end: Event | None = None
        #: A person has to say what became of the start, or whether the bed is empty.
        self.question: str | None = None
        self.transferring = False
        self.start = Start(begun_before=order.believed is AttemptState.STARTING)
        self.steering = Steering()
        self.doubt = Doubt()
        self._words = Wording(order.attempt_id)
        self._size = order.size
        self._sha1 = order.sha1
        self._finish_marker = order.finish_marker
        # A new attempt has no file yet. One that is taken up again needs a look first.
        self._upload_wanted = order.believed is AttemptState.CLAIMED
        #: A look from which another start follows, if OctoPrint can remember the first.
        self._unproved: Observation | None = None
        self._paused_at_marker = False
        self._tail_ran = False
        self._cleared_by_person = False

    @property
    def ended(self) -> bool:
        """Nothing more happens to the attempt."""
        return self.end is not None

    # -- looks --------------------------------------------------------------------

    def observe(self, seen: Observation, now: Moment) -> Iterator[Event]:
        """Draw conclusions until nothing more follows from what was seen."""
        self._unproved = None
        if self.state is AttemptState.FINISHED and self.question is not None:
            return
        if prints_ours(self._belief(), seen):
            # The wrong OctoPrint may have raised the question; this one answers it.
            self.question = None
        while not self.ended:
            conclusion = reconcile(self._belief(), seen)
            if self.transferring and conclusion.verdict is not Verdict.RETURNED:
                return
            if self._is_nothing_new(conclusion):
                self.doubt.settle()
                break
            if not self.doubt.holds(conclusion, now.monotonic):
                break
            state = self.state
            yield from self._apply(conclusion, seen, now)
            if self.state is state:
                break
        self._note_end_of_file(seen)

    def _is_nothing_new(self, conclusion: Conclusion) -> bool:
        """A person who has been asked is not asked again, and nothing is started meanwhile."""
        asked = self.question is not None
        repetitions = (Verdict.ASK_PERSON, Verdict.PROVE_SERVER)
        return conclusion.verdict is Verdict.UNCHANGED or (
            asked and conclusion.verdict in repetitions
        )

    @property
    def _is_unsent(self) -> bool:
        """OctoPrint was certainly not asked to start."""
        unsent = self.state is AttemptState.STARTING and self.start.certainly_not_sent
        return unsent or self.state in UNSTARTED_STATES

    def _belief(self) -> Belief:
        staged = self.state is AttemptState.STARTING and self._is_unsent
        return Belief(
            state=AttemptState.STAGED if staged else self.state,
            path=self.path,
            size=self._size,
            sha1=self._sha1,
            finish_marker=self._finish_marker,
            same_server=False if self.start.unprovable else None,
            start_refusal=self.start.refusal,
            paused_at_marker=self._paused_at_marker,
            clearing=self.steering.clearing,
            cleared_by_person=self._cleared_by_person,
            tail_ran=self._tail_ran,
        )

    def _note_end_of_file(self, seen: Observation) -> None:
        if self.state is AttemptState.FINISHED:
            belief = self._belief()
            self._paused_at_marker = self._paused_at_marker or rests_at_marker(belief, seen)
            self._tail_ran = self._tail_ran or runs(belief, seen)

    def _apply(self, conclusion: Conclusion, seen: Observation, now: Moment) -> Iterator[Event]:
        """Carry out what leads to a start, or asks for one."""
        match conclusion.verdict:
            case Verdict.UPLOAD if self.start.announced:
                yield self._give_back("the file is gone from OctoPrint", now)
            case Verdict.UPLOAD:
                self._upload_wanted = True
            case Verdict.STAGED:
                yield from self._announce_start(seen, now)
            case Verdict.PROVE_SERVER:
                self._unproved = seen
            case Verdict.START_AGAIN:
                yield from self._start_again(now)
            case Verdict.RETURNED:
                yield self._give_back(conclusion.reason, now)
            case Verdict.ASK_PERSON:
                yield from self._ask(conclusion.reason, now)
            case _:
                yield from self._apply_progress(conclusion, now)

    def _apply_progress(self, conclusion: Conclusion, now: Moment) -> Iterator[Event]:
        """Carry out what OctoPrint says of a print that has started."""
        match conclusion.verdict:
            case Verdict.STARTED:
                yield self._started(now)
            case Verdict.PAUSED:
                self.state = AttemptState.PAUSED
                self.steering.fulfilled()
                yield self._words.paused(now)
            case Verdict.RESUMED:
                self.state = AttemptState.PRINTING
                self.steering.fulfilled()
                yield self._words.resumed(now)
            case Verdict.FINISHED:
                yield from self._finished(now)
            case Verdict.CLEARED:
                yield self._cleared(now)
            case Verdict.FAILED:
                yield self._failed(conclusion.reason, now)

    # -- the start ------------------------------------------------------------------

    @property
    def wants_transfer(self) -> bool:
        """The file has to be brought onto OctoPrint."""
        return self._upload_wanted and not self.transferring and not self.ended

    def begin_transfer(self) -> None:
        """The file is on its way."""
        self.transferring = True
        self._upload_wanted = False
        self.state = AttemptState.TRANSFERRING

    def transferred(self, outcome: TransferOutcome, now: Moment) -> Event:
        """The transfer has ended, well or badly."""
        self.transferring = False
        event = self._words.transferred(outcome, now)
        if outcome.problem is not None:
            return self._end(event)
        self.state = AttemptState.STAGED
        self.path, self._size, self._sha1 = outcome.remote_path, outcome.size, outcome.sha1
        self._finish_marker = outcome.finish_marker
        return event

    def _announce_start(self, seen: Observation, now: Moment) -> Iterator[Event]:
        """Ask for the grant to start, once the printer could follow."""
        if self.start.announced or seen.activity is not Activity.OPERATIONAL:
            return
        self.state = AttemptState.STAGED
        self.start.announced = True
        yield self._words.starting(now)

    def granted(self, granted: bool, now: Moment) -> Iterator[Event]:
        """The coordinator has recorded that we are about to start, or forbids it."""
        starting = self.state is AttemptState.STARTING
        if self.ended or not self.start.awaits_grant:
            return
        if granted and (starting or self.state is AttemptState.STAGED):
            self.state = AttemptState.STARTING
            self.start.grant()
        elif starting:
            self.steering.cancelling = True
        elif self.state is AttemptState.STAGED:
            yield self._cancelled(now, may_have_started=False)

    def _proved(self, same_server: bool, now: Moment) -> Iterator[Event]:
        """The server is, or is not, the process that was asked to start.

        The looks came before this, so what they showed was the memory of that process.
        """
        seen, self._unproved = self._unproved, None
        if seen is None or self.ended:
            return
        if not same_server:
            self.start.unprovable = True
        belief = replace(self._belief(), same_server=not self.start.unprovable)
        yield from self._apply(reconcile(belief, seen), seen, now)

    def suspect_start(self) -> None:
        """Push has shown a print: it may be ours, even if no look ever shows it."""
        if self.state is AttemptState.STARTING:
            self.start.unprovable = True

    def _start_again(self, now: Moment) -> Iterator[Event]:
        if self.steering.cancelling:
            yield self._cancelled(now, may_have_started=False)
        elif not self.start.may_repeat:
            if not self.start.announced:
                self.start.announced = True
                yield self._words.starting(now)
        elif self.start.is_hopeless:
            yield from self._ask(
                "OctoPrint has ignored all requests to start: look at the printer, then clear it",
                now,
            )
        else:
            self.start.repeat()

    def give_back_if_lost(
        self, lost_since: float, now: Moment, patience_s: float
    ) -> Iterator[Event]:
        """A copy that has not started need not wait for a printer that is gone."""
        if self.is_unstarted and now.monotonic - lost_since >= patience_s:
            yield self._give_back("the printer was lost before the start", now)

    @property
    def is_unstarted(self) -> bool:
        """Certainly, and nothing is on its way that could change that."""
        refused = self.state is AttemptState.STARTING and bool(self.start.refusal)
        return refused or self._is_unsent

    @property
    def is_about_to_start(self) -> bool:
        """The file is there, and nothing should keep OctoPrint from being asked to print it."""
        return self.state in (AttemptState.STAGED, AttemptState.STARTING)

    # -- what has happened --------------------------------------------------------------

    def _started(self, now: Moment) -> Event:
        self.state = AttemptState.PRINTING
        self.start.drop()
        return self._words.started(now)

    def _finished(self, now: Moment) -> Iterator[Event]:
        if self.state in UNSTARTED_STATES or self.state is AttemptState.STARTING:
            yield self._started(now)
        if self.steering.cancelling:
            yield self._words.refused("CancelPrint", "the part was complete before", now)
        self.state = AttemptState.FINISHED
        self.question = None
        self.steering.finished()
        yield self._words.finished(now)

    def _cleared(self, now: Moment) -> Event:
        return self._end(self._words.cleared(now))

    def _failed(self, reason: str, now: Moment, *, bed_is_empty: bool = False) -> Event:
        if self.steering.cancelling:
            return self._cancelled(now, may_have_started=True)
        return self._end(self._words.failed(reason, now, bed_is_empty=bed_is_empty))

    def _cancelled(self, now: Moment, *, may_have_started: bool) -> Event:
        return self._end(self._words.cancelled(now, may_have_started=may_have_started))

    def _give_back(self, reason: str, now: Moment) -> Event:
        if self.steering.cancelling:
            return self._cancelled(now, may_have_started=False)
        return self._end(self._words.given_back(reason, now))

    def _end(self, event: Event) -> Event:
        self.end = event
        return event

    def _ask(self, question: str, now: Moment) -> Iterator[Event]:
        if self.steering.cancelling:
            # Nothing of it prints, and nobody wants it: only the bed has to be looked at.
            yield self._cancelled(now, may_have_started=True)
            return
        self.question = question
        self.steering.clearing = False

    # -- commands -----------------------------------------------------------------------

    def cancel(self, now: Moment) -> Iterator[Event]:
        """End the attempt; what has started is cancelled at OctoPrint first."""
        if self.state is AttemptState.FINISHED:
            yield self._words.refused("CancelPrint", "the part is complete: clear the printer", now)
        elif self._is_unsent:
            yield self._cancelled(now, may_have_started=False)
        elif self.question is not None:
            yield self._cancelled(now, may_have_started=True)
        else:
            self.start.drop()
            self.steering.cancelling = True

    def pause(self, now: Moment) -> Iterator[Event]:
        """Pause a running print."""
        if self.state is AttemptState.PRINTING:
            self.steering.wish = PauseFile()
        else:
            yield self._words.refused("PausePrint", f"the print is {self.state}, not printing", now)

    def resume(self, now: Moment) -> Iterator[Event]:
        """Go on with a paused print."""
        if self.state is AttemptState.PAUSED:
            self.steering.wish = ResumeFile()
        else:
            yield self._words.refused("ResumePrint", f"the print is {self.state}, not paused", now)

    def clear(self, now: Moment, *, by_person: bool) -> Iterator[Event]:
        """Let the file run to its end, or settle an open question, which only a person can."""
        if self.question is not None and not by_person:
            return
        if self.state is not AttemptState.FINISHED and self.question is None:
            yield self._words.refused("ClearBed", f"the print is {self.state}", now)
        elif self.state is not AttemptState.FINISHED:
            reason = "a person cleared the bed of a print that was in doubt"
            yield self._failed(reason, now, bed_is_empty=True)
        elif self.question is not None:
            yield self._cleared(now)
        else:
            self.steering.clearing = True
            self._cleared_by_person = self._cleared_by_person or by_person

    # -- calls ----------------------------------------------------------------------------

    @property
    def unsettled(self) -> bool:
        """The effect of something is still to be seen at OctoPrint."""
        if self.ended or self.question is not None:
            return False
        return self.steering.is_open or self.state is AttemptState.STARTING

    def next_call(self, seen: Observation | None, now: float) -> Call | None:
        """The call to OctoPrint that follows from a look, or from none."""
        if self.ended:
            return None
        if self.start.is_due:
            return StartFile(self.path)
        if self._unproved is not None:
            return ProveServer(self.path)
        if seen is None or seen.path != self.path:
            return None
        return self.steering.call(self.state, seen, now)

    def call_sent(self, call: Call, now: float) -> None:
        """A call of `next_call` is on its way."""
        if isinstance(call, StartFile):
            self.start.sent()
        elif not isinstance(call, ProveServer):
            self.steering.sent(now)
            self._tail_ran = self._tail_ran or self.state is AttemptState.FINISHED

    def call_ended(self, call: Call, outcome: CallOutcome, now: Moment) -> Iterator[Event]:
        """OctoPrint has answered a call, or its answer is lost."""
        self.doubt.settle()
        failure = outcome if isinstance(outcome, CallFailed) else None
        if isinstance(call, StartFile) and call.path == self.path:
            self.start.answered(failure)
        elif isinstance(call, ProveServer) and isinstance(outcome, ServerProof):
            yield from self._proved(outcome.same, now)
        elif isinstance(call, ProveServer):
            self._unproved = None
        elif failure is not None and self.state is not AttemptState.FINISHED:
            if isinstance(call, PauseFile):
                yield self._words.refused("PausePrint", failure.text, now)
            elif isinstance(call, ResumeFile):
                yield self._words.refused("ResumePrint", failure.text, now)
