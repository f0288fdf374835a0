"""Payments taken in a second; the floor is a bare consumer that inserts and commits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from bench.figures import Figure, Unit, at_least, figure
from bench.live_farm import open_farm
from bench.scene import Scene
from bench.stopwatches import TIMEOUT_S
from tests.support.broker import Broker
from tests.support.farm import Farm
from tests.support.postgres import Database
from tests.support.waiting import wait_until

COPIES = 3
BUDGET = 1_000.0
#: Messages of one commit of the floor, as PMS has it.
BATCH = 200
QUEUE = "BareJobPaid"
JOBS = """
INSERT INTO print_jobs (submitted_at, num_copies, paid, job_status)
SELECT now(), %s, true, 'operatorApproved' FROM generate_series(1, %s) RETURNING id
"""
PRINTS = """
INSERT INTO prints (print_job_id, print_status) SELECT %s, 'pending' FROM generate_series(1, %s)
"""


def run(scene: Scene) -> Iterator[Figure]:
    """Bursts of payments, PMS and the floor in turns."""
    jobs, rounds = scene.scale.pick((3_000, 2), (600, 1), (50, 1))
    # The sweep for lost messages would take some of the jobs in by itself.
    with open_farm(scene, PMS_POLL_INTERVAL="3600") as farm:
        farm.start()
        pairs = [(_with_pms(farm, jobs), _bare(scene, jobs)) for _ in range(rounds)]
    taken, floor = zip(*pairs, strict=True)
    yield figure(
        f"JobPaid taken in, {COPIES} copies each",
        Unit.PER_SECOND,
        taken,
        at_least(BUDGET),
        floor=sum(floor) / rounds,
        floor_is="a bare consumer that inserts, commits and acknowledges",
        note=f"bursts of {jobs:,}, from the first message to the last commit",
    )


def _with_pms(farm: Farm, jobs: int) -> float:
    ids = _add_jobs(farm.database, jobs)
    with farm.database.connect() as connection:

        def all_taken_in() -> bool:
            count = "SELECT count(*) FROM prints WHERE print_job_id >= %s"
            row = connection.execute(count, (ids[0],)).fetchone()
            return row is not None and row["count"] == jobs * COPIES

        began = time.monotonic()
        _publish(farm.broker, "JobPaid", "", ids)
        wait_until(all_taken_in, TIMEOUT_S, f"{jobs} jobs taken in", interval_s=0.02)
    return jobs / (time.monotonic() - began)


def _bare(scene: Scene, jobs: int) -> float:
    ids = _add_jobs(scene.database, jobs)
    with scene.broker.channel() as channel:
        channel.queue_declare(QUEUE, durable=True)
    _publish(scene.broker, "", QUEUE, ids)
    began = time.monotonic()
    with scene.broker.channel() as channel, scene.database.connect() as connection:
        channel.basic_qos(prefetch_count=2 * BATCH)
        batch: list[int] = []
        for method, _, body in channel.consume(QUEUE):
            batch.append(int(body))
            if len(batch) == BATCH or method.delivery_tag == jobs:
                _commit(connection, batch)
                channel.basic_ack(method.delivery_tag, multiple=True)
                batch = []
            if method.delivery_tag == jobs:
                break
    return jobs / (time.monotonic() - began)


def _commit(connection: Any, jobs: list[int]) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(PRINTS, [(job, COPIES) for job in jobs])


def _add_jobs(database: Database, jobs: int) -> list[int]:
    with database.connect() as connection:
        rows = connection.execute(JOBS, (COPIES, jobs)).fetchall()
    return [int(row["id"]) for row in rows]


def _publish(broker: Broker, exchange: str, routing_key: str, ids: list[int]) -> None:
    with broker.channel() as channel:
        for id in ids:
            body = b'{"JobId": %d}' % id if exchange else b"%d" % id
            channel.basic_publish(exchange, routing_key, body)
