"""Slides, spreadsheets and books: real files of each kind, good and hostile."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import docx
import pptx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from groundling.errors import DocumentError
from groundling.knowledge.chunking import split
from groundling.knowledge.loaders import packages, sheets
from groundling.knowledge.loaders.document import LoadedDocument
from groundling.knowledge.loaders.html import read_html, without_empty_elements
from groundling.knowledge.loaders.registry import load
from groundling.knowledge.loaders.sheets import written

BOMB = """<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">
<!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;"><!ENTITY e "&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;">
<!ENTITY f "&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;"><!ENTITY g "&f;&f;&f;&f;&f;&f;&f;&f;&f;&f;">
<!ENTITY h "&g;&g;&g;&g;&g;&g;&g;&g;&g;&g;"><!ENTITY i "&h;&h;&h;&h;&h;&h;&h;&h;&h;&h;">]>"""


def check_places(document: LoadedDocument) -> None:
    """Hold that headings, tables and pages stand where the document says."""
    for heading in document.headings:
        assert document.text[heading.start :].lstrip("# ").startswith(heading.title)
    for table in document.tables:
        assert document.text[table.start : table.end].split("\n")[0].strip() == table.header.strip()
    assert list(document.pages) == sorted(document.pages)
    assert all(page <= len(document.text) for page in document.pages)


def rewritten(file: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """Write a package again with its parts changed."""
    other = file.with_name(f"changed{file.suffix}")
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(other, "w", zipfile.ZIP_DEFLATED) as out:
        for name in source.namelist():
            out.writestr(name, change(name, source.read(name)))
    return other


def lying(file: Path, part: str, size: int) -> Path:
    """Make a package's list claim a size for a part, with the check sum of that much of it."""
    other = file.with_name(f"lying{file.suffix}")
    with zipfile.ZipFile(file) as package:
        info = package.getinfo(part)
        true = struct.pack("<III", info.CRC, info.compress_size, info.file_size)
        crc = zipfile.crc32(package.read(part)[:size])
    false = struct.pack("<III", crc, info.compress_size, size)
    data = file.read_bytes()
    assert data.count(true) == 2
    other.write_bytes(data.replace(true, false))
    return other


# slides


def deck(path: Path, title: str = "") -> Path:
    presentation = pptx.Presentation()
    presentation.core_properties.title = title
    first = presentation.slides.add_slide(presentation.slide_layouts[1])
    first.shapes.title.text = "출장 규정"
    first.placeholders[1].text_frame.text = "하루 8만 원까지\n영수증을 낸다"
    first.notes_slide.notes_text_frame.text = "질문은 인사팀으로."

    second = presentation.slides.add_slide(presentation.slide_layouts[6])
    for left, top, text in [(5, 3, "right"), (1, 3, "left"), (1, 1, "Prices of 2024"), (1, 2, "a")]:
        box = second.shapes.add_textbox(Inches(left), Inches(top), Inches(2), Inches(1))
        box.text_frame.text = text
    group = second.shapes.add_group_shape()
    for left, text in [(3, "in a group, second"), (2, "in a group, first")]:
        box = group.shapes.add_textbox(Inches(left), Inches(4), Inches(1), Inches(1))
        box.text_frame.text = text
    frame = second.shapes.add_table(3, 2, Inches(1), Inches(5), Inches(4), Inches(1))
    for place, text in enumerate(["모델", "Price", "HB-1", "8,000원", "HB-2", ""]):
        frame.table.cell(place // 2, place % 2).text = text
    frame.table.cell(1, 1).merge(frame.table.cell(2, 1))

    third = presentation.slides.add_slide(presentation.slide_layouts[5])
    third.shapes.title.text = "Sales"
    data = CategoryChartData()
    data.categories = ["1분기", "Q2"]
    data.add_series("Seoul", (0.1 + 0.2, 12))
    data.add_series("부산", (5, None))
    place = (Inches(1), Inches(2), Inches(5), Inches(4))
    third.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, *place, data)
    presentation.save(str(path))
    return path


