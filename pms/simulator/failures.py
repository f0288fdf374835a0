"""What can go wrong with a printer, as OctoPrint tells it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Failure:
    """What `/api/printer/error` and the event `Error` say; empty when all is well."""

    error: str = ""
    reason: str = ""
    consequence: str = ""
    faq: str | None = None


NOTHING = Failure()
#: OctoPrint's text when the serial connection is gone.
DROPPED = "SerialTimeoutException: "
EMERGENCY_STOP = "Closing serial port due to emergency stop M112."


def firmware_error(error: str, faq: str | None = None) -> Failure:
    """The firmware has reported an error, upon which OctoPrint halts the printer."""
    return Failure(error, "firmware", "emergency", faq)


THERMAL_RUNAWAY = firmware_error(
    "Thermal Runaway, system stopped! Heater_ID: bed - Printer halted. kill() called!",
    "firmware-thermal-runaway",
)
