"""One clock for everything: Unix time that never steps."""

from __future__ import annotations

import time

_OFFSET_S = time.time() - time.monotonic()


def now() -> float:
    """Seconds since 1970."""
    return time.monotonic() + _OFFSET_S
