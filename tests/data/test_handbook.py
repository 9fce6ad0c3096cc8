"""The sample handbook: its formats, its languages, and the files that a script makes."""

from __future__ import annotations

import runpy
import unicodedata
from pathlib import Path

import pytest

from groundling.knowledge.loaders.registry import load
from tests.data.sample import DOCUMENTS, HANDBOOK, hangul_share


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_have_the_promised_length_and_are_composed(
    name: str, texts: dict[str, str]
) -> None:
    assert 1_500 <= len(texts[name]) <= 5_000
    assert unicodedata.is_normalized("NFC", texts[name])


def test_formats_and_languages() -> None:
    assert {Path(name).suffix for name in DOCUMENTS} == {".md", ".txt", ".html", ".docx", ".pdf"}
    korean = [p for p in HANDBOOK.glob("*.md") if hangul_share(p.read_text("utf-8")) > 0.3]
    assert len(korean) >= 4


class TestGenerated:
    """The shipped binary files say what tests/data/make_handbook.py says."""

    MAKER = runpy.run_path(str(Path(__file__).with_name("make_handbook.py")))
    FILES = MAKER["documents"]()

    @pytest.mark.parametrize("name", list(FILES))
    def test_shipped_text_is_the_generated_text(
        self, name: str, texts: dict[str, str], tmp_path: Path
    ) -> None:
        (tmp_path / name).write_bytes(self.FILES[name])
        assert load(tmp_path / name).text == texts[name]

    def test_the_legacy_file_is_cp949_and_nothing_else(self, texts: dict[str, str]) -> None:
        content = (HANDBOOK / "purchasing-procedure.txt").read_bytes()
        with pytest.raises(UnicodeDecodeError):
            content.decode("utf-8")
        with pytest.raises(UnicodeDecodeError):
            content.decode("euc_kr")
        assert content.decode("cp949").count("\r\n") == content.count(b"\n") > 40
        assert "한설믜" in texts["purchasing-procedure.txt"]

    def test_pdf_table_rows_keep_their_cells_together(self, texts: dict[str, str]) -> None:
        text = texts["product-specifications.pdf"]
        for table in ("BALANCES", "THERMOMETERS", "ACCESSORIES"):
            for row in self.MAKER[table][1:]:
                assert " | ".join(row) in text

    def test_docx_table_rows_keep_their_cells_together(self, texts: dict[str, str]) -> None:
        table = next(part for part in self.MAKER["DOCX_PARTS"] if not isinstance(part, str))
        for row in table[1:]:
            assert " | ".join(row) in texts["expense-limits.docx"]


def test_html_furniture_is_not_read(texts: dict[str, str]) -> None:
    text = texts["warranty-and-returns.html"]
    assert "HT thermometers" in text
    for furniture in ("72 months", "newsletter", "border-collapse", "Cookie"):
        assert furniture not in text
