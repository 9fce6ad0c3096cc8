"""A conversation of 30 turns in a small window: what is still known, and what is read again.

    uv run python -m bench.conversation                    both languages, and growth on disk
    uv run python -m bench.conversation --language ko --json conversation.json
    uv run python -m bench.conversation --only growth

The first three turns tell six facts, 21 talk of other things, and the last six ask for the
facts; an answer is right if it holds one of the accepted strings. The conversation is made
by the author of this file. Beside `chat` stands, with the same model in the same run, `ask`
on a thread, which drops the oldest turns (trimming, LangChain's `trim_messages`).

*Read*: tokens of a turn's prompts, those for notes among them, that the model's cache did
not hold. *Growth*: 100 turns of a scripted model through the same graph, kept as `chat` does
it and in LangGraph's plain ways.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import click
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import FakeListChatModel
from langchain_core.outputs import LLMResult
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from bench.engines.figures import Table
from groundling.graphs import registry
from groundling.graphs.resources import Resources
from groundling.home import Home
from groundling.memory.threads import DURABILITY, Threads, thread_config
from groundling.settings import load

TOLD = {
    "en": [
        "Hi! My name is Mina Park and I work as a nurse in Busan.",
        "My dog is called Bori, he is a beagle and 7 years old.",
        "For my trip in October I have a budget of 1,850 euros, and I decided to go to Lisbon.",
    ],
    "ko": [
        "안녕하세요! 제 이름은 박민아이고 부산에서 간호사로 일해요.",
        "우리 강아지 이름은 보리이고, 7살 된 비글이에요.",
        "10월 여행 예산은 185만 원이고, 리스본에 가기로 결정했어요.",
    ],
}
ASKED: dict[str, list[tuple[str, list[str]]]] = {
    "en": [
        ("What is my name?", ["Mina"]),
        ("What is my job?", ["nurse"]),
        ("In which city do I work?", ["Busan"]),
        ("What is my dog called?", ["Bori"]),
        ("How large is my budget for the trip?", ["1,850", "1850"]),
        ("Where do I go in October?", ["Lisbon"]),
    ],
    "ko": [
        ("제 이름이 뭐죠?", ["민아"]),
        ("제 직업이 뭐죠?", ["간호사"]),
        ("저는 어느 도시에서 일하죠?", ["부산"]),
        ("우리 강아지 이름이 뭐죠?", ["보리"]),
        ("제 여행 예산이 얼마였죠?", ["185만", "1,850,000", "1850000"]),
        ("10월에 제가 어디로 가기로 했죠?", ["리스본"]),
    ],
}
TOPICS = {
    "en": [
        "a bicycle's gears", "how bread rises", "why the sky is blue", "what a glacier is",
        "how vaccines work", "what inflation is", "how a lighthouse works", "why leaves fall",
        "how coffee is roasted", "what a sonnet is", "how tides arise", "what yeast is",
        "how a compass works", "why onions make one cry", "what a comet is", "how soap cleans",
        "how glass is made", "what a fjord is", "how bees find home", "why ice floats",
        "what a semiconductor is",
    ],
    "ko": [
        "자전거 기어", "빵이 부푸는 원리", "하늘이 파란 까닭", "빙하", "백신의 원리", "물가 상승",
        "등대의 원리", "낙엽이 지는 까닭", "커피 볶는 법", "시조", "밀물과 썰물", "효모", "나침반",
        "양파가 매운 까닭", "혜성", "비누의 원리", "유리 만드는 법", "피오르", "벌이 집을 찾는 법",
        "얼음이 뜨는 까닭", "반도체",
    ],
}  # fmt: skip
FILLER = {
    "en": "Let us talk of something else now. I read an article about {topic} this morning, it was "
    "rather long and I did not understand all of it. In one or two sentences: explain {topic}.",
    "ko": "이제 다른 이야기를 해요. 오늘 아침에 {topic}에 대한 글을 읽었는데, 꽤 길어서 다 "
    "이해하지는 못했어요. 한두 문장으로 {topic}에 대해 설명해 주세요.",
}
TURN_CHARACTERS = 1000  # of a question and of an answer, for growth


@dataclass
class Turn:
    """What one turn took.

    Args:
        prompt: tokens of the prompts of all its calls.
        read: those of them that were not in the cache.
        calls: of the model; more than one: notes were written.
    """

    question: str
    answer: str
    prompt: int
    read: int
    calls: int
    seconds: float


@dataclass
class Conversation:
    """How a conversation went."""

    graph: str
    language: str
    turns: list[Turn] = field(default_factory=list)
    right: dict[str, bool] = field(default_factory=dict)
    summary: str = ""

    def row(self) -> dict[str, Any]:
        """Count over the turns."""
        reads = [turn.read for turn in self.turns]
        prompts = sum(turn.prompt for turn in self.turns)
        return {
            "graph": self.graph,
            "language": self.language,
            "turns": len(self.turns),
            "times noted": sum(turn.calls > 1 for turn in self.turns),
            "facts right": f"{sum(self.right.values())}/{len(self.right)}",
            "read, median": int(statistics.median(reads)),
            "read, most": max(reads),
            "read, in all": sum(reads),
            "of prompts": f"{sum(reads) / max(1, prompts):.0%}",
            "s a turn": round(statistics.mean(turn.seconds for turn in self.turns), 1),
        }


class Usage(BaseCallbackHandler):
    """Adds up what the calls of a turn read."""

    def __init__(self) -> None:
        self.prompt = self.cached = self.calls = 0

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        message = getattr(response.generations[0][0], "message", None)
        usage = getattr(message, "usage_metadata", None) or {}
        self.calls += 1
        self.prompt += usage.get("input_tokens", 0)
        self.cached += usage.get("input_token_details", {}).get("cache_read", 0)


async def talk(home: Home, graph: str, language: str, fillers: int) -> Conversation:
    """Hold the conversation with one graph."""
    compiled = registry.build(graph, Resources(home.settings, model=home.model), InMemorySaver())
    held = Conversation(graph, language)
    topics = [FILLER[language].format(topic=topic) for topic in TOPICS[language][:fillers]]
    asked = dict(ASKED[language])
    config = thread_config(f"{graph}-{language}")
    for question in [*TOLD[language], *topics, *asked]:
        usage, begun = Usage(), time.perf_counter()
        result = await compiled.ainvoke({"question": question}, {**config, "callbacks": [usage]})
        seconds = time.perf_counter() - begun
        read = usage.prompt - usage.cached
        turn = Turn(question, result["answer"], usage.prompt, read, usage.calls, seconds)
        held.turns.append(turn)
        if question in asked:
            held.right[question] = any(part in turn.answer for part in asked[question])
        click.echo(
            f"{len(held.turns):>3} {turn.calls} calls {turn.read:>5}/{turn.prompt:<5} read "
            f"{seconds:5.1f} s  {' '.join(turn.answer.split())[:80]}"
        )
    held.summary = (await compiled.aget_state(config)).values.get("summary", "")
    return held


WAYS: dict[str, tuple[Literal["sync", "async", "exit"], bool]] = {
    "Threads (exit, pruned)": (DURABILITY, True),
    "LangGraph, exit": ("exit", False),
    "LangGraph, async (its default)": ("async", False),
    "LangGraph, sync": ("sync", False),
}


async def growth(folder: Path, turns: int = 100) -> list[dict[str, Any]]:
    """Keep the same conversation in each way; return what it takes on disk and a turn's time."""
    rows: list[dict[str, Any]] = []
    settings = load({"memory": {"enabled": False}, "guard": {"enabled": False}})
    question, answer = ("x" * (TURN_CHARACTERS - 1) + " " for _ in range(2))
    for name, (durability, pruned) in WAYS.items():
        path = folder / f"{len(rows)}" / "state.sqlite"
        path.parent.mkdir()
        resources = Resources(settings, model=Fast(responses=[answer]))
        begun = time.perf_counter()
        if pruned:
            async with Threads.open(path) as threads:
                compiled = registry.build("chat", resources, threads.saver)
                for n in range(turns):
                    given = {"question": f"{n} {question}"}
                    await compiled.ainvoke(given, thread_config("1"), durability=durability)
                    await threads.prune("1")
        else:
            async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
                compiled = registry.build("chat", resources, saver)
                for n in range(turns):
                    given = {"question": f"{n} {question}"}
                    await compiled.ainvoke(given, thread_config("1"), durability=durability)
        seconds = time.perf_counter() - begun
        size = sum(file.stat().st_size for file in path.parent.iterdir())
        rows.append({"kept as": name, "MB": size / 1e6, "ms a turn": 1000 * seconds / turns})
    for row in rows:
        row["times the bytes"] = row["MB"] / rows[0]["MB"]
    return rows


