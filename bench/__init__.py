"""Measurements: both sides in one run; CPU time, not wall time; ratios, not single figures."""
