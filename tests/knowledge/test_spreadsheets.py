import datetime
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from groundling.errors import DocumentError
from groundling.knowledge import spreadsheets as module
from groundling.knowledge.spreadsheets import delimiter_of, header, read, value
from groundling.knowledge.tables import Tables

CELLS = st.none() | st.integers() | st.text(min_size=1, max_size=5)


def table(tmp_path, text, name="t.csv"):
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    [found] = Tables([file]).tables
    return found


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("1,200", 1200),
        ("-3.50", -3.5),
        ("+7", 7),
        ("−3", -3),
        ("₩1,200", 1200),
        ("-$1,200.50", -1200.5),
        ("1,200원", 1200),
        ("0.1234567890123456", 0.1234567890123456),
        ("123456789012345678", 123456789012345678),
        ("010", "010"),
        ("0", 0),
        ("1,20", "1,20"),
        ("--3", "--3"),
        ("-₩-3", "-₩-3"),
        ("12%", "12%"),
        ("12345678901234567890", "12345678901234567890"),
        (" ", None),
        ("nan", "nan"),
        ("1e999", "1e999"),
        ("2024-03-02", "2024-03-02"),
        ("2024/3/2", "2024-03-02"),
        ("2024. 3. 2.", "2024-03-02"),
        ("2024년 3월 2일", "2024-03-02"),
        ("2024/3/2 9:05", "2024-03-02 09:05"),
        ("2024-3/2", "2024-3/2"),
        ("2024-02-30", "2024-02-30"),
        ("0000-01-01", "0000-01-01"),
    ],
)
def test_cells_are_read_as_people_write_them(text, cell):
    assert value(text) == cell
    assert type(value(text)) is type(cell)


@given(st.integers(-(10**17), 10**17))
def test_whole_numbers_come_back(number):
    assert value(str(number)) == value(f"{number:,}") == number


@given(st.dates(datetime.date(1000, 1, 1)))
def test_dates_come_back(day):
    assert value(day.isoformat()) == day.isoformat()
    assert value(f"{day.year}. {day.month}. {day.day}.") == day.isoformat()


@given(st.text(max_size=40))
def test_any_cell_is_read(text):
    assert value(text) is None or isinstance(value(text), str | int | float)


@pytest.mark.parametrize(
    ("rows", "names", "left"),
    [
        ([["A", "B"], [1, 2]], ["A", "B"], 1),
        ([["Sales of 2024", None, None], ["A", "B", "C"], [1, 2, 3]], ["A", "B", "C"], 1),
        # Years name columns, and a later row of nothing but texts is no header.
        ([["name", 2023, 2024], ["x", 1, 2], ["y", "-", "-"]], ["name", "2023", "2024"], 2),
        ([[None, "won", "days"], ["Kim", 1, 2]], ["column_1", "won", "days"], 1),
        ([[1, 2], [3, 4]], ["column_1", "column_2"], 2),
        ([["n"], [1]], ["n"], 1),
        ([["A", "B"], [1, 2, 3]], ["A", "B", "column_3"], 1),
        ([], [], 0),
        ([[None, None]], [], 0),
    ],
)
def test_the_header_is_found(rows, names, left):
    found, rest = header(rows)
    assert (found, len(list(rest))) == (names, left)


@given(st.lists(st.lists(CELLS, max_size=5), max_size=14))
def test_no_row_below_the_header_is_lost(rows):
    names, rest = header(rows)
    left = [row for row in rest if any(cell is not None for cell in row)]
    filled = [row for row in rows if any(cell is not None for cell in row)]
    assert left == filled[len(filled) - len(left) :]
    assert len({name.casefold() for name in names}) == len(names)
    assert all(names)
    for row in left[:5]:
        assert all(cell is None for cell in row[len(names) :])


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,5;2,5\n3,5;1,2\n", ";"),
        ("a\tb\n1\t2\n", "\t"),
        ("Sales, in won\n\na;b;c\n1;2;3\n4;5;6\n", ";"),
        ('"x, y"|b\n"1, 2"|2\n', "|"),
        ("n\n1\n", ","),
        ("", ","),
    ],
)
def test_the_delimiter_is_told(text, delimiter):
    assert delimiter_of(text) == delimiter


def test_line_separators_inside_of_cells_split_no_rows(tmp_path):
    found = table(tmp_path, 'a,b\nx\u2028y\x0cz,1\n"p\r\nq",2\n')
    assert found.sample == (("x\u2028y\x0cz", 1), ("p\r\nq", 2))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp949"])
def test_encodings(tmp_path, encoding):
    found = table(tmp_path, "이름;금액\n김민수;1,200\n".encode(encoding))
    assert found.columns == ("이름", "금액")
    assert found.sample == (("김민수", 1200),)


def workbook(tmp_path, *rows):
    book = Workbook()
    for row in rows:
        book.active.append(row)
    file = tmp_path / "t.xlsx"
    book.save(file)
    return file


def changed(file, part, old, new):
    """Write a workbook again with one of its parts changed."""
    other = file.with_name("changed.xlsx")
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(other, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, data.replace(old, new) if name.endswith(part) else data)
    return other


def test_values_of_workbooks(tmp_path):
    noon = datetime.datetime(2024, 3, 2, 12, 30)
    file = workbook(tmp_path, ["a", "b", "c", "d"], [10**30, noon, datetime.date(2024, 3, 2), True])
    [found] = Tables([file]).tables
    assert found.sample == ((1e30, "2024-03-02 12:30:00", "2024-03-02", 1),)


def test_a_whole_number_that_sqlite_cannot_hold_is_a_text(tmp_path):
    file = workbook(tmp_path, ["a"], [12345])
    file = changed(file, "sheet1.xml", b"12345", b"9" * 30)
    [found] = Tables([file]).tables
    assert found.sample == (("9" * 30,),)


def test_wrong_dimensions_hide_nothing(tmp_path):
    file = workbook(tmp_path, ["a", "b"], [1, 2])
    file = changed(file, "sheet1.xml", b'ref="A1:B2"', b'ref="A1"')
    [found] = Tables([file]).tables
    assert found.sample == ((1, 2),)


def test_a_row_number_without_end_does_not_hang(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_LINES", 1000)
    file = workbook(tmp_path, ["a"], [1])
    file = changed(file, "sheet1.xml", b'<row r="2"', b'<row r="9999999999"')
    [(_, why)] = Tables([file]).skipped
    assert "larger than 1,001 rows" in why


def test_damaged_sheets_and_bombs_are_refused(tmp_path, monkeypatch):
    good = workbook(tmp_path, ["a"], [1])
    torn = changed(good, "sheet1.xml", b"</row>", b"<row>")
    assert "damaged" in Tables([torn]).skipped[0][1]
    monkeypatch.setattr(module, "MOST_UNPACKED", 1000)
    assert "unpacks to" in Tables([good]).skipped[0][1]
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    with pytest.raises(DocumentError, match="larger than"):
        list(read(good))
