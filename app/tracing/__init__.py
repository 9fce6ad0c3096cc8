"""Runs kept on this machine, in the shape LangSmith gives them: store, tracer, queries."""
