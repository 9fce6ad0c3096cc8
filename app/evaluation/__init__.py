"""Data sets, evaluators and experiments: how good a graph is, and whether it got worse."""
