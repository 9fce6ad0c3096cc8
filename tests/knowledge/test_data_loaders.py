"""Notebooks, JSON and source code, as people write them and as nobody should."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import DocumentError
from groundling.knowledge.chunking import split
from groundling.knowledge.loaders import json_text
from groundling.knowledge.loaders.code import load_code
from groundling.knowledge.loaders.document import LoadedDocument, storable
from groundling.knowledge.loaders.notebook import MAX_OUTPUT_CHARACTERS
from groundling.knowledge.loaders.registry import load


def loaded(folder: Path, name: str, content: Any) -> LoadedDocument:
    path = folder / name
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    path.write_text(text, encoding="utf-8")
    return load(path)


# notebooks


def test_notebook_of_the_present_format(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# 매출 분석\n", "\n", "By region.\n\n## 자료\n"]},
        {
            "cell_type": "code",
            "source": "print(total)\n# not a heading",
            "outputs": [
                {
                    "output_type": "stream",
                    "name": "stdout",
                    "text": ["\x1b[31m1,200만\x1b[0m 원\n"],
                },
                {"output_type": "execute_result", "data": {"text/plain": ["   a  b\n", "0  1  2"]}},
                {
                    "output_type": "display_data",
                    "data": {"image/png": "iVBOR", "text/plain": "<Figure size 640x480>"},
                },
                {"output_type": "error", "ename": "KeyError", "evalue": "'서울'", "traceback": []},
            ],
        },
        {
            "cell_type": "markdown",
            "source": "![plot](data:image/png;base64,AAAA)\n\n| a | b |\n|--|--|\n|1|2|",
        },
        {"cell_type": "raw", "source": "raw text"},
    ]
    document = loaded(tmp_path, "a.ipynb", {"nbformat": 4, "cells": cells})
    assert document.title == "매출 분석"
    assert document.format == "notebook"
    assert document.text == (
        "# 매출 분석\n\nBy region.\n\n## 자료\n\nprint(total)\n# not a heading\n\n"
        "Output: 1,200만 원\n\nOutput: a  b\n0  1  2\n\nOutput: KeyError: '서울'\n\n"
        "plot\n\n| a | b |\n|--|--|\n|1|2|\n\nraw text\n\n"
    )
    assert [(h.level, h.title) for h in document.headings] == [(1, "매출 분석"), (2, "자료")]
    assert document.text[document.headings[1].start :].startswith("## 자료\n")
    (table,) = document.tables
    assert document.text[table.start : table.end] == "| a | b |\n|--|--|\n|1|2|"


def test_notebook_of_the_third_format(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "heading", "level": 2, "source": ["Old one"]},
        {
            "cell_type": "code",
            "input": ["1 + 1"],
            "outputs": [
                {"output_type": "pyout", "text": ["2"]},
                {"output_type": "pyerr", "ename": "E", "evalue": "x"},
            ],
        },
    ]
    document = loaded(tmp_path, "a.ipynb", {"nbformat": 3, "worksheets": [{"cells": cells}]})
    assert document.text == "## Old one\n\n1 + 1\n\nOutput: 2\n\nOutput: E: x\n\n"
    assert document.title == "a"


def test_long_outputs_are_cut(tmp_path: Path) -> None:
    output = {"output_type": "stream", "text": "가" * 100_000}
    cell = {"cell_type": "code", "source": "x", "outputs": [output] * 3}
    text = loaded(tmp_path, "a.ipynb", {"cells": [cell]}).text
    assert text.count("가") == 3 * MAX_OUTPUT_CHARACTERS
    assert "98,000 more characters" in text


FIELDS = ["cells", "worksheets", "cell_type", "source", "input", "outputs", "text", "data", "level"]
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner | st.sampled_from(["markdown", "code", "heading", "error"]),
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(ODD)
def test_no_field_of_a_notebook_is_trusted(
    tmp_path_factory: pytest.TempPathFactory, odd: Any
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    cells = [odd, {"cell_type": "code", "source": "last"}]
    assert loaded(folder, "a.ipynb", {"cells": cells}).text.endswith("last\n\n")
    with contextlib.suppress(DocumentError):
        loaded(folder, "a.ipynb", odd if not isinstance(odd, str) else [odd])


@pytest.mark.parametrize("content", ["{", "[" * 100_000, '{"cells": 1}', "[]", "9" * 5000])
def test_no_notebook(tmp_path: Path, content: str) -> None:
    with pytest.raises(DocumentError, match=r"a\.ipynb (is not a notebook|has no cells)"):
        loaded(tmp_path, "a.ipynb", content)


# JSON


def test_object(tmp_path: Path) -> None:
    document = loaded(
        tmp_path,
        "a.json",
        {
            "name": "김민수",
            "address": {"city": "서울", "zip": {"code": "04524", "old": None}},
            "tags": ["a", "나"],
            "empty": {},
            "paid": True,
            "orders": [{"item": "펜", "price": 1200}, {"item": "ink|well", "price": 8000}],
            "notes": [{"text": "first"}, {"text": "second", "by": {"who": "Lee"}}],
        },
    )
    assert document.text == (
        "name: 김민수\ntags: a, 나\nempty: {}\npaid: true\n\n"
        "## address\n\naddress.city: 서울\naddress.zip.code: 04524\naddress.zip.old: null\n\n"
        "## orders\n\nitem | price\n펜 | 1200\nink/well | 8000\n\n"
        "## notes\n\nnotes[0].text: first\n\nnotes[1].text: second\nnotes[1].by.who: Lee\n\n"
    )
    assert document.tables[0].header == "item | price"
    assert document.text[document.headings[1].start :].startswith("## orders\n")


def test_object_of_objects_alone(tmp_path: Path) -> None:
    assert loaded(tmp_path, "a.json", {"a": {"b": 1}}).text == "## a\n\na.b: 1\n\n"


def test_list_of_long_records_is_no_table(tmp_path: Path) -> None:
    records = [{"title": "휴가", "body": "긴 글 " * 100}, {"title": "Travel", "body": "short"}]
    document = loaded(tmp_path, "a.json", records)
    assert document.tables == ()
    assert document.text.startswith("title: 휴가\nbody: 긴 글")
    assert document.text.endswith("\n\ntitle: Travel\nbody: short\n\n")


@pytest.mark.parametrize("number", ["9" * 20_000, "1e999", "-0.10", "NaN", "12345678901234567890"])
def test_numbers_stay_as_written(tmp_path: Path, number: str) -> None:
    assert loaded(tmp_path, "a.json", f'{{"n": {number}}}').text == f"n: {number}\n\n"


@pytest.mark.parametrize("depth", [10_000, 100_000])
@pytest.mark.parametrize(("open_", "close"), [("[", "]"), ('{"가":', "}")])
def test_deep_nesting_is_kept_as_text(tmp_path: Path, depth: int, open_: str, close: str) -> None:
    text = open_ * depth + "1" + close * depth
    assert loaded(tmp_path, "a.json", text).text == text
    assert loaded(tmp_path, "a.jsonl", f'{text}\n{{"b": 2}}\n').text == f"{text}\n\nb: 2\n\n"


@pytest.mark.parametrize("depth", range(300, 1000, 100))
def test_nesting_as_deep_as_python_reads(tmp_path: Path, depth: int) -> None:
    text = '{"a":[' * (depth // 2) + '"값"' + "]}" * (depth // 2)
    assert "값" in loaded(tmp_path, "a.json", text).text


def test_paths_do_not_blow_up_the_text(tmp_path: Path) -> None:
    text = json.dumps({"key" * 100_000: [[[1]]] * 10_000})
    assert len(loaded(tmp_path, "a.json", text).text) < 10 * len(text)
    text = '{"' + "k" * 150 + '":[' + ",".join(["[[1]]"] * 20_000) + "]}"
    assert loaded(tmp_path, "a.json", text).text == text


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(JSON)
def test_every_text_of_a_json_file_is_kept(
    tmp_path_factory: pytest.TempPathFactory, value: Any
) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    read = json_text.load_json(path).text.replace("/", "|")
    flat = " ".join(read.split())
    for text in _texts(value):
        assert " ".join(storable(text).replace("/", "|").split()) in flat


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []


def test_broken_json_names_the_place(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"a\.json is not JSON: .* line 2, column 6"):
        loaded(tmp_path, "a.json", '{"a": 1,\n "b" 2}')


def test_json_lines_as_a_table_and_under_a_wrong_suffix(tmp_path: Path) -> None:
    lines = '{"도시": "서울", "n": 1}\r\n\r\n{"도시": "부산", "n": 2}\r\n'
    for name in ("a.jsonl", "a.ndjson", "a.json"):
        assert loaded(tmp_path, name, lines).text == "도시 | n\n서울 | 1\n부산 | 2\n\n"


def test_a_bad_line_is_kept(tmp_path: Path) -> None:
    text = loaded(tmp_path, "a.jsonl", '{"a": 1}\nnot JSON: 휴가\n{"a": 2}\n').text
    assert text == "a: 1\n\nnot JSON: 휴가\n\na: 2\n\n"


def test_no_line_is_json(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"no line is JSON \(line 2: Expecting value\)"):
        loaded(tmp_path, "a.jsonl", "\nhello\nthere\n")


# code

PYTHON = '''"""A module."""
import os

# 합계를 구한다.
@cache
def total(items):
    text = """
