"""Finds, checks, enables, runs and isolates plugins."""
