"""Claims against supplied evidence: right verdicts, what is settled, time for one claim.

    uv run python -m bench.evidence DATA                       every set, 60 claims of each half
    uv run python -m bench.evidence DATA --half held-out --only scifact --json results.json

DATA is a folder with `scifact/`, `xquad/xquad.en.json`, `korquad/KorQuAD_v1.0_dev.json`,
`pubmedqa/pqal_train_500.json` and `fever/paper_dev.jsonl`; what is not there is named and
left out. Each set is split by a fixed seed: on the first half the thresholds of
`groundling.facts.evidence` were chosen, the held-out half is what counts.

- *scifact*: written claims with the abstract that is for, against, or (where the experts
  found neither) merely cited.
- *xquad*, *korquad*: made from questions: the answer that stands in the paragraph, another
  answer of the same kind from the same paragraph, and a question about another paragraph;
  as `The answer to "…" is …`, or as the sentence that holds the answer.
- *pubmedqa*: "The answer to … is yes", with the abstract's answer yes, no or maybe. Its
  abstracts state conclusions rarely, so this is reading between lines.
- *fever*: this copy has no evidence text. Its true claims are held against XQuAD's
  paragraphs, which know nothing of most of them: what counts is how few are "settled".

Balanced accuracy is the mean recall of the three verdicts (a third by chance), with a 95 %
bootstrap interval. *Settled*: share of the claims with a true or false answer that get one;
*right*: share of the settled ones whose verdict is right; *false ✓*: share of the claims
that are not supported and are called so.
"""

from __future__ import annotations

import asyncio
import csv
import json
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from groundling.evaluation.paired import bootstrap
from groundling.facts.claim import Background, CheckedClaim, Claim
from groundling.facts.evidence import KnowledgeSource, Stretch
from groundling.home import Home
from groundling.knowledge.passage import Passage

HALVES = ("calibration", "held-out")
YES_NO_MAYBE = {"yes": "SUPPORTED", "no": "REFUTED", "maybe": "NOT_ENOUGH_EVIDENCE"}
LABELS = {"SUPPORT": "SUPPORTED", "CONTRADICT": "REFUTED"}
LONGEST = 1600  # characters of a passage
# MiniCheck, Tang et al. 2024, arXiv:2404.10774: another task mix, so only a direction.
PEERS = "peers, balanced accuracy of two classes on LLM-AggreFact: GPT-4 75.3, MiniCheck-770M 74.7"


@dataclass(frozen=True)
class Pair:
    """A claim, the passages it is held against, and the right verdict."""

    claim: str
    passages: tuple[str, ...]
    verdict: str


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    set: str
    half: str
    claims: int
    balanced: float
    low: float
    high: float
    settled: float
    right: float
    false_support: float
    ms: float


class Watched(KnowledgeSource):
    """Remembers what each verdict was made of, for choosing thresholds."""

    def __init__(self, model: Any) -> None:
        super().__init__(None, model)
        self.seen: dict[str, dict[str, Any]] = {}

    def _verdict(
        self, claim: Claim, stretch: Stretch | None, weights: Mapping[str, float] | None
    ) -> CheckedClaim:
        checked = super()._verdict(claim, stretch, weights)
        self.seen[claim["text"]] = {
            "weights": dict(weights) if weights else None,
            "score": stretch.evidence.score if stretch else None,
            "around": stretch.around if stretch else None,
        }
        return checked


def half_of(items: list[Any], half: str, seed: int) -> list[Any]:
    """Return one half of a set; the halves share no paragraph and never change."""
    shuffled = list(items)
    random.Random(20261126).shuffle(shuffled)
    middle = len(shuffled) // 2
    part = shuffled[:middle] if half == HALVES[0] else shuffled[middle:]
    random.Random(seed).shuffle(part)
    return part


