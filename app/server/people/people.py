"""People: users with keys and roles, what is whose, and the log of who did what.

    people = People.open(settings)
    people.users.add("alice", Role.MEMBER)
    key, text = people.keys.add("alice", "laptop")     # text is shown once: gl_…
    people.keys.holder(text)                           # Holder("alice", …)

Without users the server serves this machine alone and everyone is the local user, an admin.
With one user, every request must say who sends it. A user whose name is `memory.user` owns
what the command line has made and makes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Self

from groundling.server.people.audit import AuditLog
from groundling.server.people.file import PeopleFile
from groundling.server.people.keys import Keys
from groundling.server.people.knowledge import KnowledgeEntry, KnowledgeNames
from groundling.server.people.limits import Failures
from groundling.server.people.owners import Owners
from groundling.server.people.sessions import Sessions
from groundling.server.people.users import Users
from groundling.server.person import Person, Role
from groundling.settings import Settings


class People:
    """Who there is and what is whose; `open` is the way to make one.

    Methods that change something, and those that look at knowledge bases, belong into a
    worker (`services.work`); reading who asks does not.

    Args:
        file: where all of it is kept.
        settings: of the home folder.
        clock: gives the time, in seconds since 1970.
    """

    def __init__(
        self, file: PeopleFile, settings: Settings, clock: Callable[[], float] = time.time
    ) -> None:
        self._file = file
        self._default_knowledge = settings.retrieval.knowledge
        self.local = Person(settings.memory.user, Role.ADMIN, "local")
        self.users = Users(file, clock)
        self.keys = Keys(file, clock)
        self.sessions = Sessions(file, settings.server.session_hours, clock)
        self.owners = Owners(file, self.local.id, clock)
        self.log = AuditLog(file, clock)
        self.failures = Failures()
        root = settings.knowledge_path("x").parent
        self._knowledge = KnowledgeNames(file, self.owners, root, self.local.id)

    @classmethod
    def open(cls, settings: Settings, clock: Callable[[], float] = time.time) -> Self:
        """Open the people of a home folder; there need not be any.

        Raises:
            GroundlingError: the file cannot be read.
        """
        return cls(PeopleFile(settings.people_path), settings, clock)

    @property
    def required(self) -> bool:
        """Whether every request must say who sends it: there are users."""
        return self.users.some

    def gone(self, name: str) -> str | None:
        """Return why someone who was let in may not be here any more; None: they may."""
        if name == self.local.id and not self.required:
            return None
        return self.users.gone(name)

    def audit(self, person: Person, action: str, what: str = "", **details: Any) -> None:
        """Write down that a person did something; use it from a worker.

        Args:
            action: thing and verb, such as `knowledge.delete`.
            what: the thing's name.
            **details: JSON; no prompts, answers or keys.
        """
        self.log.write(person.id, action, what, via=person.via, **details)

    def knowledge(self, person: Person, name: str, *, write: bool = False) -> str:
        """Return the folder of a knowledge base by the name that a person has for it.

        Raises:
            Problem: 404, there is none that they may read, or change.
        """
        return self._knowledge.find(person, name, write=write)

    def knowledge_folder(self, person: Person, name: str) -> str:
        """Return the folder that a new knowledge base of a person gets.

        Raises:
            Problem: 422, bases are not called so; 409, they have one.
        """
        return self._knowledge.new(person, name)

    def knowledge_default(self, person: Person) -> str | None:
        """Return the folder that a run of a person answers from which names none.

        That is their own base of the configured name, else the local user's, if it is shared.
        """
        return self._knowledge.default(person, self._default_knowledge)

    def knowledge_shown(self, person: Person) -> list[KnowledgeEntry]:
        """Return the knowledge bases that a person may read, their own ones first."""
        return self._knowledge.shown(person)

    def share_knowledge(self, person: Person, name: str, shared: bool) -> None:
        """Let everyone read a knowledge base of one's own, or nobody else.

        Raises:
            Problem: 404, there is none of theirs.
        """
        self._knowledge.share(person, name, shared)

    def forget_knowledge(self, folder: str) -> None:
        """Forget whose a knowledge base was: it is deleted."""
        self._knowledge.forget(folder)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
