"""What PMS depends on goes away while printers print, and comes back."""

from __future__ import annotations

import signal
import time
from datetime import UTC, datetime

import pytest

from pms.demo.octoprint_server import OctoPrintServer
from tests.support.postgres import PostgresServer
from tests.support.print_shop import STORY, PrintShop, Work, only, strike
from tests.support.rabbitmq import RabbitServer
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(240)


def test_broker_away_while_prints_end_and_begin(
    shop: PrintShop, rabbitmq_server: RabbitServer
) -> None:
    shop.start()
    first = shop.order(0, 4.0)
    shop.wait_printing(first)
    rabbitmq_server.stop()
    # Nobody can tell of this one.
    second = shop.order(1, 1.0, message=False)
    shop.wait_completed(first, second)

    rabbitmq_server.start()
    shop.check(first, second, may_repeat=True)
    third = shop.order(0, 1.0)
    shop.check(third)


def test_broker_away_from_before_the_start_until_after_the_last_print(
    shop: PrintShop, rabbitmq_server: RabbitServer
) -> None:
    rabbitmq_server.stop()
    shop.start()
    works = [shop.order(n, 1.0, message=False) for n in (0, 1)]
    shop.wait_completed(*works)
    waiting = shop.openfarm.rows("pms_outbox")
    assert [row["published_at"] for row in waiting] == [None] * 2 * len(STORY)

    rabbitmq_server.start()
    shop.check(*works)
    # Nobody heard of any of it before, so nothing comes twice, and all in its order.
    assert shop.told_ids() == [row["message_id"] for row in waiting]


def test_database_away_while_prints_end(shop: PrintShop, postgres_server: PostgresServer) -> None:
    shop.start()
    short, long = shop.order(0, 3.0), shop.order(1, 6.0)
    shop.wait_printing(short, long)
    # Only its message can make this one known: the sweep looks for approved jobs.
    waiting = shop.order(0, 1.0, message=False, job_status="received")
    pids = [shop.printer(n)["worker_pid"] for n in (0, 1)]

    away_since = datetime.now(UTC)
    postgres_server.stop()
    shop.broker.publish_job_paid(waiting.job)
    for server in shop.servers:
        server.wait_state("Paused")
    both_were_finished = datetime.now(UTC)
    postgres_server.start()

    shop.reconnect()
    shop.check(short, long)
    # When it happened, not when it could be written.
    assert away_since < only(shop.openfarm.prints(short.job))["finished_at"] < both_were_finished
    assert [shop.printer(n)["worker_pid"] for n in (0, 1)] == pids
    wait_until(lambda: shop.statuses(waiting) == ["pending"], 20.0, "the prints of the last job")


def test_octoprint_restarted_in_mid_print(shop: PrintShop) -> None:
    shop.use_one_model()
    shop.start()
    first = shop.order(0, 6.0)
    struck, other = _printer_of(shop, first)
    _restart(shop, struck)

    # The bed of the first one is occupied: the copy is printed by the other printer.
    _check_interrupted(shop, first)
    _check_replaced(shop, first, other)
    assert shop.printer(struck)["bed"] == "occupied"

    # No bed is left for the copy of the second one, until somebody clears one.
    second = shop.order(0, 6.0)
    assert _printer_of(shop, second) == (other, struck)
    _restart(shop, other)
    _check_interrupted(shop, second)
    queue = shop.coordinator.status()["queue"]
    assert [(entry["job_id"], "bed" in entry["reason"]) for entry in queue] == [(second.job, True)]
    shop.coordinator.run("clear", f"p{struck}")
    _check_replaced(shop, second, struck)


def _printer_of(shop: PrintShop, work: Work) -> tuple[int, int]:
    """The one that prints it, and the other one."""
    shop.wait_printing(work)
    n = shop.ids.index(only(shop.openfarm.prints(work.job))["printer_id"])
    return n, 1 - n


def _restart(shop: PrintShop, n: int) -> None:
    shop.servers[n].kill()
    assert shop.wait_for(n, "unreachable")["bed"] == "occupied"
    shop.servers[n].start()


def _check_interrupted(shop: PrintShop, work: Work) -> None:
    """The copy failed and was told of so far as it went; another one takes its place."""
    wait_until(lambda: "failed" in shop.statuses(work), 60.0, "failure of the interrupted print")
    assert len(shop.openfarm.prints(work.job)) == 2
    attempt = shop.openfarm.rows("pms_attempts", job_id=work.job)[0]
    assert attempt["state"] == "failed"
    assert "interrupted" in attempt["error"]


def _check_replaced(shop: PrintShop, work: Work, n: int) -> None:
    shop.wait_completed(work)
    failed, completed = shop.openfarm.prints(work.job)
    assert (failed["print_status"], completed["print_status"]) == ("failed", "completed")
    assert completed["printer_id"] == shop.ids[n]
    whole = [*work.gcode.marks, *work.gcode.marks_behind]
    assert work.gcode.marks_in(shop.servers[n].printer_log()) == whole
    wait_until(
        lambda: [m.properties.type for m in shop.told(work)] == ["PrintStarted", *STORY],
        20.0,
        "the messages of both copies",
    )


def test_octoprint_silent_in_mid_print(shop: PrintShop) -> None:
    """Push falls silent: nothing else tells in time, because no look is due and none ends."""
    shop.coordinator.environment |= {"PMS_POLL_INTERVAL": "300", "PMS_HTTP_TIMEOUT": "60"}
    shop.start()
    struck, other = shop.order(0, 4.0), shop.order(1, 4.0)
    shop.wait_printing(struck, other)
    server: OctoPrintServer = shop.servers[0]

    server.freeze()
    unreachable = shop.wait_for(0, "unreachable")
    assert unreachable["bed"] == "occupied"
    assert "may hang" in unreachable["detail"]
    shop.wait_completed(other)
    assert shop.statuses(struck) == ["printing"]
    server.thaw()

    shop.check(struck, other)
    assert [shop.printer(n)["restarts"] for n in (0, 1)] == [0, 0]


def test_stopped_while_everything_hangs(
    shop: PrintShop,
    postgres_server: PostgresServer,
    rabbitmq_server: RabbitServer,
    report: dict[str, str],
) -> None:
    shop.start()
    works = shop.order(0, 10.0), shop.order(1, 10.0)
    shop.wait_printing(*works)
    shop.servers[0].freeze()
    strike(shop.printer(1)["worker_pid"], signal.SIGSTOP)
    with postgres_server.frozen(), rabbitmq_server.frozen():
        began = time.monotonic()
        assert shop.coordinator.stop() == 0
        report["coordinator stopped, everything frozen"] = f"{time.monotonic() - began:.2f} s"
    shop.servers[0].thaw()
    wait_until(lambda: not shop.coordinator.left_over(), 10.0, "end of all processes")

    shop.coordinator.start()
    shop.check(*works, may_repeat=True)
