"""Imported by the fork server before it forks: shared memory instead of one copy a process."""

from __future__ import annotations

import gc

import workers.loop

__all__ = ["workers"]

# Frozen objects are never visited by a collection, so their pages stay shared.
gc.collect()
gc.freeze()
