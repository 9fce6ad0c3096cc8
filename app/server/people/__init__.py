"""People: who there is, how they say who they are, what they may do, and what is whose.

    people        all of it over one file, people.sqlite
    middleware    admits a request or refuses it, before any route sees it
    rights        which role each path takes
    routes        users, keys, sessions and the audit log over HTTP

Nothing here knows what a graph is; it is imported before anything that takes long.
"""
