"""What data sets, tags and experiments may be called."""

from __future__ import annotations

from uuid import UUID

from groundling.errors import EvaluationError

MAX_NAME = 200  # characters


def check_name(name: str, what: str = "data set") -> None:
    """Make sure that a name can be written on a line and is not taken for an id.

    Raises:
        EvaluationError: it cannot, or may be.
    """
    if (
        not name
        or name != name.strip()
        or len(name) > MAX_NAME
        or not name.isprintable()
        or name.startswith("-")
        or as_uuid(name) is not None
    ):
        raise EvaluationError(
            f"{name!r} cannot be the name of a {what}.",
            hint=f"1 to {MAX_NAME} printable characters, no dash in front, no blanks at the ends, "
            "and no UUID.",
        )


def as_uuid(text: str) -> UUID | None:
    """Return the UUID that a text is; None if it is none."""
    try:
        return UUID(text)
    except ValueError:
        return None