def not_one(): ...
"""
    def inner(): ...

class Basket:
    """장바구니."""

    size = 0

    def add(self, item):
        pass

    @property
    async def empty(self):
        pass

try:
    import json
except ImportError:
    def dumps(): ...
'''


def names(document: LoadedDocument) -> list[tuple[int, str]]:
    return [(heading.level, heading.title) for heading in document.headings]


def test_python(tmp_path: Path) -> None:
    document = loaded(tmp_path, "basket.py", PYTHON)
    assert document.text == PYTHON
    assert (document.title, document.format) == ("basket.py", "python")
    expected = [(1, "total"), (1, "Basket"), (2, "add"), (2, "empty"), (1, "dumps")]
    assert names(document) == expected
    starts = [document.text[heading.start :].split("\n")[0] for heading in document.headings]
    assert starts == [
        "# 합계를 구한다.",
        "class Basket:",
        "    def add(self, item):",
        "    @property",
        "    def dumps(): ...",
    ]
    found = {chunk.heading for chunk in split(document)}
    assert found == {"", "total", "Basket", "Basket > add", "Basket > empty", "dumps"}


@pytest.mark.parametrize(
    "spoiled",
    ["print 'two'", "x = " + "-" * 100_000 + "1", "(" * 10_000, "x = 1" + "+1" * 100_000],
    ids=["Python 2", "signs", "brackets", "sum"],
)
def test_python_that_does_not_parse(tmp_path: Path, spoiled: str) -> None:
    text = f"class A:\n    def b(self):\n        {spoiled}\n\ndef c(): pass\n"
    document = loaded(tmp_path, "a.py", text)
    assert document.text == text
    assert names(document) == [(1, "A"), (2, "b"), (1, "c")]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "a.c",
            "#include <stdio.h>\nint later(int a);\nstruct point {\n  int x;\n};\n\n/* 더한다 */\n"
            "static int *add(int a,\n                int b)\n{\n    if (a) foo(b);\n}\n",
            [(1, "point"), (1, "add")],
        ),
        (
            "a.cpp",
            "namespace shop {\nclass Basket;\nclass Basket : public Base {\n};\n}\n"
            "void Basket::add(const Item & item) {\n    return (item);\n}\n",
            [(1, "shop"), (1, "Basket"), (1, "Basket::add")],
        ),
        (
            "A.java",
            "public class Basket {\n    // 담기\n    public void add(Item item) {\n"
            "        run(item);\n    }\n    private int n;\n}\n",
            [(1, "Basket"), (2, "add")],
        ),
        (
            "a.cs",
            "namespace Shop {\n    public class Basket {\n        public int Add(int a) {\n}}}\n",
            [(1, "Shop"), (2, "Basket"), (3, "Add")],
        ),
        (
            "a.ts",
            "export interface Item {\n}\nexport class Basket {\n  async add(item: Item): void {\n"
            "    if (item) {\n    }\n  }\n}\nexport const total = (a: number) => a;\n"
            "const three = 3;\nexport default async function main() {\n}\n",
            [(1, "Item"), (1, "Basket"), (2, "add"), (1, "total"), (1, "main")],
        ),
        (
            "a.rs",
            "/// A basket.\n#[derive(Debug)]\npub struct Basket {\n}\nimpl<T> Add for Basket {\n"
            "    pub(crate) fn add(&self) {\n    }\n}\n",
            [(1, "Basket"), (1, "Add for Basket"), (2, "add")],
        ),
        (
            "a.go",
            "type Basket struct {\n}\n// Add 담는다\nfunc (b *Basket) Add(x int) {\n}\n",
            [(1, "Basket"), (1, "Add")],
        ),
        (
            "a.rb",
            "module Shop\n  class Basket\n    def empty?\n    end\n  end\nend\n",
            [(1, "Shop"), (2, "Basket"), (3, "empty?")],
        ),
        (
            "a.sh",
            "# 실행\nrun() {\n  echo x\n}\nfunction stop {\n}\nrun\n",
            [(1, "run"), (1, "stop")],
        ),
        (
            "a.sql",
            'CREATE TABLE IF NOT EXISTS "휴가" (\n  n int\n);\n'
            "create or replace view v as select 1;\n",
            [(1, "휴가"), (1, "v")],
        ),
        ("a.toml", "a = 1\n[tool.ruff]\nb = [1]\n[[x]]\n", [(1, "tool.ruff"), (1, "x")]),
        (
            "a.tf",
            'resource "aws_s3" "logs" {\n}\nlocals {\n}\n',
            [(1, "aws_s3 logs"), (1, "locals")],
        ),
        (
            "a.hs",
            "data Tree a = Leaf\n\nsize :: Tree a -> Int\nsize Leaf = 0\n",
            [(1, "Tree a"), (1, "size")],
        ),
        ("a.yaml", "a:\n  b: 1\n", []),
    ],
)
def test_other_languages(
    tmp_path: Path, name: str, text: str, expected: list[tuple[int, str]]
) -> None:
    document = loaded(tmp_path, name, text)
    assert document.text == text
    assert names(document) == expected


def test_comments_go_with_what_they_explain(tmp_path: Path) -> None:
    text = "int a(void) {\n}\n\n/*\n * 잔액을 센다.\n */\nint b(void) {\n}\n"
    document = loaded(tmp_path, "a.c", text)
    assert document.text[document.headings[1].start :].startswith("/*\n * 잔액")


CODE = """
def a():|class B:|  def c(self):|# x|@d|int f(int a) {|}||  x = 1|fn g() {|/* 가|[t]|class K {|\r
""".strip("\n").split("|")
CODE_LINES = st.lists(
    st.sampled_from(CODE) | st.text(st.characters(exclude_characters="\x00"), max_size=10),
    max_size=15,
)


@given(CODE_LINES, st.sampled_from([".py", ".c", ".java", ".ts", ".rb", ".toml", ".sh", ".hs"]))
def test_headings_of_code_are_starts_of_lines_in_order(
    tmp_path_factory: pytest.TempPathFactory, code: list[str], suffix: str
) -> None:
    path = tmp_path_factory.mktemp("code") / f"a{suffix}"
    path.write_text("\n".join(code), encoding="utf-8", errors="replace", newline="")
    document = load_code(path)
    starts = [heading.start for heading in document.headings]
    assert starts == sorted(set(starts))
    assert all(start == 0 or document.text[start - 1] == "\n" for start in starts)
    assert document.text == storable(path.read_bytes().decode("utf-8-sig"))