def test_slides_are_pages_in_reading_order(tmp_path: Path) -> None:
    document = load(deck(tmp_path / "a.pptx"))
    first, second, third = document.pages
    assert document.text[first:second] == (
        "## 출장 규정\n\n하루 8만 원까지\n영수증을 낸다\n\n질문은 인사팀으로.\n\n"
    )
    assert document.text[second:third] == (
        "## Prices of 2024\n\na\n\nleft\n\nright\n\nin a group, first\n\nin a group, second\n\n"
        "모델 | Price\nHB-1 | 8,000원\nHB-2 | \n\n"
    )
    assert document.text[third:] == "## Sales\n\n | Seoul | 부산\n1분기 | 0.3 | 5\nQ2 | 12 | \n\n"
    assert document.title == "출장 규정"
    check_places(document)
    assert [(c.page, c.heading.split(" | ")[0]) for c in split(document)] == [
        (1, "출장 규정"),
        (2, "Prices of 2024"),
        (3, "Sales"),
    ]


@pytest.mark.parametrize(
    ("property_", "title"),
    [("Travel 2024", "Travel 2024"), ("PowerPoint 프레젠테이션", "출장 규정")],
)
def test_the_title_of_a_deck(tmp_path: Path, property_: str, title: str) -> None:
    assert load(deck(tmp_path / "a.pptx", property_)).title == title


def test_numbers_and_footers_of_slides_are_left_out(tmp_path: Path) -> None:
    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[1])
    slide.shapes.title.text = "Title"
    for placeholder in presentation.slide_layouts[1].placeholders:
        if placeholder.placeholder_format.idx in (10, 11, 12):  # date, footer, number
            slide.shapes.clone_placeholder(placeholder)
            slide.placeholders[placeholder.placeholder_format.idx].text_frame.text = "Confidential"
    presentation.save(str(tmp_path / "a.pptx"))
    assert load(tmp_path / "a.pptx").text == "## Title\n\n"


def test_the_boxes_of_a_diagram_are_read(tmp_path: Path) -> None:
    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[5])
    slide.shapes.title.text = "Steps"
    drawing = "http://schemas.openxmlformats.org/drawingml/2006"
    diagram = f"{drawing}/diagram"
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    data = (
        f'<d:dataModel xmlns:d="{diagram}" xmlns:a="{drawing}/main"><d:ptLst>'
        "<d:pt><d:t><a:p><a:r><a:t>접수</a:t></a:r></a:p></d:t></d:pt>"
        "<d:pt><d:t><a:p><a:r><a:t>re</a:t></a:r><a:r><a:t>view</a:t></a:r></a:p></d:t></d:pt>"
        "</d:ptLst></d:dataModel>"
    )
    part = pptx.opc.package.Part(
        pptx.opc.packuri.PackURI("/ppt/diagrams/data1.xml"),
        "application/vnd.openxmlformats-officedocument.drawingml.diagramData+xml",
        slide.part.package,
        data.encode(),
    )
    name = slide.part.relate_to(part, f"{relations}/diagramData")
    frame = slide.shapes.add_table(1, 1, Inches(1), Inches(5), Inches(4), Inches(1))
    graphic = frame.element.graphic.graphicData
    graphic.set("uri", diagram)
    graphic.clear()
    graphic.set("uri", diagram)
    relation = graphic.makeelement(f"{{{diagram}}}relIds", {f"{{{relations}}}dm": name})
    graphic.append(relation)
    presentation.save(str(tmp_path / "a.pptx"))
    assert load(tmp_path / "a.pptx").text == "## Steps\n\n접수\nreview\n\n"


