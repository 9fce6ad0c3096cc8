"""PDFs as they are made: columns, tables over pages, running heads, Korean, broken files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from fpdf import FPDF
from fpdf.enums import AccessPermission, EncryptionMethod
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import DocumentError
from groundling.knowledge.chunking import split
from groundling.knowledge.loaders.document import LoadedDocument
from groundling.knowledge.loaders.pdf import load_pdf
from groundling.knowledge.loaders.pdf_page import Rule, Word
from groundling.knowledge.loaders.pdf_tables import find_tables
from groundling.knowledge.loaders.pdf_text import HYPHEN, joined

LEFT = (
    "Everybody has fifteen days of annual leave. Leave that is not taken by the end of the year "
    "can be carried over until March, if the head of the department agrees in writing. "
)
RIGHT = (
    "Travel is booked by the office. A night in a hotel costs at most eighty thousand won, and "
    "whoever travels abroad asks for an advance at least two weeks before the journey begins. "
)


def written(path: Path, draw: Callable[[FPDF], None]) -> LoadedDocument:
    """Make a PDF and read it."""
    writer = FPDF()
    writer.set_font("helvetica", size=11)
    draw(writer)
    writer.output(str(path))
    return load_pdf(path)


def pages_of(document: LoadedDocument) -> list[str]:
    ends = [*document.pages, len(document.text)]
    return [document.text[start:end] for start, end in pairwise(ends)]


def paragraph(writer: FPDF, text: str) -> None:
    writer.multi_cell(0, 6, text, new_x="LMARGIN", new_y="NEXT")


class TestText:
    def test_lines_become_running_text(self, tmp_path: Path) -> None:
        def draw(writer: FPDF) -> None:
            writer.add_page()
            paragraph(writer, LEFT + RIGHT)
            writer.ln(6)
            paragraph(writer, RIGHT)

        document = written(tmp_path / "a.pdf", draw)
        assert document.text == f"{LEFT}{RIGHT.strip()}\n\n{RIGHT.strip()}\n\n"

    def test_list_items_stay_lines(self, tmp_path: Path) -> None:
        items = [f"- {LEFT.strip()}", f"- {RIGHT.strip()}", "1. short", "2) also short"]

        def draw(writer: FPDF) -> None:
            writer.add_page()
            for item in items:
                paragraph(writer, item)

        assert written(tmp_path / "a.pdf", draw).text.strip().split("\n") == items

    def test_short_lines_of_one_length_stay_lines(self, tmp_path: Path) -> None:
        lines = ["Model HB-120", "Model HB-220", "Model HB-320"]

        def draw(writer: FPDF) -> None:
            writer.add_page()
            for line in lines:
                paragraph(writer, line)

        assert written(tmp_path / "a.pdf", draw).text == "\n".join(lines) + "\n\n"

    def test_a_heading_in_larger_letters_stands_alone(self, tmp_path: Path) -> None:
        def draw(writer: FPDF) -> None:
            writer.add_page()
            writer.set_font_size(16)
            paragraph(writer, "Annual leave")
            writer.set_font_size(11)
            paragraph(writer, LEFT)

        assert written(tmp_path / "a.pdf", draw).text == f"Annual leave\n\n{LEFT.strip()}\n\n"

    def test_words_parted_at_a_line_end(self, tmp_path: Path) -> None:
        parted = "An instru\u00adment with its certifi\u00adcate of adjust\u00adment. " * 9

        def draw(writer: FPDF) -> None:
            writer.add_page()
            writer.set_right_margin(70)
            paragraph(writer, parted)

        whole = parted.replace("\u00ad", "").strip()
        assert written(tmp_path / "a.pdf", draw).text == f"{whole}\n\n"

    @pytest.mark.parametrize(
        ("above", "below", "whole"),
        [
            ("a certi-", "ficate", "a certificate"),
            (f"a certi{HYPHEN}", "ficate", "a certificate"),
            ("state-of-the-", "art", "state-of-the-art"),
            ("pre-", "and post-war", "pre- and post-war"),
            ("model HB-", "120", "model HB-120"),
            ("a dash -", "as here", "a dash - as here"),
            ("부서장의", "승인을", "부서장의 승인을"),
            ("第一行的", "文字", "第一行的文字"),
            ("ends.", "Begins", "ends. Begins"),
        ],
    )
    def test_joined(self, above: str, below: str, whole: str) -> None:
        assert joined(above, below) == whole

    def test_korean_that_breaks_between_syllables(self) -> None:
        assert joined("부서장의 승", "인을", space=False) == "부서장의 승인을"

    @given(st.text(max_size=20), st.text(max_size=20))
    def test_joining_loses_nothing_but_hyphens(self, above: str, below: str) -> None:
        kept = [c for c in above + below if c not in f"-\u00ad\u2010{HYPHEN}"]
        assert [c for c in joined(above, below) if c not in f" -\u00ad\u2010{HYPHEN}"] == [
            c for c in kept if c != " "
        ]


class TestColumns:
    def test_columns_one_after_the_other(self, tmp_path: Path) -> None:
        def draw(writer: FPDF) -> None:
            writer.add_page()
            paragraph(writer, "A heading over both columns, which is as wide as the page is. " * 2)
            with writer.text_columns(ncols=2, gutter=8, text_align="J") as columns:
                columns.write(LEFT * 8 + "\n")
                columns.new_column()
                columns.write(RIGHT * 6)

        text = written(tmp_path / "a.pdf", draw).text
        assert text.index("A heading") < text.index(LEFT.strip()) < text.index(RIGHT.strip())
        assert text.count(LEFT.strip()) == 8
        assert text.count(RIGHT.strip()) == 6

    def test_columns_that_the_file_writes_line_by_line(self, tmp_path: Path) -> None:
        left = [f"Left line {n} fills its column to the end" for n in range(8)]
        right = [f"Right line {n} fills its column to the end" for n in range(8)]

        def draw(writer: FPDF) -> None:
            writer.add_page()
            for one, other in zip(left, right, strict=True):
                writer.cell(95, 6, one)
                writer.cell(95, 6, other, new_x="LMARGIN", new_y="NEXT")

        text = written(tmp_path / "a.pdf", draw).text.replace("\n", " ")
        assert text.index(left[-1]) < text.index(right[0])

    def test_a_form_is_read_across(self, tmp_path: Path) -> None:
        def draw(writer: FPDF) -> None:
            writer.add_page()
            for name, value in [("Name", "Kim"), ("Office", "Daejeon"), ("Extension", "7210")] * 3:
                writer.cell(60, 6, name)
                writer.cell(60, 6, value, new_x="LMARGIN", new_y="NEXT")

        assert "Name Kim\nOffice Daejeon\nExtension 7210" in written(tmp_path / "a.pdf", draw).text


class TestTables:
    ROWS = (("Model", "Pan"), *((f"HB-{n}", f"{n} mm") for n in range(100, 160)))

    @pytest.mark.parametrize("repeated", [True, False])
    def test_a_table_that_goes_on_keeps_its_header(self, tmp_path: Path, repeated: bool) -> None:
        def draw(writer: FPDF) -> None:
            writer.add_page()
            paragraph(writer, LEFT)
            with writer.table(repeat_headings=int(repeated), line_height=10) as table:
                for row in self.ROWS:
                    table.row(row)
            paragraph(writer, RIGHT)

        document = written(tmp_path / "a.pdf", draw)
        pages = pages_of(document)
        assert len(pages) == len(document.tables) == 3
        assert {table.header for table in document.tables} == {"Model | Pan"}
        assert all(page.count("Model | Pan\n") == 1 for page in pages)
        rows = [line for line in document.text.split("\n") if line.startswith("HB-")]
        assert rows == [" | ".join(row) for row in self.ROWS[1:]]
        for chunk in split(document):
            if "HB-" in document.text[chunk.start : chunk.end]:
                shown = chunk.heading + document.text[chunk.start : chunk.end]
                assert "Model | Pan" in shown

    def test_one_row_on_the_next_page(self, tmp_path: Path) -> None:
        def draw(writer: FPDF) -> None:
            writer.add_page()
            writer.set_y(255)
            with writer.table(repeat_headings=0, line_height=10) as table:
                for row in self.ROWS[:3]:
                    table.row(row)

        pages = pages_of(written(tmp_path / "a.pdf", draw))
        assert pages[-1] == "Model | Pan\nHB-101 | 101 mm\n\n"

    def test_a_table_said_to_be_continued(self, tmp_path: Path) -> None:
        def draw(writer: FPDF) -> None:
            for rows in (self.ROWS[:3], self.ROWS[3:5]):
                writer.add_page()
                if rows[0] != self.ROWS[0]:
                    paragraph(writer, "Table 3 (continued)")
                with writer.table(first_row_as_headings=False) as table:
                    for row in rows:
                        table.row(row)

        pages = pages_of(written(tmp_path / "a.pdf", draw))
        assert pages[1].startswith("Table 3 (continued)\n\nModel | Pan\nHB-102 | 102 mm\n")

    def test_a_cell_of_two_lines_is_no_two_rows(self, tmp_path: Path) -> None:
        def draw(writer: FPDF) -> None:
            writer.add_page()
            with writer.table(width=60) as table:
                table.row(("Model", "Capacity"))
                table.row(("Balance with a glass shield", "120 g and as much again"))

        text = written(tmp_path / "a.pdf", draw).text
        assert text == "Model | Capacity\nBalance with a glass shield | 120 g and as much again\n\n"

    def test_another_table_on_the_next_page_has_its_own_header(self, tmp_path: Path) -> None:
        def draw(writer: FPDF) -> None:
            for widths, head in [((1, 1), "Model"), ((1, 2), "Country")]:
                writer.add_page()
                with writer.table(col_widths=widths) as table:
                    table.row((head, "Price"))
                    table.row(("a", "b"))

        assert [t.header for t in written(tmp_path / "a.pdf", draw).tables] == [
            "Model | Price",
            "Country | Price",
        ]

    def test_wrapped_and_merged_cells(self, tmp_path: Path) -> None:
        def draw(writer: FPDF) -> None:
            writer.add_page()
            with writer.table() as table:
                table.row(("Region", "Rule", "Limit"))
                row = table.row()
                row.cell("Seoul", rowspan=2)
                row.cell(LEFT.strip())
                row.cell("8 days")
                table.row(("short", "9 days"))
                row = table.row()
                row.cell("together, whatever the region or the rule may be", colspan=2)
                row.cell("17 days")

        assert written(tmp_path / "a.pdf", draw).text.strip().split("\n") == [
            "Region | Rule | Limit",
            f"Seoul | {LEFT.strip()} | 8 days",
            "Seoul | short | 9 days",
            "together, whatever the region or the rule may be |  | 17 days",
        ]

    def test_two_tables_side_by_side_are_both_read(self, tmp_path: Path) -> None:
        def draw(writer: FPDF) -> None:
            writer.add_page()
            top = writer.get_y()
            for align, name in (("LEFT", "east"), ("RIGHT", "west")):
                writer.set_y(top)
                with writer.table(width=80, align=align) as table:
                    table.row((name, "price"))
                    table.row((f"{name} 1", "5 won"))

        text = written(tmp_path / "a.pdf", draw).text
        assert "east | price\neast 1 | 5 won" in text
        assert "west | price\nwest 1 | 5 won" in text

    @pytest.mark.parametrize("layout", ["NONE", "SINGLE_TOP_LINE", "HORIZONTAL_LINES", "MINIMAL"])
    def test_tables_without_rules_between_all_cells(self, tmp_path: Path, layout: str) -> None:
        rows = [
            ("Model", "Capacity of the balance", "Pan"),
            ("HB-120", "120 g", "80 mm"),
            ("HB-220", "220 g and the same again with the option -D", "90 mm"),
            ("HB-320", "320 g", "90 mm"),
        ]

        def draw(writer: FPDF) -> None:
            writer.add_page()
            paragraph(writer, LEFT)
            with writer.table(borders_layout=layout, v_align="TOP") as table:
                for row in rows:
                    table.row(row)
            paragraph(writer, RIGHT)

        document = written(tmp_path / "a.pdf", draw)
        body = "\n".join(" | ".join(row) for row in rows)
        assert document.text == f"{LEFT.strip()}\n\n{body}\n\n{RIGHT.strip()}\n\n"
        assert [table.header for table in document.tables] == [" | ".join(rows[0])]

    def test_a_frame_is_no_table(self, tmp_path: Path) -> None:
        def draw(writer: FPDF) -> None:
            writer.add_page()
            writer.multi_cell(0, 6, LEFT, border=1)

        document = written(tmp_path / "a.pdf", draw)
        assert document.text == f"{LEFT.strip()}\n\n"
        assert document.tables == ()

    @given(st.integers(1, 6), st.integers(2, 5), st.data())
    def test_every_word_of_a_grid_comes_out_in_its_cell(
        self, rows: int, columns: int, data: st.DataObject
    ) -> None:
        size = 40.0
        texts = data.draw(
            st.lists(st.sampled_from(["", "a", "b2", "c c"]), min_size=rows * columns)
        )
        grid = [texts[i * columns : (i + 1) * columns] for i in range(rows)]
        words = [
            Word(
                word,
                *(j * size + 4 + 9 * n, i * size + 9, j * size + 9 + 9 * n, i * size + 19),
                " ",
                True,
            )
            for i, row in enumerate(grid)
            for j, text in enumerate(row)
            for n, word in enumerate(text.split())
        ]
        rules = [Rule(True, i * size, 0, columns * size) for i in range(rows + 1)]
        rules += [Rule(False, j * size, 0, rows * size) for j in range(columns + 1)]
        tables, rest = find_tables(words, rules)
        kept = [row for row in grid if any(row)]
        if tables:
            assert rest == []
            assert tables[0].rows == kept
        else:
            assert rest == words


class TestRunningHeads:
    def test_heads_and_page_numbers_are_dropped(self, tmp_path: Path) -> None:
        class Manual(FPDF):
            def header(self) -> None:
                self.cell(0, 8, "Hanbit | Manual 2026")
                self.ln(16)

            def footer(self) -> None:
                self.set_y(-15)
                self.cell(0, 8, f"Page {self.page_no()} of 5", align="C")

        writer = Manual()
        writer.set_font("helvetica", size=11)
        for n in range(5):
            writer.add_page()
            paragraph(writer, f"Section {n + 1}")
            writer.ln(10)
            paragraph(writer, LEFT)
        writer.output(str(tmp_path / "a.pdf"))
        pages = pages_of(load_pdf(tmp_path / "a.pdf"))
        assert pages == [f"Section {n + 1}\n\n{LEFT.strip()}\n\n" for n in range(5)]

    def test_what_is_on_few_pages_or_not_set_off_is_kept(self, tmp_path: Path) -> None:
        def draw(writer: FPDF) -> None:
            for n in range(4):
                writer.add_page()
                if n < 2:
                    paragraph(writer, "Part one")
                    writer.ln(10)
                paragraph(writer, f"{RIGHT}{LEFT}")

        text = written(tmp_path / "a.pdf", draw).text
        assert text.count("Part one") == 2
        assert text.count(RIGHT.strip()) == 4

    def test_a_table_goes_on_between_heads(self, tmp_path: Path) -> None:
        class Manual(FPDF):
            def header(self) -> None:
                self.cell(0, 8, "Hanbit | Manual 2026")
                self.ln(16)

        writer = Manual()
        writer.set_font("helvetica", size=11)
        writer.add_page()
        with writer.table(repeat_headings=0, line_height=10) as table:
            for row in TestTables.ROWS:
                table.row(row)
        writer.output(str(tmp_path / "a.pdf"))
        document = load_pdf(tmp_path / "a.pdf")
        assert {table.header for table in document.tables} == {"Model | Pan"}
        assert len(document.tables) == len(document.pages) == 3


def raw_pdf(objects: Sequence[bytes]) -> bytes:
    """Return a PDF of these objects, numbered from 1; the first is the catalogue."""
    data, places = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    data += b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table)
    return data + b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        size,
        data.index(b"xref"),
    )


def stream(content: bytes) -> bytes:
    return b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content)


class TestKorean:
    """Korean by a font's characters (CID), without the font in the file, as old forms are."""

    @staticmethod
    def pdf(lines: list[str], encoding: str, codec: str) -> bytes:
        shown = b"".join(b"<%s> Tj T*\n" % line.encode(codec).hex().encode() for line in lines)
        return raw_pdf(
            [
                b"<< /Type /Catalog /Pages 2 0 R >>",
                b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
                b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 7 0 R "
                b"/Resources << /Font << /F1 4 0 R >> >> >>",
                b"<< /Type /Font /Subtype /Type0 /BaseFont /HYSMyeongJo-Medium "
                b"/Encoding /%s /DescendantFonts [5 0 R] >>" % encoding.encode(),
                b"<< /Type /Font /Subtype /CIDFontType0 /BaseFont /HYSMyeongJo-Medium /DW 1000 "
                b"/CIDSystemInfo << /Registry (Adobe) /Ordering (Korea1) /Supplement 1 >> "
                b"/FontDescriptor 6 0 R /W [1 95 500] >>",
                b"<< /Type /FontDescriptor /FontName /HYSMyeongJo-Medium /Flags 6 /ItalicAngle 0 "
                b"/FontBBox [0 -148 1001 880] /Ascent 880 /Descent -148 /StemV 93 >>",
                stream(b"BT /F1 12 Tf 18 TL 60 780 Td\n%sET" % shown),
            ]
        )

    @pytest.mark.parametrize(
        ("encoding", "codec"), [("KSCms-UHC-H", "cp949"), ("UniKS-UCS2-H", "utf-16-be")]
    )
    def test_lines_become_running_text(self, tmp_path: Path, encoding: str, codec: str) -> None:
        lines = [
            "연차 휴가는 한 해에 열다섯 날이며, 부서장의 승인을 받아 쓴다. 쓰지 않은",
            "휴가는 이듬해 삼월까지 넘길 수 있다.",
            "1. 국내 출장의 숙박비는 하루 8만 원까지 지급한다.",
        ]
        path = tmp_path / "휴가.pdf"
        path.write_bytes(self.pdf(lines, encoding, codec))
        assert load_pdf(path).text == f"{lines[0]} {lines[1]}\n{lines[2]}\n\n"

    def test_lines_that_break_between_syllables(self, tmp_path: Path) -> None:
        """Text that keeps the white space at a line's end breaks elsewhere within a word."""
        lines = [
            "연차 휴가는 한 해에 열다섯 날이며, 부서장의 승인을 받아 쓴다. 쓰지 않은 ",
            "휴가는 이듬해 삼월까지 넘길 수 있으며, 그 뒤에는 사라진다. 다만 부서장이 승",
            "인한 때에는 그러하지 아니하다.",
        ]
        path = tmp_path / "a.pdf"
        path.write_bytes(self.pdf(lines, "KSCms-UHC-H", "cp949"))
        assert load_pdf(path).text == "".join(lines) + "\n\n"

    def test_a_sentence_that_ends_on_the_next_line_is_no_list_item(self, tmp_path: Path) -> None:
        lines = [
            "연차 휴가는 한 해에 열다섯 날이며, 부서장의 승인을 받아 쓰는 것을 원칙으로 한",
            "다. 쓰지 않은 휴가는 사라진다. 다음은 그 종류이다.",
            "가. 연차 휴가",
            "나. 병가",
        ]
        path = tmp_path / "a.pdf"
        path.write_bytes(self.pdf(lines, "KSCms-UHC-H", "cp949"))
        assert load_pdf(path).text == f"{lines[0]} {lines[1]}\n{lines[2]}\n{lines[3]}\n\n"


