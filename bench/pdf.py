"""How fast a long PDF is read, in how much memory, and whether its rows come out whole.

    uv run python -m bench.pdf [--pages 1600] [--slow-pages 100] [--file FILE] [--json FILE]

A manual is made with fpdf2: running text in one column and in two, and on every fourth page
a ruled table, with a running head and page numbers. Each reader reads it in a process of its
own: ours all of it, pdfplumber (text and tables) and pypdf, where it is installed, the first
`--slow-pages`. *Rows* are table rows of which all cells come out on one line of their page.
With `--file` another PDF is read, without that column. Linux only.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from bench.engines.figures import Table

PROSE = """
    the balance reading filter housing sensor battery operator manual replaces before after every
    certificate temperature humidity adjustment internal weight table interval procedure record
    inspection maintenance ordered delivered together within without between twenty
"""
COLUMNS = ("Part", "Capacity", "Readability", "Pan", "Price")
TABLE_ROWS = 24


@dataclass(frozen=True)
class Read:
    """What one reader did: the pages' texts, in how many seconds, at how many bytes at most."""

    pages: list[str]
    seconds: float
    peak_bytes: int


def row(page: int, n: int) -> tuple[str, ...]:
    """Return a table row that is found on this page alone."""
    part = f"P{page:05d}-{n:02d}"
    return (part, f"{page + n} g", f"{n + 1}.5 mg", f"{80 + n} mm", f"{page},{n:03d} won")


def make(file: Path, pages: int) -> None:
    """Write the manual."""
    from fpdf import FPDF

    class Manual(FPDF):
        def header(self) -> None:
            self.set_font("helvetica", size=8)
            self.cell(
                0, 8, "Hanbit Instruments | Service manual 2026", new_x="LMARGIN", new_y="NEXT"
            )
            self.ln(4)

        def footer(self) -> None:
            self.set_y(-15)
            self.set_font("helvetica", size=8)
            self.cell(0, 8, f"Page {self.page_no()} of {pages}", align="C")

    draw = random.Random(7)
    writer = Manual()
    for page in range(1, pages + 1):
        writer.add_page()
        writer.set_font("helvetica", size=10)
        if page % 4 == 0:
            writer.multi_cell(0, 5, prose(draw, 60), new_x="LMARGIN", new_y="NEXT")
            with writer.table(line_height=6) as table:
                for cells in (COLUMNS, *(row(page, n) for n in range(TABLE_ROWS))):
                    table.row(cells)
        elif page % 4 == 2:
            with writer.text_columns(ncols=2, gutter=8, text_align="J") as columns:
                columns.write(prose(draw, 480))
        else:
            for _ in range(5):
                writer.multi_cell(0, 5, prose(draw, 90), new_x="LMARGIN", new_y="NEXT")
                writer.ln(3)
    writer.output(str(file))


def prose(draw: random.Random, words: int) -> str:
    """Return made-up sentences."""
    choices = PROSE.split()
    text = " ".join(draw.choice(choices) for _ in range(words))
    return re.sub(r"((?:\w+ ){11}\w+) (\w)", lambda m: f"{m[1]}. {m[2].upper()}", text) + "."


def ours(file: Path, _pages: int) -> list[str]:
    """Read all pages with Groundling."""
    from groundling.knowledge.loaders.pdf import load_pdf

    document = load_pdf(file)
    ends = [*document.pages[1:], len(document.text)]
    return [document.text[start:end] for start, end in zip(document.pages, ends, strict=True)]


def pdfplumber(file: Path, pages: int) -> list[str]:
    """Read the first pages with pdfplumber: text, then tables."""
    import pdfplumber

    def text(page: pdfplumber.page.Page) -> str:
        rows = [" | ".join(cell or "" for cell in row) for t in page.extract_tables() for row in t]
        return "\n".join([page.extract_text(), *rows])

    read = []
    with pdfplumber.open(file) as document:
        for page in document.pages[:pages]:
            read.append(text(page))
            page.close()
    return read


def pdfium(file: Path, pages: int) -> list[str]:
    """Read the first pages with pdfium alone: text, without columns or tables."""
    import pypdfium2

    with pypdfium2.PdfDocument(file) as document:
        read = []
        for index in range(min(pages, len(document))):
            page = document[index]
            read.append(page.get_textpage().get_text_range())
            page.close()
        return read


def pypdf(file: Path, pages: int) -> list[str]:
    """Read the first pages with pypdf."""
    reader = importlib.import_module("pypdf").PdfReader(file)
    return [page.extract_text() for page in reader.pages[:pages]]


READERS: dict[str, Callable[[Path, int], list[str]]] = {
    "ours": ours,
    "pdfium, text alone": pdfium,
    "pdfplumber": pdfplumber,
    "pypdf": pypdf,
}


def peak() -> int:
    """Return the most memory that this process has held, in bytes."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    assert found, "Linux tells it"
    return 1024 * int(found[1])


def measured(reader: str, file: Path, pages: int) -> Read:
    """Run a reader in a process of its own."""
    command = [sys.executable, "-m", "bench.pdf", "--read", reader, "--file", str(file)]
    done = subprocess.run(
        [*command, "--pages", str(pages)], check=True, capture_output=True, text=True
    )
    return Read(**json.loads(done.stdout))


def whole_rows(texts: list[str]) -> Iterator[bool]:
    """Tell of each table row whether all its cells stand on one line of its page."""
    for number, text in enumerate(texts, 1):
        if number % 4 == 0:
            lines = [re.sub(r"[\s|]", "", line) for line in text.splitlines() if "|" in line]
            for n in range(TABLE_ROWS):
                yield re.sub(r"\s", "", "".join(row(number, n))) in lines


@click.command()
@click.option("--pages", default=1600, show_default=True, help="of the manual that is made")
@click.option("--slow-pages", default=100, show_default=True, help="that the other readers read")
@click.option("--file", type=click.Path(path_type=Path, exists=True), help="read this instead")
@click.option("--json", "out", type=click.Path(path_type=Path), help="also write the figures here")
@click.option("--read", "reader", type=click.Choice(list(READERS)), hidden=True)
def main(pages: int, slow_pages: int, file: Path | None, out: Path | None, reader: str) -> None:
    """Measure the readers, one after the other."""
    if reader:
        assert file
        begun = time.perf_counter()
        texts = READERS[reader](file, pages)
        print(json.dumps(asdict(Read(texts, time.perf_counter() - begun, peak()))))
        return
    with tempfile.TemporaryDirectory() as folder:
        made = file is None
        if file is None:
            file = Path(folder) / "manual.pdf"
            make(file, pages)
        table = compared(file, slow_pages, made=made)
    print(table.text())
    if out:
        out.write_text(json.dumps(table.json(), indent=2), "utf-8")


def compared(file: Path, slow_pages: int, *, made: bool) -> Table:
    """Return the figures of all readers."""
    table = Table(
        f"{file.name}, {file.stat().st_size / 1e6:.1f} MB",
        ["reader", "pages", "seconds", "pages/s", "of ours", "peak MB", "rows %"],
    )
    best = 0.0
    for name in READERS:
        if name == "pypdf" and not importlib.util.find_spec(name):
            table.notes.append("pypdf is not installed.")
            continue
        read = measured(name, file, slow_pages)
        speed = len(read.pages) / read.seconds
        best = best or speed
        rows = list(whole_rows(read.pages)) if made else []
        share = 100 * sum(rows) / len(rows) if rows else None
        figures = (read.seconds, speed, speed / best, read.peak_bytes / 1e6)
        table.add(name, len(read.pages), *figures, share)
    return table


if __name__ == "__main__":
    main()