def test_a_chart_that_claims_any_number_of_points_is_read_at_once(tmp_path: Path) -> None:
    file = deck(tmp_path / "a.pptx")
    claim = rewritten(
        file,
        lambda name, data: (
            data.replace(b'<c:ptCount val="2"/>', b'<c:ptCount val="2000000000"/>')
            if "charts/" in name
            else data
        ),
    )
    assert load(claim).text == load(file).text


# spreadsheets


def test_sheets_are_tables_under_their_names(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.active
    sheet.title = "2024 매출"
    for row in [
        ["2024년 매출 현황", None, None],
        [None, None, None],
        ["지역", "Sales", "growth rate, compared with the year before last", None],
        ["서울", 1200.0, 0.155],
        ["Busan | port", 1234567.5, 0.1 + 0.2, None],
        [None, True, None],
    ]:
        sheet.append(row)
    sheet["C4"].number_format = "0%"
    book.create_sheet("empty")
    book.create_sheet("Staff").append(["name"])
    book.save(tmp_path / "a.xlsx")
    document = load(tmp_path / "a.xlsx")
    assert document.text == (
        "## 2024 매출\n\n2024년 매출 현황\n\n"
        "지역 | Sales | growth rate, compared with the year before last\n"
        "서울 | 1200 | 15.5%\nBusan / port | 1234567.5 | 0.3\n | TRUE\n\n"
        "## Staff\n\nname\n\n"
    )
    assert (document.title, document.format) == ("a", "xlsx")
    assert [(h.level, h.title) for h in document.headings] == [(2, "2024 매출"), (2, "Staff")]
    check_places(document)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp949"])
def test_cells_of_csv_files_stay_as_they_are_written(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "요금.csv"
    path.write_bytes('품목;단가;날짜\n"빵; 큰 것";1,200원;2024. 3. 2.\n\n'.encode(encoding))
    document = load(path)
    assert document.text == "품목 | 단가 | 날짜\n빵; 큰 것 | 1,200원 | 2024. 3. 2.\n\n"
    assert (document.title, document.format, document.headings) == ("요금", "csv", ())


def test_every_chunk_of_a_table_knows_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    rows = "".join(f"직원 {n}\t{n}\t2024-01-{n % 28 + 1:02}\n" for n in range(500))
    path.write_text("이름\tdays\t입사일\n" + rows, encoding="utf-8")
    document = load(path)
    chunks = split(document)
    assert len(chunks) > 10
    assert all(chunk.heading == "이름 | days | 입사일" for chunk in chunks[1:])
    check_places(document)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, ""),
        (0.1 + 0.2, "0.3"),
        (1200.0, "1200"),
        (1e15, "1000000000000000"),
        (1e-7, "0.0000001"),
        (-2.5, "-2.5"),
        (1e300, "1E+300"),
        (float("inf"), "inf"),
        (10, "10"),
        (False, "FALSE"),
        ("010", "010"),
    ],
)
def test_numbers_as_a_person_searches_them(cell: float | str | None, text: str) -> None:
    assert written(cell) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_written_numbers_are_the_same_to_15_digits(number: float) -> None:
    assert float(written(number)) == float(f"{number:.15g}")


def test_sheets_hold_no_more_than_a_text_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "1,2\n" * 100)
    monkeypatch.setattr(sheets, "MOST_CHARACTERS", 500)
    with pytest.raises(DocumentError, match=r"a\.csv holds more than 500 characters"):
        load(path)


# books


CONTAINER = (
    '<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
    '<rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
)
OPF = """<?xml version="1.0"?>{bomb}<package xmlns="http://www.idpf.org/2007/opf">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title></metadata>
<manifest>
<item id="one" href="text/one.xhtml" media-type="application/xhtml+xml"/>
<item id="two" href="text/%EB%91%98.xhtml#start" media-type="application/xhtml+xml"/>
<item id="out" href="../../../etc/passwd" media-type="application/xhtml+xml"/>
<item id="css" href="a.css" media-type="text/css"/></manifest>
<spine><itemref idref="two"/><itemref idref="one"/><itemref idref="css"/><itemref idref="out"/>
<itemref idref="nothing"/><itemref idref="one"/></spine></package>"""


