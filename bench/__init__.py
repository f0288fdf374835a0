"""Benchmarks: each measures PMS against a floor in the same run and prints the ratio."""
