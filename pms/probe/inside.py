"""The steps that an API key opens: whose it is, what it allows, the printer, and push.

They only ask; none changes anything at OctoPrint or its printer.
"""

from __future__ import annotations

import functools

from pms.domain.observation import Activity, Observation
from pms.probe import printer_diagnosis, push, server_diagnosis
from pms.probe.answers import CurrentUser, LiveConnection, SerialAnswer
from pms.probe.findings import Finding, ok, skipped
from pms.probe.latency import round_trips
from pms.probe.octoprint import ProbedOctoPrint
from pms.probe.server_diagnosis import FILES_LIST, PERMISSIONS, STATUS, Permission
from pms.probe.steps import Step
from pms.probe.way import Way
from workers.octoprint_errors import Unauthorized

ROUND_TRIPS = 20
#: With slow answers, fewer round trips are made.
ROUND_TRIPS_LIMIT_S = 5.0


class Inside:
    """Each step relies on what the ones before it have found out."""

    def __init__(self, way: Way, api_key: str, timeout_s: float) -> None:
        self._way = way
        self._api_key = api_key
        self._timeout_s = timeout_s
        self._user = CurrentUser(permissions=[], groups=[])
        self._serial = SerialAnswer(current=LiveConnection())
        self._look = Observation(activity=Activity.DISCONNECTED)
        self._clock_ahead_s: float | None = None

    @functools.cached_property
    def octoprint(self) -> ProbedOctoPrint:
        """The client, once the way is known to lead to an OctoPrint."""
        return ProbedOctoPrint(self._way.address, self._api_key, self._timeout_s)

    def close(self) -> None:
        """Give up the connection, if there is one."""
        if "octoprint" in self.__dict__:
            self.octoprint.close()

    def steps(self) -> list[Step]:
        """In order."""
        rights = [
            Step(each.step, functools.partial(self._find_permission, each), ("api key",))
            for each in PERMISSIONS
        ]
        return [
            Step("api key", self._find_user, ("octoprint",)),
            *rights,
            Step("version", self._read_version, (STATUS.step,)),
            Step("serial port", self._read_serial, (STATUS.step,)),
            Step("printer", self._look_at_printer, ("serial port",)),
            Step("state", self._read_state, ("printer",)),
            Step("free space", self._read_space, (FILES_LIST.step,)),
            Step("push", self._listen, (STATUS.step,)),
            Step("clock", self._compare_clocks, ("push",)),
            Step("round trips", self._measure, (STATUS.step,)),
        ]

    def _find_user(self) -> Finding:
        try:
            self._user = self.octoprint.current_user()
        except Unauthorized as error:
            return server_diagnosis.unusable_key(str(error))
        return server_diagnosis.api_key(self._user)

    def _find_permission(self, permission: Permission) -> Finding:
        return server_diagnosis.permission(self._user, permission)

    def _read_version(self) -> Finding:
        return ok(f"OctoPrint {self.octoprint.version()['server']}")

    def _read_serial(self) -> Finding:
        self._serial = self.octoprint.serial()
        return printer_diagnosis.serial_port(self._serial)

    def _look_at_printer(self) -> Finding:
        self._look = self.octoprint.look()
        error = self.octoprint.printer_error()
        return printer_diagnosis.printer(self._look, self._serial, error)

    def _read_state(self) -> Finding:
        return printer_diagnosis.state(self.octoprint.printer_state().state, self._look)

    def _read_space(self) -> Finding:
        free = self.octoprint.free_bytes()
        if free is None:
            return skipped("OctoPrint does not tell its free space")
        return printer_diagnosis.free_space(free)

    def _listen(self) -> Finding:
        heard = push.listen(self.octoprint, self._timeout_s)
        self._clock_ahead_s = heard.clock_ahead_s
        return heard.finding

    def _compare_clocks(self) -> Finding:
        if self._clock_ahead_s is None:
            return skipped("OctoPrint does not tell its time")
        return printer_diagnosis.clock(self._clock_ahead_s)

    def _measure(self) -> Finding:
        latency = round_trips(self.octoprint.version, ROUND_TRIPS, ROUND_TRIPS_LIMIT_S)
        return printer_diagnosis.round_trips(latency)
