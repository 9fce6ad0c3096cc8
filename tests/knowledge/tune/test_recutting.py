from pathlib import Path

import pytest

from groundling.knowledge.base import Knowledge
from groundling.knowledge.chunking import split
from groundling.knowledge.tune.recutting import as_loaded

HANDBOOK = Path(__file__).parents[3] / "data" / "handbook"
Cut = list[tuple[int, int, int | None, str]]


def stored(folder: Path, size: int) -> Knowledge:
    knowledge = Knowledge.open(folder / str(size), None, chunk_characters=size)
    knowledge.add([HANDBOOK])
    return knowledge


@pytest.mark.parametrize(("before", "after"), [(700, 700), (700, 350), (350, 1100), (1100, 250)])
def test_stored_documents_are_cut_as_their_files_would_be(
    tmp_path: Path, before: int, after: int
) -> None:
    with stored(tmp_path, before) as old, stored(tmp_path, after) as new:
        wanted = {one.source: new.chunks(one.id) for one in new.documents()}
        for document in old.documents():
            loaded = as_loaded(document, old.text(document.id), old.chunks(document.id))
            again: Cut = [(c.start, c.end, c.page, c.heading) for c in split(loaded, after)]
            assert again == [(p.start, p.end, p.page, p.heading) for p in wanted[document.source]]
