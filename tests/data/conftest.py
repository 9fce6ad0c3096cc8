"""What the loaders read from the sample handbook."""

import pytest

from tests.data.make_questions_jsonl import document
from tests.data.sample import DOCUMENTS


@pytest.fixture(scope="session")
def texts() -> dict[str, str]:
    """Return the loaded text of each document by its name."""
    return {name: document(name).text for name in DOCUMENTS}
