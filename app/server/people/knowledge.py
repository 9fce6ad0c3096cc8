"""Whose the knowledge bases are, and what they are called to whom.

A base is a folder under `knowledge/`. To its owner it has a plain name; to others, where its
owner shares it, `owner/name`:

    owner           folder           to its owner    to others, if shared
    local user      handbook         handbook        default/handbook
    alice           alice--recipes   recipes         alice/recipes

Shared means: to be read by everyone. Only its owner changes a base.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from groundling.server.people.file import PeopleFile
from groundling.server.people.names import SEPARATOR, is_folder, is_knowledge
from groundling.server.people.owners import Owners
from groundling.server.person import Person
from groundling.server.problems import Problem, not_found


@dataclass(frozen=True)
class KnowledgeEntry:
    """A knowledge base as one person sees it.

    Args:
        name: what they call it.
        folder: its folder under `knowledge/`.
        owner: whose it is.
        shared: everyone may read it.
        writable: they may change it.
    """

    name: str
    folder: str
    owner: str
    shared: bool
    writable: bool


class KnowledgeNames:
    """Finds folders by the names that people have for them.

    The folder has to be there, by exactly that name: a file system that takes `A` for `a`
    leads nobody to what is another's. Methods look at the disk: use them from a worker.

    Args:
        root: the folder of all bases; it need not exist yet.
        local: the name of the local user.
    """

    def __init__(self, file: PeopleFile, owners: Owners, root: Path, local: str) -> None:
        self._file = file
        self._owners = owners
        self._root = root
        self._local = local

    def find(self, person: Person, name: str, *, write: bool = False) -> str:
        """Return the folder of a base that a person may read, or change.

        Raises:
            Problem: 404, there is none that they may.
        """
        owner, _, own = name.rpartition("/")
        owner = owner or person.id
        folder = self._folder(owner, own)
        if (
            is_folder(folder)
            and folder in self._folders()
            and self._owners.owner("knowledge", folder) == owner
            and (owner == person.id or (not write and self._is_shared(folder)))
        ):
            return folder
        raise not_found(f"knowledge base {name}" + (" that you may change" if write else ""))

    def new(self, person: Person, name: str) -> str:
        """Return the folder that a new base of a person gets.

        Raises:
            Problem: 422, bases are not called so; 409, there is one.
        """
        if not is_knowledge(name):
            raise Problem(
                422,
                f"{name[:80]!r} is no name for a knowledge base.",
                hint="Up to 64 letters, digits, spaces, _, - and ., without -- and /.",
                param="name",
            )
        folder = self._folder(person.id, name)
        if folder.casefold() in {there.casefold() for there in self._folders()}:
            raise Problem(409, f"There is a knowledge base {name} already.", param="name")
        return folder

    def default(self, person: Person, name: str) -> str | None:
        """Return the folder that a run answers from which names none.

        Args:
            name: the setting `retrieval.knowledge`.

        Returns:
            Their own base of that name, else the local user's if it is shared, else None.
        """
        for shown in (name, f"{self._local}/{name}"):
            try:
                return self.find(person, shown)
            except Problem:
                continue
        return None

    def shown(self, person: Person) -> list[KnowledgeEntry]:
        """Return the bases that a person may read, their own ones first, by name."""
        shared = self._shared()
        entries = []
        for folder in self._folders():
            owner = self._owners.owner("knowledge", folder)
            mine = owner == person.id
            if not is_folder(folder) or not (mine or folder in shared):
                continue
            own = folder if owner == self._local else folder.removeprefix(owner + SEPARATOR)
            if self._folder(owner, own) != folder:
                continue  # its owner cannot name it: not made by this server
            name = own if mine else f"{owner}/{own}"
            entries.append(KnowledgeEntry(name, folder, owner, folder in shared, mine))
        return sorted(entries, key=lambda entry: (not entry.writable, entry.name))

    def share(self, person: Person, name: str, shared: bool) -> None:
        """Let everyone read a base of one's own, or nobody else.

        Raises:
            Problem: 404, there is none of theirs.
        """
        folder = self.find(person, name, write=True)
        with self._file.writing() as db:
            if shared:
                db.execute(
                    "INSERT INTO shared (folder, created) VALUES (?, ?) ON CONFLICT DO NOTHING",
                    (folder, time.time()),
                )
            else:
                db.execute("DELETE FROM shared WHERE folder = ?", (folder,))

    def forget(self, folder: str) -> None:
        """Forget whose a folder was and that it was shared: it is gone."""
        with self._file.writing() as db:
            db.execute("DELETE FROM shared WHERE folder = ?", (folder,))
        self._owners.release("knowledge", folder)

    def _folder(self, owner: str, name: str) -> str:
        return name if owner == self._local else f"{owner}{SEPARATOR}{name}"

    def _folders(self) -> list[str]:
        try:
            with os.scandir(self._root) as entries:
                return [entry.name for entry in entries if entry.is_dir()]
        except FileNotFoundError:
            return []

    def _shared(self) -> set[str]:
        return {str(row[0]) for row in self._file.rows("SELECT folder FROM shared")}

    def _is_shared(self, folder: str) -> bool:
        return self._file.row("SELECT 1 FROM shared WHERE folder = ?", folder) is not None
