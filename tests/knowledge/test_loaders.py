"""Real files of each kind, good and bad."""

from __future__ import annotations

import unicodedata
import zipfile
from pathlib import Path

import docx
import pytest
from fpdf import FPDF
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import DocumentError
from groundling.knowledge.loaders import registry
from groundling.knowledge.loaders.document import TextBuilder, storable
from groundling.knowledge.loaders.registry import load

KOREAN = "연차 휴가는 한 해에 열다섯 날이며, 부서장의 승인을 받아 쓴다."


@given(st.text())
def test_stored_text_can_be_stored(text: str) -> None:
    stored = storable(text)
    stored.encode()
    assert "\x00" not in stored
    assert "\r" not in stored
    assert unicodedata.is_normalized("NFC", stored)
    assert storable(stored) == stored


def test_lone_surrogates_become_replacement_characters() -> None:
    assert storable("a\ud800b\x00c") == "a\ufffdb\ufffdc"


@given(st.lists(st.tuples(st.sampled_from("hpt"), st.text(max_size=20)), max_size=8))
def test_builder_notes_the_right_places(pieces: list[tuple[str, str]]) -> None:
    builder = TextBuilder()
    for kind, text in pieces:
        if kind == "h":
            builder.heading(2, text)
        elif kind == "p":
            builder.paragraph(text)
        else:
            builder.table([[text, "b"], ["c", text]])
    document = builder.document("", "text")
    for heading in document.headings:
        assert document.text[heading.start :].startswith(f"## {heading.title}\n")
    for table in document.tables:
        assert document.text[table.start : table.end].split("\n")[0] == table.header


# text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949", "euc-kr"])
def test_korean_text_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(KOREAN.encode(encoding))
    assert load(path).text == KOREAN


