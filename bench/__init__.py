"""Measurements: both sides in one run, CPU time and not wall time, ratios and not single figures."""
