"""OctoPrint's REST interface as a check uses it: nothing here changes anything at the printer."""

from __future__ import annotations

from pms.probe.answers import CurrentUser, PrinterAnswer, PrinterError, SerialAnswer
from workers.octoprint import OctoPrint


class ProbedOctoPrint(OctoPrint):
    """Asks a few things more than PMS does."""

    def current_user(self) -> CurrentUser:
        """Whose key this is, and what he or she may do."""
        return self._fixed("GET", "/api/currentuser", CurrentUser)

    def serial(self) -> SerialAnswer:
        """The serial connection, and those that are possible."""
        return self._fixed("GET", "/api/connection", SerialAnswer)

    def printer_error(self) -> PrinterError:
        """The last error of the printer."""
        return self._fixed("GET", "/api/printer/error", PrinterError)

    def printer_state(self) -> PrinterAnswer:
        """Text and flags. Raises Conflict while the printer is not operational."""
        return self._fixed("GET", "/api/printer?exclude=temperature,sd", PrinterAnswer)