def book(path: Path, title: str = "우리 책", **parts: str) -> Path:
    files = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER,
        "OEBPS/book.opf": OPF.format(title=title, bomb=""),
        "OEBPS/text/one.xhtml": '<html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head>'
        '<body><h1><a id="x"/>Chapter 1</h1><p>English text.</p></body></html>',
        "OEBPS/text/둘.xhtml": '<?xml version="1.0"?><html><head><script src="a.js"/></head>'
        "<body><h1>머리말</h1><p>한국어&#160;글.<br/>둘째 줄.</p></body></html>",
        **parts,
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, text in files.items():
            package.writestr(name, text)
    return path


def test_chapters_of_a_book_in_reading_order(tmp_path: Path) -> None:
    document = load(book(tmp_path / "a.epub"))
    assert document.text == (
        "# 머리말\n\n한국어\xa0글.\n둘째 줄.\n\n# Chapter 1\n\nEnglish text.\n\n"
    )
    assert (document.title, document.format) == ("우리 책", "epub")
    check_places(document)


def test_a_book_without_a_title_is_named_by_its_first_heading(tmp_path: Path) -> None:
    assert load(book(tmp_path / "a.epub", title=" ")).title == "머리말"


def encryption(algorithm: str, part: str) -> dict[str, str]:
    return {
        "META-INF/encryption.xml": '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:'
        'container"><EncryptedData xmlns="http://www.w3.org/2001/04/xmlenc#">'
        f'<EncryptionMethod Algorithm="{algorithm}"/><CipherData>'
        f'<CipherReference URI="{part}"/></CipherData></EncryptedData></encryption>'
    }


def test_a_copy_protected_book(tmp_path: Path) -> None:
    locked = encryption("http://www.w3.org/2001/04/xmlenc#aes128-cbc", "OEBPS/text/one.xhtml")
    with pytest.raises(DocumentError, match=r"copy-protected \(DRM\): 1 of its 2 chapters"):
        load(book(tmp_path / "a.epub", **locked))


def test_a_book_with_scrambled_fonts_only(tmp_path: Path) -> None:
    fonts = encryption("http://www.idpf.org/2008/embedding", "OEBPS/font.otf")
    assert "Chapter 1" in load(book(tmp_path / "a.epub", **fonts)).text


def test_a_book_whose_chapters_are_elsewhere(tmp_path: Path) -> None:
    opf = OPF.format(title="", bomb="").replace("text/", "missing/")
    with pytest.raises(DocumentError, match=r"a\.epub names no chapter"):
        load(book(tmp_path / "a.epub", **{"OEBPS/book.opf": opf}))


def test_an_entity_bomb_in_a_book_stays_small(tmp_path: Path) -> None:
    opf = OPF.format(title="&i;", bomb=BOMB.partition("?>")[2])
    with pytest.raises(DocumentError, match=r"a\.epub"):
        load(book(tmp_path / "a.epub", **{"OEBPS/book.opf": opf}))
    chapter = {"OEBPS/text/one.xhtml": f"{BOMB}<html><body><p>&i;</p></body></html>"}
    assert len(load(book(tmp_path / "a.epub", **chapter)).text) < 2000


@given(st.text(st.sampled_from("<>/ a=\"'\n")))
def test_elements_that_close_themselves_lose_nothing_else(xhtml: str) -> None:
    changed = without_empty_elements(xhtml)
    assert without_empty_elements(changed) == changed
    assert changed.count("a") >= xhtml.count("a")


def test_the_time_for_tags_without_end_grows_with_their_number() -> None:
    assert without_empty_elements('<a b="' * 200_000).count("<") == 200_000


def test_an_xhtml_page(tmp_path: Path) -> None:
    page = '<?xml version="1.0"?><html><head><title/></head><body><p>보인다</p></body></html>'
    assert read_html(page, "a").text == "보인다\n\n"


