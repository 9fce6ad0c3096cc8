"""Runs, threads and assistants: everything that runs a graph for a client."""
