"""Finds out why an OctoPrint cannot be used; `pms-probe check` shows what comes of it."""
