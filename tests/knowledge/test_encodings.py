"""Text in the encodings that people's files have, damaged files, and files of one long line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from groundling.errors import DocumentError
from groundling.knowledge.chunking import LONGEST_HEADING, split
from groundling.knowledge.loaders.document import LoadedDocument, TextBuilder, storable
from groundling.knowledge.loaders.markdown import lines, read_markdown
from groundling.knowledge.loaders.registry import load
from groundling.knowledge.loaders.text import decode_bytes

KOREAN = "연차 휴가는 한 해에 열다섯 날이며, 부서장의 승인을 받아 쓴다.\n가나다라 마바사\n"
ENGLISH = "Everybody has fifteen days of leave.\nAsk the head of your department.\n"
JAPANESE = "年次休暇は一年に十五日です。部長の承認が必要です。\n"
FRENCH = "L'élève a déjà mangé à l'hôtel, où ça coûte 5 €.\n"
SPANISH = "Los empleados tienen quince días de vacaciones al año, según el convenio.\n"


def loaded(folder: Path, data: bytes, name: str = "a.txt") -> str:
    path = folder / name
    path.write_bytes(data)
    return load(path).text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (KOREAN, "utf-8"),
        (KOREAN, "utf-8-sig"),
        (KOREAN, "utf-16"),
        (KOREAN, "utf-32"),
        (KOREAN, "utf-16-le"),
        (KOREAN, "utf-16-be"),
        (KOREAN, "cp949"),
        (KOREAN, "euc-kr"),
        (ENGLISH + KOREAN, "cp949"),
        (ENGLISH, "utf-16-le"),
        (ENGLISH, "utf-16-be"),
        (JAPANESE, "utf-16-le"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc_jp"),
        ("年次休暇は十五日です。", "shift_jis"),
        (FRENCH, "cp1252"),
        (SPANISH, "latin-1"),
        (ENGLISH * 200 + "café\n", "latin-1"),
        ("Он сказал, что отпуск составляет пятнадцать дней.\n" * 10, "cp1251"),
        ("每年有十五天年假，需要部门经理批准。\n" * 10, "gb18030"),
    ],
)
def test_encodings_without_a_mark(tmp_path: Path, text: str, encoding: str) -> None:
    assert loaded(tmp_path, text.encode(encoding)) == text


@given(st.lists(st.text("가각힣한글a.,", min_size=1, max_size=8), min_size=2, max_size=20))
@example(["가가가가", "가"])
def test_korean_utf16_of_any_kind(words: list[str]) -> None:
    text = " ".join(words)
    for encoding in ("utf-16-le", "utf-16-be"):
        assert decode_bytes(text.encode(encoding), "a.txt") == text


@given(st.binary(max_size=300))
@example(b"\xff\xfe\x00")
@example(b"\x00\x00\xfe\xff\xff\xff\xff\xff")
def test_any_bytes_are_text_or_an_error(data: bytes) -> None:
    try:
        storable(decode_bytes(data, "a.txt")).encode()
    except DocumentError as error:
        if not str(error).startswith("a.txt is not text"):
            raise


def test_utf8_with_a_few_broken_bytes_stays_utf8(tmp_path: Path) -> None:
    data = bytearray((KOREAN * 20).encode())
    data[300] = 0xFF
    data.insert(900, 0x80)
    text = loaded(tmp_path, bytes(data))
    assert text.count("\ufffd") <= 4
    assert text.count("부서장의 승인을") >= 18


def test_a_few_letters_and_a_broken_byte_are_no_reason_to_refuse(tmp_path: Path) -> None:
    text = loaded(
        tmp_path, "# 제목\n\n| a | b |\n|-\ufffd-|---|\n".encode().replace(b"\xef\xbf\xbd", b"\x9f")
    )
    assert text.startswith("# 제목\n")


def test_utf8_cut_off_within_a_character(tmp_path: Path) -> None:
    assert loaded(tmp_path, KOREAN.strip().encode()[:-2]).startswith(KOREAN[:30])


def test_cp949_with_a_broken_byte_stays_korean(tmp_path: Path) -> None:
    text = loaded(tmp_path, (KOREAN * 20).encode("cp949") + b"\xff\n" + KOREAN.encode("cp949"))
    assert text.count("부서장의 승인을") == 21


def test_surrogates_written_as_utf8(tmp_path: Path) -> None:
    text = loaded(tmp_path, KOREAN.encode() + b"\xed\xa0\x80" + KOREAN.encode())
    assert text.startswith(KOREAN)
    assert text.endswith(KOREAN)
    text.encode()


@pytest.mark.parametrize(
    "data",
    [
        b"\x7fELF\x02\x01\x01" + bytes(9) + bytes(range(256)) * 20,
        b"\x89PNG\r\n\x1a\n" + bytes(range(255, 0, -1)) * 30,
        b"\x1f\x8b\x08\x08" + bytes((i * 167 + i // 7) % 255 + 1 for i in range(5000)),
        bytes(5000),
        b"a line of a log\n" * 500 + b"x\x00\x00\x00y\n",
    ],
)
def test_binary_named_text(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(DocumentError, match=r"a\.txt is not text") as caught:
        loaded(tmp_path, data)
    assert caught.value.hint


# long lines


@pytest.mark.parametrize(
    "line",
    ["가" * 5_000_000, "a" + " " * 5_000_000 + "b", "." + '"' * 3_000_000, "。" * 1_000_000],
    ids=["letters", "spaces", "quotes", "stops"],
)
def test_one_line_of_megabytes_is_cut_in_linear_time(line: str) -> None:
    chunks = split(LoadedDocument(line, "", "text"))
    assert sum(chunk.end - chunk.start for chunk in chunks) == len(line) - line.count(" ")
    assert max(chunk.end - chunk.start for chunk in chunks) <= 700


@pytest.mark.parametrize(
    "line",
    ["# a" + " " * 500_000 + "b", "# " + "#" * 500_000 + "x", "|" + "-" * 500_000 + "x"],
    ids=["spaces", "hashes", "rule"],
)
def test_markdown_of_one_long_line(tmp_path: Path, line: str) -> None:
    assert loaded(tmp_path, f"a | b\n{line}\n".encode(), "a.md") == f"a | b\n{line}\n"


def test_a_heading_of_megabytes_is_not_repeated_in_every_chunk() -> None:
    document = read_markdown("# " + "긴 제목 " * 500_000 + "\n\nText.\n", "a")
    chunks = split(document)
    assert len(document.title) <= LONGEST_HEADING
    assert max(len(chunk.heading) for chunk in chunks) == LONGEST_HEADING + 1


def test_many_tables_under_many_headings() -> None:
    builder = TextBuilder()
    for number in range(20_000):
        builder.heading(2, f"Part {number}")
        builder.table([["부품", "가격"], [str(number), "8,000"]])
    chunks = split(builder.document("", "text"))
    assert len(chunks) == 20_000
    assert chunks[-1].heading == "Part 19999"


# Markdown's offsets


@given(st.text("#=-|` ~\n\x1cab가", max_size=80).map(storable))
@example("Title\x1c\n====\n")
@example("a | b\x1d\n|--|--|\n1 | 2")
def test_markdown_positions_are_those_of_lines(text: str) -> None:
    starts = {start for start, _ in lines(text)}
    document = read_markdown(text, "a")
    assert {heading.start for heading in document.headings} <= starts
    for heading in document.headings:
        assert heading.title in " ".join(text[heading.start :].split())
    for table in document.tables:
        assert table.start in starts
        assert (
            text[table.start : table.end].split("\n")[0].strip().strip("|").strip() == table.header
        )


@pytest.mark.parametrize(
    ("line", "title"),
    [("# C#", "C#"), ("## 휴가 ##", "휴가"), ("# a #b", "a #b"), ("#  b  # ", "b")],
)
def test_closing_hashes_are_no_part_of_a_heading(line: str, title: str) -> None:
    assert [heading.title for heading in read_markdown(line, "").headings] == [title]
