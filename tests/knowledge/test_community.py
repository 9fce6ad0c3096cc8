"""LangChain's community loaders: those that run here, and what is refused."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest
from fpdf import FPDF

from groundling.errors import DocumentError
from groundling.knowledge.loaders.community import load_community
from groundling.knowledge.loaders.registry import load

pytest.importorskip("langchain_community", reason="the extra `community` is not installed")

KOREAN = "연차 휴가는 한 해에 열다섯 날이다."


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_text(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        document = load_community(written(tmp_path, "휴가.org", KOREAN), "TextLoader")
    assert (document.title, document.format, document.pages) == ("휴가", "org", ())
    assert document.text == f"{KOREAN}\n\n"


def test_several_documents_are_one(tmp_path: Path) -> None:
    path = written(tmp_path, "a.tab", "도시,n\n서울,1\nBusan,2\n")
    assert load_community(path, "CSVLoader").text == "도시: 서울\nn: 1\n\n도시: Busan\nn: 2\n\n"


def test_pages(tmp_path: Path) -> None:
    writer = FPDF()
    writer.set_font("helvetica", size=12)
    for text in ("First page.", "", "Third page."):
        writer.add_page()
        if text:
            writer.multi_cell(0, 10, text)
    path = tmp_path / "a.pdf"
    writer.output(str(path))
    document = load_community(path, "PyPDFium2Loader")
    assert len(document.pages) == 3
    assert document.text[document.pages[0] :].startswith("First page.")
    assert document.text[document.pages[2] :].startswith("Third page.")


def test_the_registry_reads_a_suffix_with_it(tmp_path: Path) -> None:
    path = written(tmp_path, "a.org", KOREAN)
    assert load(path, {".org": "TextLoader"}).text == f"{KOREAN}\n\n"
    with pytest.raises(DocumentError, match="holds no text"):
        load(written(tmp_path, "b.org", " \n"), {".org": "TextLoader"})


@pytest.mark.parametrize(
    "name", ["os.system", "TextLoader()", "", "__import__", "Blob", "텍스트Loader"]
)
def test_what_is_no_name_of_a_loader(tmp_path: Path, name: str) -> None:
    with pytest.raises(DocumentError, match="is no name of a loader"):
        load_community(written(tmp_path, "a.org", KOREAN), name)


@pytest.mark.parametrize("name", ["NoSuchLoader", "FileSystemBlobLoader"])
def test_unknown_classes(tmp_path: Path, name: str) -> None:
    with pytest.raises(DocumentError, match=f"no loader {name}"):
        load_community(written(tmp_path, "a.org", KOREAN), name)


@pytest.mark.parametrize(
    "name",
    ["WebBaseLoader", "RecursiveUrlLoader", "WikipediaLoader", "OnlinePDFLoader", "S3FileLoader",
     "UnstructuredAPIFileLoader", "GutenbergLoader", "HuggingFaceDatasetLoader"],
)  # fmt: skip
def test_loaders_that_fetch_or_send_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DocumentError, match=f"{name} does not read a file of this machine"):
        load_community(written(tmp_path, "a.org", "https://example.com"), name)


def test_a_loader_that_needs_another_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pysrt", None)
    with pytest.raises(DocumentError, match=r"a\.srt: SRTLoader needs a package") as caught:
        load_community(written(tmp_path, "a.srt", KOREAN), "SRTLoader")
    assert "pysrt" in f"{caught.value} {caught.value.hint}"


def test_a_loader_that_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.org"
    path.write_bytes(KOREAN.encode("cp949"))
    with pytest.raises(DocumentError, match=r"a\.org: TextLoader failed with RuntimeError"):
        load_community(path, "TextLoader")
    with pytest.raises(DocumentError, match=r"a\.org: JSONLoader (failed|needs)"):
        load_community(path, "JSONLoader")


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langchain_community", None)
    monkeypatch.delitem(sys.modules, "langchain_community.document_loaders", raising=False)
    with pytest.raises(DocumentError, match="needs the package langchain_community") as caught:
        load_community(written(tmp_path, "a.org", KOREAN), "TextLoader")
    assert caught.value.hint == "pip install 'groundling[community]'"
