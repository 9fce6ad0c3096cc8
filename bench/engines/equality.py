"""Answers at temperature 0, written alone and among others: where they differ, and why.

llama.cpp multiplies one token by other kernels than several at once, and those add in
another order; quantised activations make steps of the last digits, so that logits change
in the first decimal. Where two tokens are that close, the other one is taken, and the
answers part. The margin between the two likeliest tokens at that place, and the largest
change of a logit between the two kinds of kernels (`Raw.noise`), both from a loop over
llama.cpp that shares no code with the engine, tell whether that was it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from langchain_core.messages import HumanMessage, SystemMessage

from bench.engines.contenders import Ours, Raw
from bench.engines.figures import Table, common, median
from bench.engines.prompts import KOREAN, Writer, paragraphs
from bench.engines.stage import SHIPPED, Stage

AT_ONCE = 8
CODE = (
    "def area(radius):", "SELECT name FROM people WHERE", "for (int i = 0; i < n; i++) {",
    "import numpy as np\n\ndef softmax(x):", "class Stack:\n    def push(self, item):",
)  # fmt: skip
SHORT = ("Hello!", "What is 17 times 3?", "안녕하세요?", "Name a river.", "List five colours.")


def mixed(writer: Writer, number: int) -> list[list[int]]:
    """Return prompts in English, Korean and code, short and long, in turn."""
    english, korean = paragraphs(), paragraphs(KOREAN, 60)
    prompts = []
    for n in range(number):
        kinds = (
            f"Sum this up in one sentence:\n{english[n % len(english)]}",
            f"다음을 한 문장으로 요약하세요:\n{korean[n % len(korean)]}",
            f"Go on with this code:\n{CODE[n % len(CODE)]}  # variant {n}",
            f"{SHORT[n % len(SHORT)]} ({n})",
            f"{writer.text(400, 53 * n)}\n\nWhat is the most important point?",
        )
        prompts.append(writer.tokens([SystemMessage("Be brief."), HumanMessage(kinds[n % 5])]))
    return prompts


def measure(stage: Stage) -> list[Table]:
    """Answer the same prompts one by one, and then eight at once on another engine."""
    stage.tell("equality: loading")
    most = min(32, stage.tokens)
    alone = Ours("alone", stage.path, SHIPPED)
    writer = Writer(alone.engine)
    prompts = mixed(writer, stage.prompts)
    try:
        stage.tell(f"equality: {len(prompts)} prompts alone")
        expected = [alone.ask(prompt, most).text for prompt in prompts]
    finally:
        alone.close()
    batched = Ours("batched", stage.path, SHIPPED)
    try:
        stage.tell(f"equality: the same, {AT_ONCE} at once")
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = list(pool.map(lambda prompt: batched.ask(prompt, most).text, prompts))
    finally:
        batched.close()
    apart = [n for n in range(len(prompts)) if expected[n] != found[n]]
    table = Table(
        f"Alone and {AT_ONCE} at once, {stage.name}: {len(prompts)} prompts, temperature 0, "
        f"up to {most} tokens",
        ["prompt", "parts at token", "margin there", "rounding", "alone", "batched"],
    )
    raw = Raw(stage.path, SHIPPED)
    try:
        for n in apart:
            table.add(n, *place(raw, prompts[n], expected[n], found[n], most))
    finally:
        raw.close()
    margins = [row[2] for row in table.rows if isinstance(row[2], float)]
    noises = [row[3] for row in table.rows if isinstance(row[3], float)]
    table.notes.append(f"Identical: {len(prompts) - len(apart)} of {len(prompts)}.")
    if margins:
        table.notes.append(
            f"Margins of the two likeliest logits where they part: median {median(margins):.2f}, "
            f"largest {max(margins):.2f}; a logit moves by up to {max(noises):.2f} between one "
            "token at a time and several."
        )
    return [table]


def place(
    raw: Raw, prompt: list[int], alone: str, batched: str, most: int
) -> tuple[int, float | None, float, str, str]:
    """Find the token where two answers part, the margin there, and what rounding can move."""
    letters = common(alone, batched)
    # From the beginning of that word on, since both wrote what is before it.
    begin = max(0, alone.rfind(" ", 0, letters))
    forced = raw.words(alone[:begin])
    start = common(alone.encode(), batched.encode())
    end, margins = len(alone[:begin].encode()), []
    for piece, margin in raw.greedy([*prompt, *forced], most):
        margins.append(margin)
        end += len(piece)
        if end > start:
            break
    shown = [" ".join(text[letters : letters + 24].split()) for text in (alone, batched)]
    least = min(margins, default=None)
    return len(forced) + len(margins), least, raw.noise(prompt), shown[0], shown[1]
