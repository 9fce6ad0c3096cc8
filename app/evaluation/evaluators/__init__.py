"""Evaluators: each gives a run of an example a score."""