def questions(file: Path, half: str, sample: int, seed: int, *, korean: bool) -> list[Pair]:
    """Make claims from the questions of paragraphs."""
    articles = json.loads(file.read_text(encoding="utf-8"))["data"]
    paragraphs = half_of([one for art in articles for one in art["paragraphs"]], half, seed)
    drawn, pairs = random.Random(seed), []
    for n, paragraph in enumerate(paragraphs):
        context = paragraph["context"][:LONGEST]
        asked = [(one["question"], one["answers"][0]["text"]) for one in paragraph["qas"]]
        asked = [(question, answer) for question, answer in asked if answer in context]
        if len(asked) < 2:
            continue
        question, answer = drawn.choice(asked)
        others = [one for _, one in asked if alike(one, answer)]
        holding = [one for one in re.split(r"(?<=[.!?])\s+", context) if answer in one]
        sentence = holding[0] if n % 2 and holding and len(holding[0]) < 250 else None
        pairs.append(
            Pair(stated(question, answer, answer, sentence, korean), (context,), "SUPPORTED")
        )
        if others:
            wrong = stated(question, drawn.choice(others), answer, sentence, korean)
            pairs.append(Pair(wrong, (context,), "REFUTED"))
        other = paragraphs[(n + 1) % len(paragraphs)]["qas"][0]
        away = stated(other["question"], other["answers"][0]["text"], "", None, korean)
        pairs.append(Pair(away, (context,), "NOT_ENOUGH_EVIDENCE"))
        if len(pairs) >= sample:
            break
    return pairs[:sample]


def stated(question: str, said: str, answer: str, sentence: str | None, korean: bool) -> str:
    """Write an answer as a statement."""
    if sentence is not None:
        return sentence.replace(answer, said, 1)
    return (
        f'"{question}"의 답은 {said}이다.' if korean else f'The answer to "{question}" is {said}.'
    )


def alike(one: str, other: str) -> bool:
    """Tell whether an answer could be taken for another: both with a number, or neither."""
    same = bool(re.search(r"\d", one)) == bool(re.search(r"\d", other))
    return same and one not in other and other not in one


