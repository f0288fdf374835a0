"""When the printers' processes give signs of life."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from workers.loop import HEARTBEAT_GROUPS, HEARTBEAT_INTERVAL_S, next_beat_at

NOW = st.floats(0.0, 1e8)
PRINTERS = st.integers(1, 2**31 - 1)


@given(now=NOW, printer_id=PRINTERS)
def test_the_next_beat_is_never_later_than_an_interval_from_now(
    now: float, printer_id: int
) -> None:
    beat_at = next_beat_at(now, printer_id)

    # But for the rounding of large numbers.
    assert now - 1e-6 <= beat_at <= now + HEARTBEAT_INTERVAL_S + 1e-6


@given(now=NOW)
def test_hundreds_of_processes_beat_at_ten_moments(now: float) -> None:
    moments = Counter(next_beat_at(now, printer_id) for printer_id in range(1, 501))

    assert list(moments.values()) == [50] * HEARTBEAT_GROUPS
