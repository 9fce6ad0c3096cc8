"""Loaders of LangChain's community, for kinds of files that have no reader here.

A loader is another's code: it is called with a path on this machine, and whatever goes wrong
inside of it is reported under its name. Loaders that fetch an address, or send the file to a
service, are refused: documents stay on this machine.
"""

from __future__ import annotations

import importlib
import inspect
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundling.errors import DocumentError
from groundling.knowledge.loaders.document import LoadedDocument, TextBuilder

if TYPE_CHECKING:
    from langchain_core.documents import Document

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*Loader")
# What the loaders of files call their first parameter; others take addresses, keys, queries.
_FILE_PARAMETERS = {"chat_log", "file_path", "log_file", "path", "source", "zip_path"}
# They take a file's path, and send the file to a service or fetch another.
_REMOTE = {
    *("AmazonTextractPDFLoader", "AssemblyAIAudioTranscriptLoader", "DedocAPIFileLoader"),
    *("GutenbergLoader", "HuggingFaceDatasetLoader", "LLMSherpaFileLoader", "MathpixPDFLoader"),
    *("OnlinePDFLoader", "UnstructuredAPIFileLoader"),
}
_MOST_PAGES = 100_000


def load_community(path: Path, loader: str) -> LoadedDocument:
    """Read a file with the class of that name in `langchain_community.document_loaders`.

    Args:
        path: the file; the class is called with nothing else.
        loader: the class's name, which ends in "Loader".

    Raises:
        DocumentError: there is no such class, it is not one for files on this machine, a
            package is missing, or it fails.
    """
    with warnings.catch_warnings():
        # The package announces its end at import; its loaders use what is deprecated elsewhere.
        warnings.simplefilter("ignore", DeprecationWarning)
        chosen = _class(loader)
        try:
            documents: Sequence[Document] = chosen(str(path)).load()
        except ImportError as error:
            raise DocumentError(
                f"{path.name}: {loader} needs a package that is not installed ({error}).",
                hint=f"pip install {error.name}" if error.name else None,
            ) from error
        except Exception as error:  # another's code: it may raise anything
            raise DocumentError(
                f"{path.name}: {loader} failed with {type(error).__name__}: {error}",
                hint="Try another loader of LangChain's, or convert the file.",
            ) from error
    return _joined(documents, path)


def _class(loader: str) -> Any:
    """Return the class, if it reads files of this machine."""
    if not _NAME.fullmatch(loader):
        raise DocumentError(
            f"{loader!r} is no name of a loader: it must be one word that ends in Loader.",
            hint="For example TextLoader or BSHTMLLoader.",
        )
    try:
        # By name, and here only: nothing else may come to need a package that is being retired.
        module = importlib.import_module("langchain_community.document_loaders")
        chosen = getattr(module, loader, None)
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        package = "'groundling[community]'" if missing == "langchain_community" else missing
        raise DocumentError(
            f"{loader} needs the package {missing or error}, which is not installed.",
            hint=f"pip install {package}",
        ) from error
    if not (inspect.isclass(chosen) and hasattr(chosen, "load")):
        raise DocumentError(
            f"LangChain's community has no loader {loader}.",
            hint="Its names are on https://docs.langchain.com/oss/python/integrations/document_loaders",
        )
    first = next(iter(inspect.signature(chosen).parameters), "nothing")
    if loader in _REMOTE or first not in _FILE_PARAMETERS:
        raise DocumentError(
            f"{loader} does not read a file of this machine: it takes {first}"
            + (", which it sends or fetches." if loader in _REMOTE else "."),
            hint="Fetch what it would fetch, and add the file.",
        )
    return chosen


def _joined(documents: Sequence[Document], path: Path) -> LoadedDocument:
    """Write what a loader returned as one document, with its pages where it numbers them."""
    builder = TextBuilder()
    numbers = _pages(documents)
    for place, document in enumerate(documents):
        while numbers and len(builder.pages) < numbers[place]:
            builder.page()
        builder.paragraph(document.page_content)
    title = documents[0].metadata.get("title") if documents else None
    title = title if isinstance(title, str) and title.strip() else path.stem
    return builder.document(title, path.suffix.lower().lstrip("."))


def _pages(documents: Sequence[Document]) -> list[int]:
    """Return each document's page, counted from 1; nothing where not all have one, in order."""
    numbers = [document.metadata.get("page") for document in documents]
    pages = [number for number in numbers if isinstance(number, int)]
    if not pages or len(pages) < len(numbers) or pages != sorted(pages):
        return []
    # Most loaders count from 0, some from 1.
    counted = [number + (pages[0] <= 0) for number in pages]
    return counted if counted[-1] <= _MOST_PAGES else []