def scifact(folder: Path, half: str, sample: int, seed: int) -> list[Pair]:
    """Read claims with abstracts, as many of each verdict."""
    texts: dict[str, str] = {}
    with (folder / "corpus_train.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            parts = re.findall(r"'([^\n]*)'|\"([^\n]*)\"", row["abstract"])
            texts[row["doc_id"]] = " ".join(one or other for one, other in parts)[:LONGEST]
    found: dict[tuple[str, str], str] = {}
    for split in ("train", "validation"):
        with (folder / f"claims_{split}.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                cited = re.findall(r"\d+", row["cited_doc_ids"] or "")
                document = row["evidence_doc_id"] or (cited[0] if cited else "")
                verdict = LABELS.get(row["evidence_label"] or "", "NOT_ENOUGH_EVIDENCE")
                if texts.get(document):
                    found.setdefault((row["claim"], document), verdict)
    pairs = [Pair(claim, (texts[at],), verdict) for (claim, at), verdict in found.items()]
    return evenly(half_of(pairs, half, seed), sample)


def pubmedqa(file: Path, half: str, sample: int, seed: int) -> list[Pair]:
    """Read questions with an abstract's answer to them."""
    rows = json.loads(file.read_text(encoding="utf-8")).values()
    pairs = [
        Pair(
            f'The answer to "{row["QUESTION"]}" is {"no" if n % 2 else "yes"}.',
            (" ".join(row["CONTEXTS"])[:LONGEST],),
            YES_NO_MAYBE[row["final_decision"]]
            if not n % 2 or row["final_decision"] == "maybe"
            else {"yes": "REFUTED", "no": "SUPPORTED"}[row["final_decision"]],
        )
        for n, row in enumerate(rows)
    ]
    return evenly(half_of(pairs, half, seed), sample)


def fever(folder: Path, half: str, sample: int, seed: int) -> list[Pair]:
    """Read true claims, to be held against paragraphs of something else."""
    lines = (folder / "fever/paper_dev.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["label"] == "SUPPORTS"]
    articles = json.loads((folder / "xquad/xquad.en.json").read_text(encoding="utf-8"))["data"]
    texts = tuple(one["context"] for art in articles for one in art["paragraphs"])
    chosen = half_of(rows, half, seed)[:sample]
    return [Pair(row["claim"], texts, "NOT_ENOUGH_EVIDENCE") for row in chosen]


def evenly(pairs: Sequence[Pair], sample: int) -> list[Pair]:
    """Take as many pairs of each verdict, as far as there are."""
    by_verdict: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_verdict.setdefault(pair.verdict, []).append(pair)
    return [pair for group in by_verdict.values() for pair in group[: sample // len(by_verdict)]]


async def check(source: KnowledgeSource, pairs: Sequence[Pair]) -> list[CheckedClaim]:
    """Put a verdict on each claim, one after the other."""
    checked = []
    for pair in pairs:
        passages = tuple(
            Passage(n, n, "evidence", "evidence", "", None, 0, len(text), text)
            for n, text in enumerate(pair.passages, start=1)
        )
        claim = Claim(text=pair.claim, start=0, end=len(pair.claim))
        verdict = await source.check(claim, Background(None, passages))
        assert verdict is not None
        checked.append(verdict)
    return checked


def score(name: str, half: str, pairs: Sequence[Pair], said: Sequence[str], seconds: float) -> Row:
    """Count what was right."""
    truth = np.array([pair.verdict for pair in pairs])
    given = np.array(said)
    kinds, sizes = np.unique(truth, return_counts=True)
    weight = {
        kind: len(truth) / (len(kinds) * size) for kind, size in zip(kinds, sizes, strict=True)
    }
    hits = np.array([float(a == b) * weight[b] for a, b in zip(given, truth, strict=True)])
    low, high = bootstrap(hits)
    open_ = truth != "NOT_ENOUGH_EVIDENCE"
    settled = given != "NOT_ENOUGH_EVIDENCE"
    return Row(
        name,
        half,
        len(pairs),
        float(hits.mean()),
        low,
        min(1.0, high),
        share(settled[open_]),
        share((given == truth)[settled]),
        share((given == "SUPPORTED")[truth != "SUPPORTED"]),
        round(1000 * seconds / len(pairs), 1),
    )


def share(values: Any) -> float:
    """Return the mean of truths, NaN of none."""
    return float(np.mean(values)) if len(values) else float("nan")


Read = Callable[[Path, str, int, int], list[Pair]]
SETS: dict[str, tuple[str, Read]] = {
    "scifact": (
        "scifact/corpus_train.csv",
        lambda folder, *how: scifact(folder / "scifact", *how),
    ),
    "xquad": (
        "xquad/xquad.en.json",
        lambda folder, *how: questions(folder / "xquad/xquad.en.json", *how, korean=False),
    ),
    "korquad": (
        "korquad/KorQuAD_v1.0_dev.json",
        lambda folder, *how: questions(folder / "korquad/KorQuAD_v1.0_dev.json", *how, korean=True),
    ),
    "pubmedqa": (
        "pubmedqa/pqal_train_500.json",
        lambda folder, *how: pubmedqa(folder / "pubmedqa/pqal_train_500.json", *how),
    ),
    "fever": ("fever/paper_dev.jsonl", fever),
}


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--only", multiple=True, type=click.Choice(list(SETS)))
@click.option("--half", "halves", multiple=True, type=click.Choice(HALVES))
@click.option("--sample", default=60, show_default=True, help="Claims of each half of a set.")
@click.option("--seed", default=0, show_default=True)
@click.option("--model", default="qwen2.5-coder-1.5b", show_default=True)
@click.option("--json", "file", type=click.Path(path_type=Path))
def main(
    folder: Path,
    only: tuple[str, ...],
    halves: tuple[str, ...],
    sample: int,
    seed: int,
    model: str,
    file: Path | None,
) -> None:
    """Measure verdicts on claims with evidence."""
    rows: list[Row] = []
    details: list[dict[str, Any]] = []
    click.echo(f"model {model}, seed {seed}; {PEERS}")
    click.echo(
        f"{'set':10}{'half':13}{'claims':>6}{'balanced':>10}  {'interval':12}"
        f"{'settled':>8}{'right':>7}{'false ✓':>9}{'ms':>8}"
    )
    with Home(model={"name": model}) as home:
        for name in only or SETS:
            needed, read = SETS[name]
            if not (folder / needed).exists():
                click.echo(f"{name}: {needed} is not in {folder}; left out")
                continue
            for half in halves or HALVES:
                pairs = read(folder, half, sample, seed)
                source = Watched(home.model)
                asyncio.run(check(source, pairs[:1]))  # reads the weights, and the examples
                begun = time.perf_counter()
                checked = asyncio.run(check(source, pairs))
                seconds = time.perf_counter() - begun
                row = score(name, half, pairs, [one["verdict"] for one in checked], seconds)
                rows.append(row)
                details += [
                    {
                        "set": name,
                        "half": half,
                        "claim": pair.claim,
                        "truth": pair.verdict,
                        "verdict": one["verdict"],
                        **source.seen[pair.claim],
                    }
                    for pair, one in zip(pairs, checked, strict=True)
                ]
                click.echo(
                    f"{row.set:10}{row.half:13}{row.claims:6}{row.balanced:10.3f}"
                    f"  {row.low:.2f}–{row.high:.2f}   {row.settled:8.2f}{row.right:7.2f}"
                    f"{row.false_support:9.2f}{row.ms:8.0f}"
                )
                if file is not None:
                    results = {"rows": [asdict(one) for one in rows], "claims": details}
                    file.write_text(json.dumps(results, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
