"""One attempt in the hands of its printer's process: what a look or a command does to it.

Pure: events and calls come out, nothing is sent from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pms.bus.messages import (
    CommandRefused,
    Event,
    PrintCancelled,
    PrintCleared,
    PrintFailed,
    PrintFinished,
    PrintPaused,
    PrintResumed,
    PrintStarted,
    PrintStarting,
    StartPrint,
    TransferFinished,
)
from pms.domain.observation import ACTIVE, Activity, Observation
from pms.domain.reconciliation import Belief, Conclusion, Verdict, reconcile
from pms.domain.states import UNSTARTED_STATES, AttemptState
from workers.steps import (
    Call,
    CallFailed,
    CancelFile,
    Moment,
    PauseFile,
    ResumeFile,
    StartFile,
    TransferOutcome,
)

#: How long OctoPrint must keep showing what a verdict that is not certain rests on.
DOUBT_S = 3.0
#: `filepos` lags by some 10 ms behind the state, so a pause is taken for one a little later.
PAUSE_DOUBT_S = 0.5
#: How long after a request its repetition makes sense, if OctoPrint shows no effect.
REPEAT_S = 2.0
#: Starts that OctoPrint has provably ignored before a person is asked.
MOST_STARTS = 3


@dataclass(slots=True)
class Doubt:
    """A verdict that has to prove itself."""

    verdict: Verdict
    since: float


class Task:
    """The attempt that the printer works on, from its claim to its end."""

    def __init__(self, order: StartPrint) -> None:
        self.attempt_id = order.attempt_id
        self.print_id = order.print_id
        self.job_id = order.job_id
        self.path = order.remote_path
        self.state = order.believed
        self.size = order.size
        self.sha1 = order.sha1
        self.finish_marker = order.finish_marker
        #: A person has to say whether the print was started.
        self.question: str | None = None
        self.transferring = False
        self.cancelling = False
        self.clearing = False
        self.ended = False
        self.doubt: Doubt | None = None
        self.paused_at_marker = False
        self._start_asked_for = order.believed is AttemptState.STARTING
        self._start_granted = False
        self._starts = 0
        self._start_epoch: int | None = None
        self._start_answered_at: float | None = None
        self._wanted: Call | None = None
        self._asked_at = float("-inf")

    # -- looks --------------------------------------------------------------------

    def observe(self, seen: Observation, *, same_server: bool, now: Moment) -> Iterator[Event]:
        """Draw conclusions until nothing more follows from what was seen."""
        while not self.ended:
            conclusion = reconcile(self._belief(same_server), seen)
            if conclusion.verdict is Verdict.UNCHANGED:
                self.doubt = None
                break
            if not self._holds(conclusion, now.monotonic):
                return
            state = self.state
            yield from self._apply(conclusion, seen, now)
            if self.state is state:
                break
        yield from self._clear_if_nothing_runs(seen, now)

    def _belief(self, same_server: bool) -> Belief:
        return Belief(
            state=self.state,
            path=self.path,
            size=self.size,
            sha1=self.sha1,
            finish_marker=self.finish_marker,
            same_server=same_server,
            paused_at_marker=self.paused_at_marker,
        )

    def _holds(self, conclusion: Conclusion, now: float) -> bool:
        if conclusion.certain:
            self.doubt = None
            return True
        if self.doubt is None or self.doubt.verdict is not conclusion.verdict:
            self.doubt = Doubt(conclusion.verdict, now)
        needed = PAUSE_DOUBT_S if conclusion.verdict is Verdict.PAUSED else DOUBT_S
        if now - self.doubt.since < needed:
            return False
        self.doubt = None
        return True

    def _apply(self, conclusion: Conclusion, seen: Observation, now: Moment) -> Iterator[Event]:
        match conclusion.verdict:
            case Verdict.UPLOAD:
                self.state = AttemptState.CLAIMED
            case Verdict.STAGED:
                yield from self._go_on_from_staged(seen, now)
            case Verdict.START_AGAIN:
                yield from self._start_again(now)
            case Verdict.ASK_PERSON:
                self.question = conclusion.reason
            case Verdict.PAUSED:
                self.state = AttemptState.PAUSED
                yield PrintPaused(at=now.utc, attempt_id=self.attempt_id)
            case Verdict.RESUMED:
                self.state = AttemptState.PRINTING
                yield PrintResumed(at=now.utc, attempt_id=self.attempt_id)
            case Verdict.RETURNED:
                yield self._give_back(conclusion.reason, now)
            case _:
                yield from self._apply_progress(conclusion, seen, now)

    def _apply_progress(
        self, conclusion: Conclusion, seen: Observation, now: Moment
    ) -> Iterator[Event]:
        match conclusion.verdict:
            case Verdict.STARTED:
                yield self._started(now)
            case Verdict.FINISHED:
                if self.state in UNSTARTED_STATES or self.state is AttemptState.STARTING:
                    yield self._started(now)
                self.state = AttemptState.FINISHED
                self.paused_at_marker = seen.activity is Activity.PAUSED
                yield PrintFinished(at=now.utc, attempt_id=self.attempt_id)
            case Verdict.CLEARED:
                yield self._cleared(now)
            case Verdict.FAILED:
                yield self._failed(conclusion.reason, now)

    def _go_on_from_staged(self, seen: Observation, now: Moment) -> Iterator[Event]:
        """Ask for the grant to start, once the printer could follow."""
        if self._start_asked_for or seen.activity is not Activity.OPERATIONAL:
            return
        self.state = AttemptState.STAGED
        self._start_asked_for = True
        yield PrintStarting(at=now.utc, attempt_id=self.attempt_id)

    def _start_again(self, now: Moment) -> Iterator[Event]:
        if self.cancelling:
            yield self._end(
                PrintCancelled(at=now.utc, attempt_id=self.attempt_id, may_have_started=False)
            )
        elif self._start_granted and self._starts == 0:
            return
        elif self._starts < MOST_STARTS:
            self._wanted = StartFile(self.path)
        else:
            self.question = (
                f"OctoPrint has ignored {self._starts} requests to start:"
                " look at the printer, then clear it"
            )

    def _started(self, now: Moment) -> Event:
        self.state = AttemptState.PRINTING
        self.question = None
        return PrintStarted(at=now.utc, attempt_id=self.attempt_id)

    def _cleared(self, now: Moment) -> Event:
        return self._end(PrintCleared(at=now.utc, attempt_id=self.attempt_id))

    def _failed(self, reason: str, now: Moment) -> Event:
        if self.cancelling:
            return self._end(
                PrintCancelled(at=now.utc, attempt_id=self.attempt_id, may_have_started=True)
            )
        return self._end(PrintFailed(at=now.utc, attempt_id=self.attempt_id, reason=reason))

    def _give_back(self, reason: str, now: Moment) -> Event:
        return self._end(
            CommandRefused(
                at=now.utc,
                command="StartPrint",
                attempt_id=self.attempt_id,
                reason=reason,
                returned=True,
            )
        )

    def _end(self, event: Event) -> Event:
        self.ended = True
        return event

    def _clear_if_nothing_runs(self, seen: Observation, now: Moment) -> Iterator[Event]:
        if self.ended or not self.clearing or self.state is not AttemptState.FINISHED:
            return
        if not (seen.path == self.path and seen.activity in ACTIVE):
            yield self._cleared(now)

    @property
    def unsettled(self) -> bool:
        """Something was asked of OctoPrint whose effect is still to be seen."""
        asked = self.cancelling or self.clearing or self._wanted is not None
        return not self.ended and (asked or self.state is AttemptState.STARTING)

    # -- transfers and the start ------------------------------------------------------

    @property
    def wants_transfer(self) -> bool:
        """The file has to be brought onto OctoPrint."""
        return (
            not self.ended
            and not self.transferring
            and self.state in (AttemptState.CLAIMED, AttemptState.TRANSFERRING)
        )

    def transferred(self, outcome: TransferOutcome, now: Moment) -> Event:
        """The transfer has ended, well or badly."""
        self.transferring = False
        event = TransferFinished(
            at=now.utc,
            attempt_id=self.attempt_id,
            remote_path=outcome.remote_path,
            size=outcome.size,
            sha1=outcome.sha1,
            finish_marker=outcome.finish_marker,
            problem=outcome.problem,
            detail=outcome.detail,
        )
        if outcome.problem is not None:
            return self._end(event)
        self.state = AttemptState.STAGED
        self.path, self.size, self.sha1 = outcome.remote_path, outcome.size, outcome.sha1
        self.finish_marker = outcome.finish_marker
        return event

    def granted(self, granted: bool, now: Moment) -> Iterator[Event]:
        """The coordinator has recorded that we are about to start, or forbids it."""
        if self.ended or self.state is not AttemptState.STAGED:
            return
        if not granted:
            yield self._end(
                PrintCancelled(at=now.utc, attempt_id=self.attempt_id, may_have_started=False)
            )
            return
        self.state = AttemptState.STARTING
        self._start_granted = True
        self._wanted = StartFile(self.path)

    def start_sent(self, server_epoch: int | None) -> None:
        """The request to start is on its way, to this server."""
        self._wanted = None
        self._starts += 1
        self._start_epoch = server_epoch
        self._start_answered_at = None

    def start_answered(self, failure: CallFailed | None, now: Moment) -> Iterator[Event]:
        """OctoPrint has answered, or its answer is lost."""
        self._start_answered_at = now.monotonic
        self.doubt = None
        refused = failure is not None and failure.certainly_not_done
        # An earlier request whose answer was lost may be what this refusal is about.
        if refused and failure is not None and self._starts == 1 and self._start_granted:
            yield self._give_back(f"OctoPrint refused the start: {failure.text}", now)

    @property
    def start_epoch(self) -> int | None:
        """The server that was asked to start; None: not asked by this process."""
        return self._start_epoch

    @property
    def start_answered_at(self) -> float | None:
        """When the last request to start was answered or given up, monotonic seconds."""
        return self._start_answered_at

    # -- commands -----------------------------------------------------------------------

    def cancel(self, now: Moment) -> Iterator[Event]:
        """End the attempt; what has started is cancelled at OctoPrint first."""
        if self.state is AttemptState.FINISHED:
            yield self._refuse("CancelPrint", "the part is complete: clear the printer", now)
        elif self.state in UNSTARTED_STATES:
            yield self._end(
                PrintCancelled(at=now.utc, attempt_id=self.attempt_id, may_have_started=False)
            )
        elif self.question is not None:
            yield self._end(
                PrintCancelled(at=now.utc, attempt_id=self.attempt_id, may_have_started=True)
            )
        else:
            self.cancelling = True

    def pause(self, now: Moment) -> Iterator[Event]:
        """Pause a running print."""
        if self.state is AttemptState.PRINTING:
            self._wanted = PauseFile()
        else:
            yield self._refuse("PausePrint", f"the print is {self.state}, not printing", now)

    def resume(self, now: Moment) -> Iterator[Event]:
        """Go on with a paused print."""
        if self.state is AttemptState.PAUSED:
            self._wanted = ResumeFile()
        else:
            yield self._refuse("ResumePrint", f"the print is {self.state}, not paused", now)

    def clear(self, now: Moment) -> Iterator[Event]:
        """The bed is empty: let the file run to its end, or settle an open question."""
        if self.state is AttemptState.FINISHED:
            self.clearing = True
        elif self.question is not None:
            yield self._failed("a person cleared the bed of a print that was in doubt", now)
        else:
            yield self._refuse("ClearBed", f"the print is {self.state}", now)

    def _refuse(self, command: str, reason: str, now: Moment) -> Event:
        return CommandRefused(
            at=now.utc, command=command, attempt_id=self.attempt_id, reason=reason
        )

    # -- calls ----------------------------------------------------------------------------

    def next_call(self, seen: Observation | None, now: float, *, same_server: bool) -> Call | None:
        """The call to OctoPrint that the attempt needs now."""
        if self.ended:
            return None
        if isinstance(self._wanted, StartFile):
            return self._start_call(same_server)
        if seen is None or seen.path != self.path or now - self._asked_at < REPEAT_S:
            return None
        return self._control(seen)

    def _start_call(self, same_server: bool) -> Call | None:
        """A start is asked for again only of the server that has ignored it."""
        if self._starts > 0 and not same_server:
            self._wanted = None
        return self._wanted

    def _control(self, seen: Observation) -> Call | None:
        """Steer the print that OctoPrint shows to be ours."""
        if self.cancelling and seen.activity in (Activity.PRINTING, Activity.PAUSED):
            return CancelFile()
        if self.clearing and seen.activity is Activity.PAUSED:
            return ResumeFile()
        if isinstance(self._wanted, PauseFile) and seen.activity is Activity.PRINTING:
            return self._wanted
        if isinstance(self._wanted, ResumeFile) and seen.activity is Activity.PAUSED:
            return self._wanted
        return None

    def control_sent(self, now: float) -> None:
        """A call of `next_call` other than the start is on its way."""
        self._asked_at = now
        if not self.clearing and not self.cancelling:
            self._wanted = None

    def give_back_if_lost(
        self, lost_since: float, now: Moment, patience_s: float
    ) -> Iterator[Event]:
        """A copy that has not started need not wait for a printer that is gone."""
        if self.state in UNSTARTED_STATES and now.monotonic - lost_since >= patience_s:
            yield self._give_back("the printer was lost before the start", now)
