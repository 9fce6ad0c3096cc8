import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from groundling.errors import KnowledgeError
from groundling.knowledge import tables as module
from groundling.knowledge.table_names import quoted
from groundling.knowledge.tables import Tables


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
        "WITH x AS (SELECT 1) DELETE FROM staff_list",
        "SELECT * FROM pragma_database_list",
        "SELECT * FROM pragma_table_info('staff_list')",
        "SELECT * FROM pragma_journal_mode('wal')",
        "SELECT * FROM json_each('[1]')",
        "SELECT * FROM sqlite_dbpage",
        "SELECT * FROM sqlite_temp_master",
        "CREATE TEMP TABLE x AS SELECT 1",
        "DETACH DATABASE main",
        "REINDEX",
        "ANALYZE",
        "SAVEPOINT x",
        "EXPLAIN DELETE FROM staff_list",
        "SELECT fts3_tokenizer('x')",
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
    tables = Tables([file])
    assert tables.tables == []
    assert "is empty" in tables.skipped[0][1]


def test_equal_names_are_told_apart(tmp_path):
    (tmp_path / "b").mkdir()
    for folder in (tmp_path, tmp_path / "b"):
        (folder / "x.csv").write_text("A,a,A\n1,2,3\n")
    tables = Tables([tmp_path / "x.csv", tmp_path / "b" / "x.csv"])
    assert tables.schema() == "x(A, a_2, A_3); x_2(A, a_2, A_3)"


# https://sqlite.org/lang_keywords.html
# fmt: off
KEYWORDS = [
    "abort", "add", "all", "between", "by", "case", "cast", "check", "cross", "current_date",
    "default", "desc", "end", "exists", "from", "glob", "group", "if", "in", "index", "join",
    "key", "left", "limit", "match", "natural", "no", "not", "of", "offset", "on", "order",
    "over", "plan", "primary", "raise", "range", "references", "replace", "right", "row", "select",
    "set", "table", "to", "transaction", "true", "union", "unique", "update", "using", "values",
    "view", "when", "where", "window", "with", "without",
]
# fmt: on


def test_any_word_may_name_a_table_and_a_column(tmp_path):
    file = tmp_path / "order.csv"
    file.write_text(",".join(KEYWORDS) + "\n" + ",".join("7" * len(KEYWORDS)) + "\n", "utf-8")
    tables = Tables([file])
    assert tables.skipped == []
    for word in KEYWORDS:
        name = quoted(word)
        sql = f"SELECT {name} FROM {quoted('order')} WHERE {name} > 0 ORDER BY {name}"
        assert tables.query(sql).rows == [(7,)]


def test_names_that_sqlite_keeps_for_itself(tmp_path):
    file = tmp_path / "sqlite_master.csv"
    file.write_text("rowid,_rowid_\n5,6\n", encoding="utf-8")
    tables = Tables([file])
    assert tables.skipped == []
    assert tables.query('SELECT "rowid" FROM t_sqlite_master').rows == [(5,)]


def test_names_carry_nothing_invisible(tmp_path):
    file = tmp_path / "a\u202eb.csv"
    file.write_text('"am\u200bount\u202e","x""y\n z",\x1b[31m\n1,2,3\n', encoding="utf-8")
    [table] = Tables([file]).tables
    assert table.name.isprintable()
    assert table.columns == ("amount", "xy z", "[31m")


def test_missing_figures_are_no_zeros(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("won,state\n10,-\nN/A,NA\n-,TX\n20,\n", encoding="utf-8")
    found = Tables([file]).query("SELECT avg(won), count(won), count(state) FROM a")
    assert found.rows == [(15, 2, 3)]  # what stands in columns of words stays


@pytest.mark.parametrize(
    "sql", ["```sql\nSELECT Pay FROM staff_list\n```", "```SELECT Pay FROM staff_list```"]
)
def test_fences_are_taken_off(staff, sql):
    assert len(Tables([staff]).query(sql).rows) == 2


def test_a_row_that_is_larger_than_can_be_shown_ends_the_result(staff):
    wide = ", ".join(["x"] * 400)
    sql = f"SELECT {wide} FROM (SELECT printf('%.90000c', 'a') AS x FROM staff_list, staff_list)"
    found = Tables([staff]).query(sql)
    assert (len(found.rows), found.more) == (1, True)


def test_long_comparisons_can_be_interrupted(staff, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.2)
    slow = "instr(printf('%.90000c', 'a'), printf('%.45000c', 'a') || n)"
    sql = f"WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT {slow} FROM t"
    begin = time.monotonic()
    with pytest.raises(KnowledgeError, match="longer than"):
        Tables([staff]).query(f"{sql} WHERE {slow} > 0")
    assert time.monotonic() - begin < 30


def test_too_many_cells_are_not_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_CELLS", 10)
    for name in "abc":
        (tmp_path / f"{name}.csv").write_text("x,y\n1,2\n3,4\n", encoding="utf-8")
    tables = Tables(sorted(tmp_path.iterdir()))
    assert [table.name for table in tables.tables] == ["a", "b"]
    assert "cells" in tables.skipped[0][1]


def test_only_so_many_files_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_FILES", 1)
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text("x\n1\n", encoding="utf-8")
    tables = Tables(sorted(tmp_path.iterdir()))
    assert (len(tables.tables), len(tables.skipped)) == (1, 1)
