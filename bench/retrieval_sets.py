"""The public sets that retrieval is measured on, read as their publishers offer them."""

from __future__ import annotations

import csv
import json
import random
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SEED = 7
# Questions that are asked where a set has more.
QUESTIONS = {"korquad": 2000}


@dataclass
class EvaluationSet:
    """Documents by id as (title, text), and questions with the ids that answer them."""

    documents: dict[str, tuple[str, str]]
    questions: list[tuple[str, set[str]]]


@dataclass(frozen=True)
class Asked:
    """A question, the documents that answer it, and where in the text the answer begins."""

    question: str
    documents: set[str]
    start: int | None


def scifact(folder: Path) -> EvaluationSet:
    """Read claims and the abstracts they cite; claims that cite none are left out."""
    documents = {}
    with (folder / "corpus_train.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            sentences = re.findall(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"", row["abstract"])
            text = " ".join((a or b).strip() for a, b in sentences)
            documents[row["doc_id"]] = (row["title"], text)
    relevant: dict[str, set[str]] = {}
    with (folder / "claims_validation.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            cited = set(re.findall(r"\d+", row["cited_doc_ids"]))
            relevant.setdefault(row["claim"], set()).update(cited & documents.keys())
    return EvaluationSet(documents, [(q, names) for q, names in relevant.items() if names])


def squad(file: Path) -> EvaluationSet:
    """Read questions over paragraphs, each a document; one that stands twice is one document."""
    names: dict[str, str] = {}
    questions = []
    for article in json.loads(file.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            name = names.setdefault(paragraph["context"], f"p{len(names)}")
            questions += [(qa["question"], {name}) for qa in paragraph["qas"]]
    return EvaluationSet({name: ("", text) for text, name in names.items()}, questions)


def articles(file: Path) -> tuple[dict[str, str], list[Asked]]:
    """Read the same with whole articles as documents, and where each answer begins."""
    texts: dict[str, str] = {}
    asked = []
    for article in json.loads(file.read_text(encoding="utf-8"))["data"]:
        name, text = f"a{len(texts)}", ""
        for paragraph in article["paragraphs"]:
            context = paragraph["context"]
            for qa in paragraph["qas"]:
                before = nfc(context[: qa["answers"][0]["answer_start"]])
                asked.append(Asked(qa["question"], {name}, len(text) + len(before)))
            text += nfc(context) + "\n\n"
        texts[name] = text
    return texts, asked


def nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


SETS: dict[str, Callable[[Path], EvaluationSet]] = {
    "scifact": lambda folder: scifact(folder / "scifact"),
    "xquad": lambda folder: squad(folder / "xquad" / "xquad.en.json"),
    "korquad": lambda folder: squad(folder / "korquad" / "KorQuAD_v1.0_dev.json"),
}
ARTICLES: dict[str, Path] = {
    "xquad": Path("xquad", "xquad.en.json"),
    "korquad": Path("korquad", "KorQuAD_v1.0_dev.json"),
}


def drawn(questions: list[tuple[str, set[str]]], limit: int | None) -> list[tuple[str, set[str]]]:
    """Return up to `limit` questions in an order fixed by the seed.

    Whatever was chosen by measurement was chosen on the first half of them.
    """
    count = min(limit or len(questions), len(questions))
    draw = random.Random(SEED)
    if count < len(questions):
        return draw.sample(questions, count)
    mixed = list(questions)
    draw.shuffle(mixed)
    return mixed


def thin(data: EvaluationSet, limit: int | None, documents: int | None) -> EvaluationSet:
    """Draw questions, and keep their documents with others up to a number: an easier set."""
    questions = drawn([question for question in data.questions if question[1]], limit)
    names = list(data.documents)
    if documents and documents < len(names):
        needed = set().union(*(relevant for _, relevant in questions))
        others = [name for name in names if name not in needed]
        more = random.Random(SEED).sample(others, max(0, documents - len(needed)))
        names = [*needed, *more]
    return EvaluationSet({name: data.documents[name] for name in names}, questions)