class Fast(FakeListChatModel):
    """A model whose words are its tokens, and that never sees a full window."""

    def get_num_tokens(self, text: str) -> int:
        return len(text.split())

    def get_num_tokens_from_messages(self, messages: Any, tools: Any = None) -> int:
        return sum(len(message.text.split()) for message in messages)


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """Print a table."""
    table = Table(title, list(rows[0]), [list(row.values()) for row in rows])
    click.echo("\n" + table.text())


@click.command()
@click.option("--model", default="qwen2.5-coder-1.5b", show_default=True, help="Of the catalogue.")
@click.option("--language", "languages", multiple=True, type=click.Choice(["en", "ko"]))
@click.option("--graph", "graphs", multiple=True, type=click.Choice(["chat", "ask"]))
@click.option("--context", default=1024, show_default=True, help="The window, in tokens.")
@click.option("--answer", default=64, show_default=True, help="Longest answer, in tokens.")
@click.option("--fillers", default=21, show_default=True, help="Turns between facts and questions.")
@click.option("--only", type=click.Choice(["talk", "growth"]), help="One of the two parts.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the results here.")
def main(
    model: str,
    languages: tuple[str, ...],
    graphs: tuple[str, ...],
    context: int,
    answer: int,
    fillers: int,
    only: str | None,
    file: Path | None,
) -> None:
    """Hold the conversations and print the tables."""
    results: dict[str, Any] = {"model": model, "context": context, "longest answer": answer}
    held = []
    models = load().models_path
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "models").symlink_to(models.resolve())
        if only != "growth":
            flags: dict[str, Any] = {
                "model": {"name": model, "context": context, "max_tokens": answer},
                "memory": {"enabled": False},
                "guard": {"enabled": False},
                "tracing": {"enabled": False},
            }
            for language in languages or ("en", "ko"):
                for graph in graphs or ("chat", "ask"):
                    click.echo(f"\n{graph}, {language}")
                    with Home(folder, **flags) as home:
                        held.append(asyncio.run(talk(home, graph, language, fillers)))
                    click.echo(held[-1].summary)
            show(f"Conversations, {model}, window of {context} tokens", [h.row() for h in held])
            results["conversations"] = [{**h.row(), **asdict(h)} for h in held]
        if only != "talk":
            results["growth"] = asyncio.run(growth(folder))
            show("100 turns of 2 kB on disk", results["growth"])
    if file:
        file.write_text(json.dumps(results, ensure_ascii=False, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