# packages that are damaged, locked or lie


def word(path: Path) -> Path:
    document = docx.Document()
    document.add_paragraph("휴가 " * 500)
    document.save(str(path))
    return path


def workbook(path: Path) -> Path:
    made = Workbook()
    for n in range(100):
        made.active.append([f"직원 {n}", n])
    made.save(path)
    return path


MAKERS = {".pptx": deck, ".docx": word, ".xlsx": workbook, ".epub": book}
MAIN = {
    ".pptx": "ppt/slides/slide1.xml",
    ".docx": "word/document.xml",
    ".xlsx": "xl/worksheets/sheet1.xml",
    ".epub": "OEBPS/text/one.xhtml",
}


@pytest.fixture(params=list(MAKERS))
def package(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return MAKERS[request.param](tmp_path / f"a{request.param}")


@pytest.mark.parametrize("kept", [4, 100, 0.5, 0.99])
def test_truncated_packages(package: Path, kept: float) -> None:
    data = package.read_bytes()
    package.write_bytes(data[: int(kept if kept > 1 else kept * len(data))])
    with pytest.raises(DocumentError, match=rf"{package.name}"):
        load(package)


def test_empty_packages(package: Path) -> None:
    package.write_bytes(b"")
    with pytest.raises(DocumentError, match="0 bytes"):
        load(package)


def test_old_and_encrypted_office_files(package: Path) -> None:
    # Both are OLE compound files, which begin like this.
    package.write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(2000))
    with pytest.raises(DocumentError, match=rf"{package.name} is "):
        load(package)


def test_packages_whose_parts_are_locked(package: Path) -> None:
    data = bytearray(package.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.find(mark)
        while place >= 0:
            data[place + offset] |= 1
            place = data.find(mark, place + 4)
    package.write_bytes(data)
    with pytest.raises(DocumentError, match=rf"{package.name} is "):
        load(package)


def test_packages_that_unpack_to_more_than_they_claim(package: Path) -> None:
    false = lying(package, MAIN[package.suffix], 100)
    with pytest.raises(DocumentError, match=rf"{false.name} is "):
        load(false)


def test_packages_with_entity_bombs(package: Path) -> None:
    def change(name: str, data: bytes) -> bytes:
        if name != MAIN[package.suffix]:
            return data
        xml = data.decode().partition("?>")[2] if data.startswith(b"<?xml") else data.decode()
        place = xml.index(">", xml.index("</") - 1)
        return (BOMB + xml[: place + 1] + "&i;" + xml[place + 1 :]).encode()

    try:
        text = load(rewritten(package, change)).text
    except DocumentError:
        return
    assert len(text) < 10_000


def test_packages_of_too_many_parts(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_MOST_PARTS", 2)
    with pytest.raises(DocumentError, match="more than 2 parts"):
        load(package)


@pytest.mark.parametrize("suffix", [".pptx", ".docx", ".epub"])
def test_packages_with_more_xml_than_memory_takes(tmp_path: Path, suffix: str) -> None:
    path = MAKERS[suffix](tmp_path / f"a{suffix}")
    blank = b"\xef\xbb\xbf" + b" " * (packages.MAX_XML_BYTES + 1)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as package:
        package.writestr("picture.png", blank)
    with pytest.raises(DocumentError, match=r"unpacks to .* MB: too big"):
        load(path)


def test_names_in_a_package_lead_nowhere(package: Path, tmp_path: Path) -> None:
    text = load(package).text
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    before = sorted(tmp_path.parent.rglob("*"))
    with zipfile.ZipFile(package, "a") as changed:
        changed.writestr("../escaped.xml", "<a/>")
        changed.writestr("/absolute.xml", "<a/>")
        changed.writestr(link, "/etc/passwd")
    assert load(package).text == text
    assert sorted(tmp_path.parent.rglob("*")) == before