class TestPages:
    def test_numbers_of_pages_are_exact(self, tmp_path: Path) -> None:
        def draw(writer: FPDF) -> None:
            for n in range(1, 251):
                writer.add_page()
                if n % 7:
                    paragraph(writer, f"Record R{n:04d} is kept here. {LEFT}")

        document = written(tmp_path / "a.pdf", draw)
        pages = pages_of(document)
        assert len(pages) == 250
        for n, text in enumerate(pages, 1):
            assert text == (f"Record R{n:04d} is kept here. {LEFT.strip()}\n\n" if n % 7 else "")

    @pytest.mark.parametrize("angle", [90, 180, 270])
    def test_a_turned_page_reads_as_it_is_shown(self, tmp_path: Path, angle: int) -> None:
        # The text is turned against the page, so that it is shown upright.
        matrix = {90: b"0 1 -1 0 300 100", 180: b"-1 0 0 -1 400 400", 270: b"0 -1 1 0 300 500"}
        content = b"BT /F1 12 Tf 16 TL %s Tm (First line) Tj T* (Second line) Tj ET"
        path = tmp_path / "a.pdf"
        path.write_bytes(
            raw_pdf(
                [
                    b"<< /Type /Catalog /Pages 2 0 R >>",
                    b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
                    b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Rotate %d "
                    b"/Contents 4 0 R /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 "
                    b"/BaseFont /Helvetica >> >> >> >>" % angle,
                    stream(content % matrix[angle]),
                ]
            )
        )
        assert load_pdf(path).text == "First line\nSecond line\n\n"

    def test_a_watermark_comes_last(self, tmp_path: Path) -> None:
        def draw(writer: FPDF) -> None:
            writer.add_page()
            with writer.rotation(90, 20, 150):
                writer.text(20, 150, "Draft of May")
            paragraph(writer, LEFT)

        assert written(tmp_path / "a.pdf", draw).text == f"{LEFT.strip()}\n\nDraft of May\n\n"

    def test_files_are_read_by_several_threads(self, tmp_path: Path) -> None:
        def draw(writer: FPDF) -> None:
            for _ in range(20):
                writer.add_page()
                paragraph(writer, LEFT)

        expected = written(tmp_path / "a.pdf", draw)
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(load_pdf, [tmp_path / "a.pdf"] * 8)) == [expected] * 8


