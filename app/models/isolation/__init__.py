"""A model in a process of its own, which may die without taking this one along.

`supervised` is the engine that callers see, `process` starts and ends the child, `child` is
what runs there, `messages` is what the two say to each other.
"""
