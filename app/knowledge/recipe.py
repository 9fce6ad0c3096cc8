"""How one knowledge base is cut and searched, where it differs from the settings.

`knowledge tune` finds a recipe on a person's own documents and keeps it with them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields

from groundling.errors import KnowledgeError


@dataclass(frozen=True)
class Recipe:
    """None stands for the settings' and the measured defaults.

    Args:
        chunk_characters: the length that chunks should have.
        analyser: "plain" or "kiwi".
        dense_weight: what the dense ranking counts, by language ("en", "ko"); the lexical
            one counts 1.
        passages: how many passages the model is given.
        reranker: "model" (the chat model's yes or no), or a reranker of the catalogue.
    """

    chunk_characters: int | None = None
    analyser: str | None = None
    dense_weight: dict[str, float] | None = None
    passages: int | None = None
    reranker: str | None = None

    def text(self) -> str:
        """Return it as JSON, without what is None."""
        return json.dumps({k: v for k, v in asdict(self).items() if v is not None})

    @classmethod
    def read(cls, text: str | None) -> Recipe:
        """Read what `text` wrote; None is the empty recipe.

        Raises:
            KnowledgeError: it has a field that is not known.
        """
        stored = json.loads(text or "{}")
        if unknown := set(stored) - {field.name for field in fields(cls)}:
            raise KnowledgeError(
                f"The recipe of the knowledge base has unknown fields: {', '.join(unknown)}.",
                hint="Update Groundling.",
            )
        return cls(**stored)
