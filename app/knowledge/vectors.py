"""The FAISS side: chunk ids and vectors, made from what SQLite holds.

Two kinds of index, chosen by size:

- flat, up to `FLAT_MOST` vectors: exact, 1.1 ms for 20,000 of 384 numbers;
- IVF with 8-bit numbers above: a quarter of the memory, a small part of it is looked at,
  and the best are weighed again with the exact vectors. (HNSW is as fast, takes five times
  the memory, and FAISS cannot remove from it.)

The file on the disk is a cache. The manifest beside it names its sha256, the space of its
vectors and the last change of SQLite that it has; a file that does not fit is not read.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

INDEX = "vectors.faiss"
MANIFEST = "manifest.json"
FLAT_MOST = 100_000
# An IVF index is trained anew when it has grown this many times.
_OUTGROWN = 4
_TRAINED_ON = 30  # vectors for each list; FAISS warns below 39, recall does not notice
_LISTS_LOOKED_AT = 20  # one list in so many
_FEWEST_PROBES = 32
# How many more than asked for are weighed again with the exact vectors.
WIDER = 3

Manifest = dict[str, Any]
Batches = Callable[[], Iterator[list[tuple[int, bytes]]]]


class VectorIndex:
    """An inner-product index with ids of our own; `make` fills one.

    Args:
        dimension: how many numbers a vector has.
        index: a FAISS index with ids; default: an empty flat one.
        trained: how many vectors there were when it was trained; 0: it needs no training.
    """

    def __init__(self, dimension: int, index: Any = None, trained: int = 0) -> None:
        import faiss

        self.dimension = dimension
        self.trained = trained
        self._index: Any = index or faiss.IndexIDMap2(faiss.IndexFlatIP(dimension))

    @classmethod
    def make(cls, dimension: int, count: int, batches: Batches) -> VectorIndex:
        """Make the kind of index that suits so many vectors, and fill it.

        Args:
            dimension: how many numbers a vector has.
            count: how many vectors there are.
            batches: yields all of them, as `add` takes them; called twice where one must be
                trained.
        """
        index = cls(dimension)
        if count > FLAT_MOST:
            index = cls._trained(dimension, count, batches)
        for batch in batches():
            index.add(batch)
        return index

    @classmethod
    def _trained(cls, dimension: int, count: int, batches: Batches) -> VectorIndex:
        import faiss

        lists = int(4 * count**0.5)
        sample = _sample(batches, count, _TRAINED_ON * lists)
        ivf: Any = faiss.index_factory(dimension, f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
        ivf.cp.min_points_per_centroid = 1
        ivf.cp.niter = 10
        ivf.train(sample)
        ivf.nprobe = max(_FEWEST_PROBES, lists // _LISTS_LOOKED_AT)
        return cls(dimension, ivf, trained=count)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def kind(self) -> str:
        """What `knowledge show` says of it."""
        if not self.trained:
            return "flat, exact"
        return f"IVF of {self._index.nlist} lists, 8 bits, {self._index.nprobe} looked at"

    @property
    def exact(self) -> bool:
        """Whether its scores are those of the vectors as they were given."""
        return not self.trained

    def suits(self, count: int) -> bool:
        """Tell whether it is still the right kind for so many vectors."""
        if self.trained:
            return self.trained // _OUTGROWN <= count <= self.trained * _OUTGROWN
        return count <= FLAT_MOST

    def ids(self) -> NDArray[np.int64]:
        """Return the chunk ids it holds, in order."""
        import faiss

        if not self.trained:
            return np.sort(faiss.vector_to_array(self._index.id_map))
        lists = self._index.invlists
        found = [
            faiss.rev_swig_ptr(lists.get_ids(n), lists.list_size(n)).copy()
            for n in range(lists.nlist)
            if lists.list_size(n)
        ]
        return np.sort(np.concatenate(found)) if found else np.array([], dtype=np.int64)

    def add(self, rows: Iterable[tuple[int, bytes]]) -> None:
        """Add vectors, given as (chunk id, little-endian float32)."""
        if pairs := list(rows):
            ids = np.array([row[0] for row in pairs], dtype=np.int64)
            self._index.add_with_ids(_matrix(pairs, self.dimension), ids)

    def remove(self, chunk_ids: Sequence[int]) -> None:
        """Remove vectors by chunk id; ids that are not there are passed over."""
        import faiss

        if len(chunk_ids):
            ids = np.asarray(chunk_ids, dtype=np.int64)
            self._index.remove_ids(faiss.IDSelectorBatch(ids))

    def search(self, vector: NDArray[np.float32], k: int) -> list[tuple[int, float]]:
        """Return the chunk ids nearest to a vector and their cosine, best first."""
        if not len(self):
            return []
        scores, ids = self._index.search(vector.reshape(1, -1), min(k, len(self)))
        return [
            (int(i), float(score)) for i, score in zip(ids[0], scores[0], strict=True) if i >= 0
        ]

    def vector(self, chunk_id: int) -> NDArray[np.float32] | None:
        """Return the exact vector of a chunk id; None if this kind does not keep it."""
        if self.trained:
            return None
        return np.asarray(self._index.reconstruct(chunk_id), dtype=np.float32)

    def save(self, folder: Path, about: Manifest) -> None:
        """Write the file, then the manifest that vouches for it; each is whole or not there.

        Args:
            folder: where they go.
            about: what else the manifest says; `space` must be in it.
        """
        import faiss

        beside = folder / f"{INDEX}.{os.getpid()}.new"
        faiss.write_index(self._index, str(beside))
        with beside.open("rb+") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        beside.replace(folder / INDEX)
        stated = {
            "kind": self.kind,
            "vectors": len(self),
            "trained": self.trained,
            "sha256": digest,
        }
        write_manifest(folder, {**about, "index": stated})

    @classmethod
    def read(cls, folder: Path, space: str, dimension: int) -> tuple[VectorIndex, int] | None:
        """Read the file back, with the last change it has.

        None where it is missing, damaged or of another space.
        """
        import faiss

        manifest = read_manifest(folder)
        stated = manifest.get("index")
        if manifest.get("space") != space or not isinstance(stated, dict):
            return None
        try:
            with (folder / INDEX).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest != stated.get("sha256"):
                return None
            index = faiss.read_index(str(folder / INDEX))
        except (FileNotFoundError, RuntimeError):
            return None
        trained, sequence = int(stated.get("trained", 0)), int(manifest.get("sequence", 0))
        return cls(dimension, index, trained), sequence


def _sample(batches: Batches, count: int, most: int) -> NDArray[np.float32]:
    """Draw vectors to train on, spread evenly over all."""
    step = max(1, count // most)
    rows: list[tuple[int, bytes]] = []
    seen = 0
    for batch in batches():
        rows += batch[-seen % step :: step]
        seen += len(batch)
    return _matrix(rows, len(rows[0][1]) // 4)


def _matrix(rows: Sequence[tuple[int, bytes]], dimension: int) -> NDArray[np.float32]:
    flat = np.frombuffer(b"".join(row[1] for row in rows), dtype="<f4")
    return flat.reshape(len(rows), dimension).astype(np.float32)


def read_manifest(folder: Path) -> Manifest:
    """Return what the manifest says; empty where it is missing or damaged."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest."""
    text = json.dumps(manifest, ensure_ascii=False, indent=2) + "\n"
    write_whole(folder / MANIFEST, text.encode())


def write_whole(path: Path, data: bytes) -> None:
    """Write beside the file and rename, so that a reader sees the old one or the new one."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
