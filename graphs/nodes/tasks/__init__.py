"""The steps of the `tasks` graph, one task a file."""
