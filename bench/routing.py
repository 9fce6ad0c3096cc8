"""Which tool the agent takes: 27 first decisions and 8 after a search, over the handbook.

    uv run python -m bench.routing [--json FILE]

The questions were written by the author of the prompts, and the prompts and thresholds were
tuned on them: this shows what works, and where it breaks, and is no held-out result. The
knowledge base is made of `data/handbook` in a folder of its own.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from groundling.graphs.nodes import deciding
from groundling.graphs.resources import Resources
from groundling.home import Home
from groundling.settings import load
from groundling.tools.registry import toolkit

HANDBOOK = Path(__file__).parents[1] / "data" / "handbook"
FIRST = (
    ("search", "How many days of unused annual leave can I carry over to the next year?"),
    ("search", "What is the name of the VPN client on company laptops?"),
    ("search", "What is the limit per person for a dinner with a client?"),
    ("search", "How much does the company pay towards a gym membership?"),
    ("search", "What is the settling time of the HB-320 balance?"),
    ("calculator", "What is 384.5 times 27?"),
    ("calculator", "What is 18% of 2,350?"),
    ("calculator", "Add 17, 29 and 113."),
    ("convert", "How many kilometres are 26.2 miles?"),
    ("convert", "What is 98.6 °F in Celsius?"),
    ("clock", "What date is 45 days after 3 March 2026?"),
    ("clock", "What time is it in Seoul?"),
    ("none", "Write a short greeting for a birthday card."),
    ("none", "Hello, how are you?"),
    ("none", "Explain what a prime number is."),
    ("search", "팀원이 국내 출장을 갈 때 숙박비 상한은 1박에 얼마입니까?"),
    ("search", "화재가 나서 대피하면 어디에 모여야 합니까?"),
    ("search", "긴급 구매를 할 때 사용하는 양식의 번호는 무엇입니까?"),
    ("search", "신입사원의 수습 기간은 몇 개월입니까?"),
    ("search", "사내 어린이집은 몇 시까지 운영합니까?"),
    ("calculator", "12,500원짜리 37개는 모두 얼마입니까?"),
    ("calculator", "8,640을 24로 나누면 얼마입니까?"),
    ("convert", "30평은 몇 제곱미터입니까?"),
    ("clock", "2026년 5월 1일부터 2026년 12월 25일까지 며칠입니까?"),
    ("clock", "오늘은 무슨 요일입니까?"),
    ("none", "'고맙습니다'를 영어로 어떻게 말합니까?"),
    ("none", "안녕하세요!"),
)
AFTER = (
    ("none", "How many days of unused annual leave can I carry over to the next year?"),
    ("none", "What is the limit per person for a dinner with a client?"),
    ("none", "What is the settling time of the HB-320 balance?"),
    ("none", "화재가 나서 대피하면 어디에 모여야 합니까?"),
    ("none", "신입사원의 수습 기간은 몇 개월입니까?"),
    ("calculator", "What does a team member's lodging for 3 nights cost at most in all?"),
    ("convert", "What does the AV-60 table weigh in pounds?"),
    ("calculator", "팀원이 2박 3일로 서울 출장을 가면 숙박비는 모두 얼마까지 나옵니까?"),
)


async def measure(resources: Resources) -> list[dict[str, Any]]:
    """Decide each case as the graph does, up to the arguments."""
    cases = []
    for moment, questions in (("first", FIRST), ("after a search", AFTER)):
        for wanted, question in questions:
            state = deciding.Acting(question=question, messages=[], steps=[], passages=[])
            if moment != "first":
                done = deciding.Step(tool="search", args={}, outcome="done", result="")
                state |= {"steps": [done], "passages": [1]}
            begun = time.perf_counter()
            tools = deciding.offered(state, resources)
            taken, weights = await deciding.taken(state, resources, tools)
            names = [tool.name for tool in taken] or [deciding.NONE]
            cases.append(
                {
                    "moment": moment,
                    "question": question,
                    "wanted": wanted,
                    "taken": names,
                    "right": names == [wanted],
                    "weight": round(max(weights.values()), 3),
                    "seconds": round(time.perf_counter() - begun, 2),
                }
            )
    return cases


@click.command()
@click.option("--model", default="qwen2.5-coder-1.5b", show_default=True)
@click.option("--json", "file", type=click.Path(path_type=Path))
def main(model: str, file: Path | None) -> None:
    """Measure decisions."""
    models = load().models_path.resolve()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "models").symlink_to(models)
        with Home(folder, model={"name": model}, tracing={"enabled": False}) as home:
            knowledge = home.knowledge("handbook")
            knowledge.add([HANDBOOK])
            tools = toolkit(home.settings, knowledge=knowledge, model=home.model)
            resources = Resources(home.settings, model=home.model, knowledge=knowledge, tools=tools)
            cases = asyncio.run(measure(resources))
    for case in cases:
        mark = "✓" if case["right"] else "✗"
        click.echo(
            f"{mark} {case['moment']:15}{case['wanted']:11}{'+'.join(case['taken']):20}"
            f"{case['weight']:6.2f}{case['seconds']:7.2f} s  {case['question']}"
        )
    for moment in ("first", "after a search"):
        of = [case for case in cases if case["moment"] == moment]
        click.echo(f"{moment}: {sum(case['right'] for case in of)} of {len(of)} right")
    if file is not None:
        file.write_text(json.dumps(cases, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
