"""Printer management service: paid jobs from OpenFarm, streamed to real printers."""

__version__ = "0.1.0"
