"""The command `pms-simulator`."""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from pms.cli.arguments import new_parser, whole_number
from pms.errors import PMSError
from pms.simulator.control import Control, describe
from pms.simulator.machine import Setup
from pms.simulator.simulation import Options, Simulation, SimulatorError

DEFAULT_BASE_PORT = 15_001


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate until Ctrl-C or SIGTERM; returns the exit code."""
    chosen = build_parser().parse_args(arguments)
    _allow_many_connections()
    try:
        asyncio.run(_simulate(chosen))
    except PMSError as error:
        print(f"pms-simulator: {error}", file=sys.stderr)
        return 1
    return 0


def build_parser() -> argparse.ArgumentParser:
    """What the command understands."""
    parser = new_parser(
        "pms-simulator",
        "OctoPrint look-alikes with simulated printers, many in one process, for tests and load. "
        "Prints the address and the API key of each, then where its control interface is.",
        "pms-simulator --printers 500\n"
        "pms-simulator --printers 2 --base-port 5001 --speed 20000 --json",
    )
    add = parser.add_argument
    usual = Setup()
    add(
        "--printers",
        type=whole_number(1, 5000),
        default=1,
        metavar="N",
        help="how many; default: 1",
    )
    add(
        "--base-port",
        type=whole_number(0, 65535),
        default=DEFAULT_BASE_PORT,
        metavar="P",
        help=f"port of the first printer, the others follow; default: {DEFAULT_BASE_PORT}; "
        "0: the system chooses all ports",
    )
    add(
        "--control-port",
        type=whole_number(0, 65535),
        metavar="P",
        help="port of the control interface; default: the one before the base port",
    )
    add("--host", default="127.0.0.1", help="address to listen on; default: 127.0.0.1")
    add("--api-key", metavar="K", help="API key of all printers; default: a random one for each")
    add(
        "--speed",
        type=_positive,
        default=usual.speed,
        metavar="BYTES",
        help="bytes of G-code that are printed in a second, dwells and heating not counted; "
        f"default: {usual.speed:.0f}",
    )
    add(
        "--heating",
        type=_positive,
        default=usual.heating,
        metavar="DEGREES",
        help=f"degrees that a heater gains in a second; default: {usual.heating:.0f}",
    )
    add("--disconnected", action="store_true", help="start with printers that are not connected")
    add("--seed", type=int, metavar="N", help="for what is left to chance")
    add("--json", action="store_true", help="print one JSON object, for programs")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _allow_many_connections() -> None:
    """Raise the limit of open files as far as it goes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _simulate(chosen: argparse.Namespace) -> None:
    options = Options(
        printers=chosen.printers,
        host=chosen.host,
        base_port=chosen.base_port,
        api_key=chosen.api_key,
        setup=Setup(speed=chosen.speed, heating=chosen.heating),
        connected=not chosen.disconnected,
        seed=chosen.seed,
    )
    stopped = _stop_signals()
    with tempfile.TemporaryDirectory(prefix="pms-simulator-") as folder:
        simulation = Simulation(options, Path(folder))
        runner = web.AppRunner(Control(simulation).application(), access_log=None)
        try:
            await simulation.start()
            url = await _open_control(runner, chosen)
            _announce(simulation, url, as_json=chosen.json)
            await simulation.run(stopped)
        finally:
            await simulation.stop()
            await runner.cleanup()


def _stop_signals() -> asyncio.Event:
    """Set when somebody wants the simulator to end."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped


async def _open_control(runner: web.AppRunner, chosen: argparse.Namespace) -> str:
    port = chosen.control_port
    if port is None:
        port = max(0, chosen.base_port - 1)
    await runner.setup()
    site = web.TCPSite(runner, chosen.host, port)
    try:
        await site.start()
    except OSError as error:
        raise SimulatorError(
            f"the control interface cannot listen on port {port}: {error}; "
            "choose another --control-port"
        ) from error
    return f"http://{chosen.host}:{runner.addresses[0][1]}"


def _announce(simulation: Simulation, control: str, *, as_json: bool) -> None:
    """Say where everything is, once everything can be reached."""
    printers = [describe(server) for server in simulation.servers]
    if as_json:
        print(json.dumps({"control": control, "printers": printers}), flush=True)
        return
    for printer in printers:
        print(f"{printer['url']} {printer['api_key']}")
    print(f"control interface: {control}", flush=True)
