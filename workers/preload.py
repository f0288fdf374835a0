"""Imported by the fork server before it forks: shared memory instead of one copy a process."""

from __future__ import annotations

import gc
import importlib

from workers.process import end_with_parent, give_way

# By itself, a fork server ends only after the last of its children; first, as the rest takes long.
end_with_parent()
give_way()
for name in ("workers.loop", "pms.logs"):
    importlib.import_module(name)
importlib.import_module("workers.warm_up").warm_up()

# Frozen objects are never visited by a collection, so their pages stay shared.
gc.collect()
gc.freeze()
