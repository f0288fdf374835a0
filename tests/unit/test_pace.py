"""How fast bytes may be sent."""

from __future__ import annotations

import pytest

from workers.pace import BLOCK_S, Pace

NOW = 50.0


@pytest.mark.parametrize(
    ("bytes_per_s", "size", "block"),
    [
        (None, 262_144, 262_144),
        (None, -1, -1),
        (1000.0, 262_144, 1000 * BLOCK_S),
        (1000.0, 20, 20),
        (1000.0, -1, 1000 * BLOCK_S),
        (1.0, 20, 1),
        (1e9, 262_144, 262_144),
    ],
)
def test_a_slow_stream_is_sent_in_small_blocks(
    bytes_per_s: float | None, size: int, block: int
) -> None:
    assert Pace(bytes_per_s).block(size) == block


@pytest.mark.parametrize(
    ("bytes_per_s", "blocks", "waits"),
    [
        # How many bytes, and how long it took to send them.
        (None, [(10**9, 0.0)] * 3, [0.0, 0.0, 0.0]),
        (1000.0, [(100, 0.0)] * 3, [0.1, 0.1, 0.1]),
        (1000.0, [(100, 0.04)] * 3, [0.06, 0.06, 0.06]),
        (1000.0, [(100, 0.1)] * 3, [0.0, 0.0, 0.0]),
        # Lost time is lost: no burst follows a pause of the other side.
        (1000.0, [(100, 5.0), (100, 0.0), (100, 0.0)], [0.0, 0.1, 0.1]),
    ],
)
def test_it_waits_as_long_as_the_bytes_should_have_taken(
    bytes_per_s: float | None, blocks: list[tuple[int, float]], waits: list[float]
) -> None:
    pace, now, waited = Pace(bytes_per_s), NOW, []
    for sent, took_s in blocks:
        began_at, now = now, now + took_s
        waited.append(pace.wait_s(sent, began_at, now))
        now += waited[-1]
    assert waited == pytest.approx(waits)
