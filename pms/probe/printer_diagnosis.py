"""What is wrong with the printer behind an OctoPrint, and with its machine. Pure."""

from __future__ import annotations

from pms.domain.observation import Activity, Observation
from pms.probe.answers import PrinterError, PrinterState, SerialAnswer
from pms.probe.findings import Finding, failed, ok, warning
from pms.probe.latency import Latency
from workers.octoprint_answers import activity_of
from workers.octoprint_errors import one_line

MIB = 1024 * 1024
GIB = 1024 * MIB
#: OctoPrint itself warns below these.
SPACE_WARNING_BYTES = 500 * MIB
SPACE_CRITICAL_BYTES = 200 * MIB
CLOCK_TOLERANCE_S = 30.0
#: PMS needs some ten answers for a start.
SLOW_MEDIAN_S = 0.5
MAKE_ROOM = "remove files (`pms-probe files --clean`), timelapses and old logs"
_ANY_PORT = frozenset({None, "", "AUTO"})
_NO_PRINTER = frozenset({Activity.DISCONNECTED, Activity.ERROR, Activity.CONNECTING})
_CONNECT = "`pms-probe connect`, or Connect in OctoPrint"


def serial_port(serial: SerialAnswer) -> Finding:
    """Whether OctoPrint sees the port at which its printer should be."""
    if activity_of(serial.current.state) not in _NO_PRINTER:
        return ok(f"{serial.current.port} is in use")
    wanted, there = serial.current.port or serial.options.port_preference, serial.options.ports
    if wanted in there:
        return ok(f"{wanted} is there")
    if wanted in _ANY_PORT and there:
        return ok(f"any of {_listed(there)}")
    port = "serial port" if wanted in _ANY_PORT else f"serial port {one_line(str(wanted))}"
    return failed(
        f"OctoPrint's machine has no {port}; it has {_listed(there)}",
        "check the USB cable and that the printer is switched on; if the port has another name "
        "now, choose it in OctoPrint (one below /dev/serial/by-id stays the same)",
    )


def _listed(ports: tuple[str, ...]) -> str:
    return one_line(", ".join(ports)) or "none at all"


def printer(look: Observation, serial: SerialAnswer, error: PrinterError) -> Finding:
    """Whether OctoPrint is connected to its printer."""
    baudrate = serial.current.baudrate
    match look.activity:
        case Activity.DISCONNECTED:
            return failed(
                "OctoPrint is not connected to its printer",
                f"a running PMS connects it by itself; or {_CONNECT}",
                one_line(look.error),
            )
        case Activity.ERROR:
            return _error(look, error)
        case Activity.CONNECTING:
            return failed(
                f"OctoPrint is still connecting to its printer ({one_line(look.state_text)})",
                "check again in a minute; if it goes on, the printer is off, or port "
                f"{serial.current.port} or baud rate {baudrate} is wrong",
            )
    profile = one_line(serial.current.printer_profile or "none")
    return ok(f"port {serial.current.port}, {baudrate} baud, profile {profile}")


def _error(look: Observation, error: PrinterError) -> Finding:
    said = one_line(error.error or look.error) or "OctoPrint does not say which"
    if error.reason == "firmware":
        remedy = "find out why at the printer, switch it off and on, then connect it"
    elif error.reason == "timeout":
        remedy = "the printer stopped answering: check its cable and power, then connect it"
    else:
        remedy = "check the printer, its cable and its power, then connect it"
    return failed(f"the printer is in error: {said}", f"{remedy}: {_CONNECT}")


def state(state: PrinterState, look: Observation) -> Finding:
    """What the printer does."""
    flags = ", ".join(one_line(name) for name, is_set in state.flags.items() if is_set)
    words = [one_line(state.text)]
    if look.activity is not Activity.OPERATIONAL and look.path is not None:
        share = f", {look.progress:.0%}" if look.progress is not None else ""
        words.append(f"{one_line(look.path)}{share}")
    detail = f"{': '.join(words)} (flags {flags})"
    if look.activity is Activity.OTHER:
        return warning(
            f"PMS does not know the state {one_line(look.state_text)!r} and gives it no copies",
            "wait until it is over, or look in OctoPrint",
            detail,
        )
    return ok(detail)


def free_space(free_bytes: int) -> Finding:
    """Whether there is room for G-code."""
    if free_bytes >= SPACE_WARNING_BYTES:
        return ok(f"{free_bytes / GIB:.1f} GiB are free")
    report = failed if free_bytes < SPACE_CRITICAL_BYTES else warning
    return report(
        f"OctoPrint's disk is almost full: {free_bytes / MIB:.0f} MiB are left", MAKE_ROOM
    )


def clock(ahead_s: float) -> Finding:
    """How far OctoPrint's clock is ahead of this machine's."""
    amount = abs(ahead_s)
    direction = "ahead of" if ahead_s > 0 else "behind"
    if amount <= CLOCK_TOLERANCE_S:
        return ok(f"{amount:.1f} s {direction} the clock here")
    return warning(
        f"OctoPrint's clock is {_span(amount)} {direction} the clock here",
        "let both machines set their clocks by NTP (`timedatectl` shows which one is wrong); "
        "until then, times in OctoPrint and in PMS do not match",
    )


def _span(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{seconds:.0f} s"


def round_trips(latency: Latency) -> Finding:
    """Whether OctoPrint answers fast enough."""
    detail = f"{latency} of {latency.count}"
    if latency.median_s <= SLOW_MEDIAN_S:
        return ok(detail)
    return warning(
        f"half of OctoPrint's answers take longer than {latency.median_s:.1f} s",
        "look for a weak Wi-Fi, and for an overloaded machine (webcam streams, timelapses, "
        "plugins, a worn SD card)",
        detail,
    )