def test_western_text_is_not_taken_for_korean(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    text = "Der Prüfer hört später, daß größere Mängel übrig bleiben. " * 10
    path.write_bytes(text.encode("latin-1"))
    assert load(path).text == text


def test_binary_named_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(bytes(range(256)) * 10)
    with pytest.raises(DocumentError, match=r"a\.txt is not text"):
        load(path)


def test_line_ends_are_made_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\r\nb\rc\n")
    assert load(path).text == "a\nb\nc\n"


# Markdown


def test_markdown_headings_and_tables(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text(
        "Intro\n=====\n\n## Part ##\n\n```sh\n# not a heading\n```\n\n"
        "| Model | Pan |\n|---|---:|\n| HB-1 | 80 |\n| HB-2 | 90 |\n\nEnd | of it\n\n---\n",
        encoding="utf-8",
    )
    document = load(path)
    assert [(h.level, h.title) for h in document.headings] == [(1, "Intro"), (2, "Part")]
    assert [document.text[h.start :][:4] for h in document.headings] == ["Intr", "## P"]
    (table,) = document.tables
    assert table.header == "Model | Pan"
    assert document.text[table.start : table.end].endswith("| HB-2 | 90 |")
    assert document.title == "Intro"


# HTML


def test_html(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text(
        "<html><head><title>Returns &amp; repair</title><style>p{}</style></head><body>"
        "<nav>Home</nav><h1>Returns</h1><p>Send it <b>back</b>\n within<br>30 days.</p>"
        "<ul><li>one</li><li>two</li></ul><script>alert(1)</script>"
        "<table><tr><th>Part</th><th>Price</th></tr><tr><td>Pan|s</td><td>8,000\n원</td></tr></table>"
        "<div>unclosed <p>tail</body>",
        encoding="utf-8",
    )
    document = load(path)
    assert document.title == "Returns & repair"
    assert document.text == (
        "# Returns\n\nSend it back within\n30 days.\n\n- one\n\n- two\n\n"
        "Part | Price\nPan/s | 8,000 원\n\nunclosed\n\ntail\n\n"
    )


def test_html_nested_deeper_than_the_call_stack(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("<div>" * 5000 + "deep", encoding="utf-8")
    assert load(path).text.strip() == "deep"


# PDF


def pdf(path: Path, pages: list[str], **settings: str) -> Path:
    writer = FPDF()
    writer.set_font("helvetica", size=12)
    for text in pages:
        writer.add_page()
        if text == "TABLE":
            with writer.table() as table:
                for row in [("Model", "Pan"), ("HB-120", "80 mm"), ("HB-220", "90 mm")]:
                    table.row(row)
            writer.multi_cell(0, 10, "After the table.")
        elif text:
            writer.multi_cell(0, 10, text)
    if password := settings.get("password"):
        writer.set_encryption("owner", password)
    writer.output(str(path))
    return path


def test_pdf_pages_and_tables(tmp_path: Path) -> None:
    document = load(pdf(tmp_path / "a.pdf", ["First page.", "TABLE", "Third page."]))
    assert len(document.pages) == 3
    assert document.text[document.pages[0] :].startswith("First page.")
    assert document.text[document.pages[1] : document.pages[2]] == (
        "Model | Pan\nHB-120 | 80 mm\nHB-220 | 90 mm\n\nAfter the table.\n\n"
    )
    assert document.tables[0].header == "Model | Pan"
    assert document.text[document.pages[2] :].startswith("Third page.")


def test_pdf_without_text_is_called_a_scan(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="scan") as caught:
        load(pdf(tmp_path / "a.pdf", ["", ""]))
    assert "ocrmypdf" in str(caught.value.hint)


def test_encrypted_pdf(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="password"):
        load(pdf(tmp_path / "a.pdf", ["Secret."], password="user"))


@pytest.mark.parametrize("keep", [5, 100, 500])
def test_truncated_pdf(tmp_path: Path, keep: int) -> None:
    path = pdf(tmp_path / "a.pdf", ["Text on a page."])
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DocumentError, match=r"a\.pdf is not a readable PDF"):
        load(path)


# Word


def test_docx_in_document_order(tmp_path: Path) -> None:
    word = docx.Document()
    word.core_properties.title = ""
    word.add_heading("출장 규정", 0)
    word.add_heading("숙박비", 1)
    word.add_paragraph("하루 8만 원.")
    table = word.add_table(rows=2, cols=2)
    for cell, text in zip(
        [c for row in table.rows for c in row.cells],
        ["지역", "한도", "서울", "10만 원"],
        strict=True,
    ):
        cell.text = text
    word.add_paragraph("끝", style="List Bullet")
    path = tmp_path / "a.docx"
    word.save(str(path))
    document = load(path)
    assert document.title == "출장 규정"
    assert document.text == (
        "# 출장 규정\n\n# 숙박비\n\n하루 8만 원.\n\n지역 | 한도\n서울 | 10만 원\n\n- 끝\n\n"
    )


def test_docx_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    path.write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(DocumentError, match="not a readable Word document"):
        load(path)


def test_docx_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.docx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("word/document.xml", b" " * 1_000_000)
    monkeypatch.setattr("groundling.knowledge.loaders.docx.MAX_UNPACKED_BYTES", 999_999)
    with pytest.raises(DocumentError, match="too big"):
        load(path)


# the registry


def test_unknown_kind(tmp_path: Path) -> None:
    path = tmp_path / "a.xyz"
    path.write_text("text")
    with pytest.raises(DocumentError, match=r"no reader for \.xyz"):
        load(path)


def test_empty_and_blank_files(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.touch()
    with pytest.raises(DocumentError, match="0 bytes"):
        load(path)
    path.write_text(" \n ")
    with pytest.raises(DocumentError, match="no text"):
        load(path)


def test_size_bound() -> None:
    with pytest.raises(DocumentError, match="at most 67 MB"):
        registry.check_size(Path("a.txt"), registry.MAX_TEXT_BYTES + 1)
