import sqlite3
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from groundling.errors import KnowledgeError
from groundling.knowledge import tables as module
from groundling.knowledge.tables import Tables, header, value


@pytest.fixture
def staff(tmp_path):
    file = tmp_path / "staff list.csv"
    file.write_text('Name,Pay,Since\nKim,"3,200,000",2020-01-02\nLee,2800000.5,\n', "utf-8")
    return file


def test_csv_is_queried(staff):
    tables = Tables([staff])
    assert tables.schema() == "staff_list(Name, Pay, Since)"
    found = tables.query("SELECT Name, Pay FROM staff_list WHERE Pay > 3000000")
    assert (found.columns, found.rows, found.more) == (("Name", "Pay"), [("Kim", 3200000)], False)
    assert tables.query("SELECT count(*) FROM staff_list WHERE Since IS NULL").rows == [(1,)]


def test_korean_files_of_any_encoding(tmp_path):
    file = tmp_path / "매출.csv"
    rows = "지점,금액\n" + "".join(f"서울 {n}지점,{n}000\n" for n in range(1, 40))
    file.write_bytes(rows.encode("cp949"))
    tables = Tables([file])
    assert tables.schema() == '"매출"("지점", "금액")'
    assert tables.query('SELECT sum("금액") FROM "매출"').rows == [(780_000,)]


def test_workbooks_have_a_table_for_each_sheet(tmp_path):
    book = Workbook()
    book.active.title = "2024"
    for row in (["Sales of the year", None], ["Month", "Won"], ["Jan", 10], ["Feb", 20.5]):
        book.active.append(row)
    book.create_sheet("Empty")
    other = book.create_sheet("People")
    other.append(["Name"])
    other.append(["Kim"])
    file = tmp_path / "sales.xlsx"
    book.save(file)
    tables = Tables([file])
    assert [table.name for table in tables.tables] == ["sales_2024", "sales_People"]
    assert tables.query("SELECT sum(Won) FROM sales_2024").rows == [(30.5,)]


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE staff_list",
        "DELETE FROM staff_list",
        "UPDATE staff_list SET Pay = 0",
        "INSERT INTO staff_list VALUES (1, 2, 3)",
        "CREATE TABLE x (y)",
        "ATTACH DATABASE '/tmp/x' AS x",
        "PRAGMA writable_schema = 1",
        "VACUUM INTO '/tmp/x'",
        "SELECT load_extension('x')",
        "SELECT writefile('/tmp/x', 'y')",
        "SELECT readfile('/etc/passwd')",
        "SELECT randomblob(1000000000)",
        "SELECT zeroblob(1000000000)",
        "SELECT 1; DELETE FROM staff_list",
        "",
        "BEGIN",
        "SELECT nothing FROM staff_list",
        "SELECT \x00",
        "SELECT '\ud800'",
    ],
)
def test_only_reading_is_let_through(staff, sql):
    tables = Tables([staff])
    with pytest.raises(KnowledgeError) as error:
        tables.query(sql)
    assert "staff_list" in (error.value.hint or "")
    assert tables.query("SELECT count(*), sum(Pay) FROM staff_list").rows == [(2, 6000000.5)]


# fmt: off
WORDS = st.sampled_from([
    "SELECT", "DELETE", "INSERT", "INTO", "UPDATE", "DROP", "ALTER", "TABLE", "staff_list", "SET",
    "FROM", "*", "(", ")", ",", ";", "1", "'x'", "Pay", "WITH", "RECURSIVE", "t", "AS", "UNION",
    "ALL", "REPLACE", "PRAGMA", "ATTACH", "VALUES", "RETURNING", "WHERE", "EXPLAIN",
])
# fmt: on


@given(st.lists(WORDS, max_size=14).map(" ".join))
@settings(max_examples=300)
def test_no_statement_changes_anything(tmp_path_factory, sql):
    file = tmp_path_factory.getbasetemp() / "staff_list.csv"
    file.write_text("Name,Pay\nKim,1\nLee,2\n", encoding="utf-8")
    tables = Tables([file])
    with suppress(KnowledgeError):
        tables.query(sql)
    assert tables.query("SELECT * FROM staff_list").rows == [("Kim", 1), ("Lee", 2)]
    assert len(tables.query("SELECT name FROM sqlite_master").rows) == 1
    tables.close()


def test_a_query_that_takes_too_long_is_stopped(staff, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.1)
    endless = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t"
    with pytest.raises(KnowledgeError, match="longer than"):
        Tables([staff]).query(endless)


def test_more_rows_than_are_shown_are_told(tmp_path):
    file = tmp_path / "n.csv"
    file.write_text("n\n" + "\n".join(map(str, range(100))), encoding="utf-8")
    found = Tables([file]).query("SELECT n FROM n", rows=7)
    assert (len(found.rows), found.more) == (7, True)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.xlsx", b"no zip", "no workbook"),
        ("a.xlsx", b"", "no workbook"),
        ("missing.csv", None, "missing.csv"),
        ("a.csv", b"a\n" + b"x" * 200_000 + b"\n", "field larger"),
    ],
)
def test_bad_files_are_skipped_with_their_reason(tmp_path, staff, name, content, reason):
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    tables = Tables([file, staff])
    assert [table.name for table in tables.tables] == ["staff_list"]
    [(path, why)] = tables.skipped
    assert path == file
    assert reason in why


def test_empty_files_have_no_table(tmp_path):
    file = tmp_path / "empty.csv"
    file.write_text("\n\n")
    assert Tables([file]).tables == []


def test_equal_names_are_told_apart(tmp_path):
    (tmp_path / "b").mkdir()
    for folder in (tmp_path, tmp_path / "b"):
        (folder / "x.csv").write_text("A,a,A\n1,2,3\n")
    tables = Tables([tmp_path / "x.csv", tmp_path / "b" / "x.csv"])
    assert tables.schema() == "x(A, a_2, A_3); x_2(A, a_2, A_3)"


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("1,200", 1200),
        ("-3.50", -3.5),
        ("010", "010"),
        ("1,20", "1,20"),
        ("12345678901234567890", "12345678901234567890"),
        (" ", None),
        ("nan", "nan"),
        ("1e999", "1e999"),
    ],
)
def test_numbers_are_read_as_people_write_them(text, cell):
    assert value(text) == cell


@given(st.lists(st.lists(st.none() | st.integers() | st.text(max_size=5), max_size=5), max_size=14))
def test_every_header_has_a_name_for_each_column(rows):
    names, _ = header(rows)
    assert len({name.casefold() for name in names}) == len(names)
    assert all(names)
    db = sqlite3.connect(":memory:")
    db.close()
