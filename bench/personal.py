"""Personal data and secrets: what the detectors find, miss and take for some, and how fast.

    uv run python -m bench.personal EVALDATA [--each 40] [--misses] [--json FILE]

EVALDATA holds `presidio/` (Microsoft's synthetic documents with labelled personal data, MIT)
and, for the speed, `xquad/xquad.en.json` and `korquad/KorQuAD_v1.0_dev.json`, prose without
personal data. The Korean documents are made here, with a fixed seed.

*Found*: a finding of the right kind covers the whole identifier. *Hidden*: findings of any
kind cover it, so that nothing of it would be written. *Extra*: findings that touch no
identifier of their kind. Entities that no detector is for (names, addresses) are left out.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from bench.engines.figures import Table
from bench.korean_documents import Document, documents
from groundling.guardrails.detector import THRESHOLD, Detector, Finding, resolve
from groundling.guardrails.personal import PersonalData
from groundling.guardrails.redact import default_detectors, redact
from groundling.guardrails.secrets import Secrets

FILES = ("generated_small.json", "synth_dataset_v2.json")
KINDS = {
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "CREDIT_CARD": "card",
    "IBAN_CODE": "iban",
    "US_SSN": "us_ssn",
    "IP_ADDRESS": "ip",
}
PROSE = {"English": "xquad/xquad.en.json", "Korean": "korquad/KorQuAD_v1.0_dev.json"}
SPEED_ROUNDS = 5


@click.command()
@click.argument("evaldata", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--each", default=40, help="Korean documents for each kind.")
@click.option("--misses", is_flag=True, help="Print what was missed and what was extra.")
@click.option("--json", "report", type=click.Path(path_type=Path), help="Write the results here.")
def main(evaldata: Path, each: int, misses: bool, report: Path | None) -> None:
    """Measure the detectors of personal data and secrets."""
    folder = evaldata / "presidio"
    if not folder.is_dir():
        raise click.UsageError(f"{folder} is not there; give the folder that has presidio/.")
    korean = documents(each)
    tables = [
        score(f"Presidio's documents ({', '.join(FILES)})", presidio(folder), misses),
        score(f"Korean documents, made ({len(korean)})", korean, misses),
        lookalikes(korean, misses),
        speed(evaldata),
    ]
    for table in tables:
        click.echo(table.text())
    if report:
        rows = json.dumps([table.json() for table in tables], ensure_ascii=False, indent=2)
        report.write_text(rows, encoding="utf-8")


def presidio(folder: Path) -> Iterator[Document]:
    """Yield the labelled documents, with the entities that there are detectors for."""
    for file in FILES:
        for record in json.loads((folder / file).read_text(encoding="utf-8")):
            gold = [
                (KINDS[span["entity_type"]], span["start_position"], span["end_position"])
                for span in record["spans"]
                if span["entity_type"] in KINDS
            ]
            yield Document(record["full_text"], gold)


def score(title: str, texts: Iterable[Document], misses: bool) -> Table:
    """Compare findings with labels, kind by kind."""
    gold, found, hidden, right, extra = (Counter[str]() for _ in range(5))
    for document in texts:
        findings = find(document.text)
        for kind, start, end in document.gold:
            gold[kind] += 1
            whole = any(f.kind == kind and f.start <= start and end <= f.end for f in findings)
            covered = {place for f in findings for place in range(f.start, f.end)}
            found[kind] += whole
            hidden[kind] += covered.issuperset(range(start, end))
            if misses and not whole:
                click.echo(f"missed {kind}: {document.text[max(0, start - 30) : end + 10]!r}")
        for f in findings:
            true = any(k == f.kind and s < f.end and f.start < e for k, s, e in document.gold)
            right[f.kind] += true
            extra[f.kind] += not true
            if misses and not true:
                click.echo(f"extra {f.kind}: {document.text[max(0, f.start - 30) : f.end + 10]!r}")
    table = Table(title, ["kind", "there", "found", "recall", "hidden", "extra", "precision"])
    for kind in sorted({*gold, *extra}):
        named = right[kind] + extra[kind]
        table.add(
            kind,
            gold[kind],
            found[kind],
            found[kind] / gold[kind] if gold[kind] else None,
            hidden[kind] / gold[kind] if gold[kind] else None,
            extra[kind],
            right[kind] / named if named else None,
        )
    return table


def lookalikes(texts: Iterable[Document], misses: bool) -> Table:
    """Count the documents without identifiers in which something was found."""
    there, flagged = Counter[str](), Counter[str]()
    kinds: dict[str, Counter[str]] = {}
    for document in texts:
        if name := document.lookalike:
            findings = find(document.text)
            there[name] += 1
            flagged[name] += bool(findings)
            kinds.setdefault(name, Counter()).update(f.kind for f in findings)
            if misses and findings:
                click.echo(f"flagged {name}: {document.text!r}")
    table = Table("Look-alikes, in Korean prose", ["look-alike", "documents", "flagged", "as"])
    for name, count in there.items():
        table.add(name, count, flagged[name], ", ".join(kinds[name]) or "–")
    return table


def speed(evaldata: Path) -> Table:
    """Measure how much ordinary prose is searched in a second, by one thread."""
    table = Table(
        "Speed on prose without findings",
        ["", "MB", "personal, MB/s", "secrets, MB/s", "both, MB/s", "findings"],
        notes=["MB of UTF-8; CPU time of the best of 5 rounds."],
    )
    for language, place in PROSE.items():
        if not (evaldata / place).is_file():
            table.notes.append(f"{language}: {place} is not there.")
            continue
        articles = json.loads((evaldata / place).read_text(encoding="utf-8"))["data"]
        text = "\n".join(p["context"] for article in articles for p in article["paragraphs"])
        size = len(text.encode()) / 1e6
        choices: list[list[Detector]] = [[PersonalData()], [Secrets()], default_detectors()]
        rates = [
            size / min(_seconds(text, detectors) for _ in range(SPEED_ROUNDS))
            for detectors in choices
        ]
        table.add(language, size, *rates, len(find(text)))
    return table


def find(text: str) -> list[Finding]:
    """Return what would be redacted."""
    found = (f for detector in default_detectors() for f in detector.find(text))
    return resolve(f for f in found if f.score >= THRESHOLD)


def _seconds(text: str, detectors: list[Detector]) -> float:
    begun = time.process_time()
    redact(text, detectors)
    return time.process_time() - begun


if __name__ == "__main__":
    main()
