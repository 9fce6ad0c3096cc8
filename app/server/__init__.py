"""Graphs and traces over HTTP."""