class TestBroken:
    def sound(self, path: Path, pages: int = 3) -> bytes:
        def draw(writer: FPDF) -> None:
            for n in range(pages):
                writer.add_page()
                paragraph(writer, f"Page number {n + 1} says this.")

        written(path, draw)
        return path.read_bytes()

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "empty"),
            (b"no pdf at all, whatever its name says", "does not begin as one"),
            (b"%PDF-1.7\n" + b"\x00\xff" * 500, "cut short"),
            (raw_pdf([b"<< /Type /Catalog >>"]), "damaged"),
            (
                raw_pdf(
                    [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Count 0 /Kids [] >>"]
                ),
                "damaged",
            ),
            (b"%PDF-1.7\n1 0 obj\n" + b"[" * 100_000 + b"\nendobj\n%%EOF", "damaged"),
        ],
        ids=["empty", "garbage", "cut short", "no page tree", "no pages", "nested"],
    )
    def test_no_pdf(self, tmp_path: Path, content: bytes, reason: str) -> None:
        path = tmp_path / "a.pdf"
        path.write_bytes(content)
        with pytest.raises(DocumentError, match=rf"a\.pdf is not a readable PDF: .*{reason}") as e:
            load_pdf(path)
        assert "save it anew" in str(e.value.hint)

    @pytest.mark.parametrize("keep", range(50, 2000, 150))
    def test_a_file_cut_short_is_refused_or_read_rightly(self, tmp_path: Path, keep: int) -> None:
        content = self.sound(tmp_path / "whole.pdf")
        whole = pages_of(load_pdf(tmp_path / "whole.pdf"))
        path = tmp_path / "a.pdf"
        path.write_bytes(content[:keep])
        try:
            pages = pages_of(load_pdf(path))
        except DocumentError as error:
            pages, said = [], f"{error} {error.hint}"
            assert said.startswith("a.pdf")
        assert all(text in ("", whole[n]) for n, text in enumerate(pages))

    def test_a_damaged_page_is_left_out_and_named(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        pages = [b"<< /Type /Page /Parent 2 0 R /Contents %d 0 R >>" % (6 + n) for n in range(3)]
        pages[1] = b"(no page)"
        text = b"BT /F1 12 Tf 60 700 Td (Page %d is sound.) Tj ET"
        path = tmp_path / "a.pdf"
        path.write_bytes(
            raw_pdf(
                [
                    b"<< /Type /Catalog /Pages 2 0 R >>",
                    b"<< /Type /Pages /Count 3 /Kids [3 0 R 4 0 R 5 0 R] /MediaBox [0 0 595 842] "
                    b"/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont "
                    b"/Helvetica >> >> >> >>",
                    *pages,
                    *(stream(text % (n + 1)) for n in range(3)),
                ]
            )
        )
        with caplog.at_level(logging.WARNING):
            document = load_pdf(path)
        assert pages_of(document) == ["Page 1 is sound.\n\n", "", "Page 3 is sound.\n\n"]
        assert "a.pdf: page 2 is damaged" in caplog.text

    def test_a_password_is_asked_for(self, tmp_path: Path) -> None:
        def draw(writer: FPDF) -> None:
            writer.add_page()
            paragraph(writer, "Secret.")
            writer.set_encryption("owner", "user")

        with pytest.raises(DocumentError, match=r"a\.pdf is encrypted") as caught:
            written(tmp_path / "a.pdf", draw)
        assert "without a password" in str(caught.value.hint)

    @pytest.mark.parametrize("method", [EncryptionMethod.RC4, EncryptionMethod.AES_256])
    def test_a_file_that_only_forbids_is_read(
        self, tmp_path: Path, method: EncryptionMethod
    ) -> None:
        def draw(writer: FPDF) -> None:
            writer.add_page()
            paragraph(writer, "May be read, not printed.")
            forbidden = AccessPermission.none()
            writer.set_encryption("owner", encryption_method=method, permissions=forbidden)

        assert written(tmp_path / "a.pdf", draw).text == "May be read, not printed.\n\n"

    def test_a_scan_is_told_from_an_empty_document(self, tmp_path: Path) -> None:
        from PIL import Image

        def scan(writer: FPDF) -> None:
            writer.add_page()
            writer.image(Image.new("L", (40, 40), 255))

        with pytest.raises(DocumentError, match="only images on its 1 pages") as caught:
            written(tmp_path / "a.pdf", scan)
        assert "ocrmypdf" in str(caught.value.hint)
        with pytest.raises(DocumentError, match="no text on its 1 pages"):
            written(tmp_path / "b.pdf", lambda writer: writer.add_page())

    def test_a_drawing_of_many_lines_is_read_as_text(self, tmp_path: Path) -> None:
        def draw(writer: FPDF) -> None:
            writer.add_page()
            paragraph(writer, "A map of lines.")
            for n in range(6_000):
                writer.rect(20 + n % 150, 40 + n // 150, 0.9, 0.9)

        assert written(tmp_path / "a.pdf", draw).text == "A map of lines.\n\n"
