"""From data to an adapter on the shelf: what is done once, refused, or never touched."""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from groundling.errors import AdapterError, TuningError
from groundling.models.adapter_shelf import AdapterShelf, fingerprint
from groundling.models.gguf import read_gguf
from groundling.settings import load
from groundling.tuning.dataset import DataShelf, TrainingData
from groundling.tuning.learn import Learnt, learn
from groundling.tuning.recipe import Recipe
from groundling.tuning.selection import Selection
from groundling.tuning.training.job import TRAIN, read_tokens
from tests.tuning.adapters import peft_folder
from tests.tuning.tiny import chats, llama_says, tiny_model

pytestmark = pytest.mark.model
RECIPE = Recipe(context=96, steps=2, threads=1, batch=4, accumulate=1, rank=4)
COPY = """
import json, pathlib, shutil, sys
job = pathlib.Path(sys.argv[-1])
shutil.copytree(sys.argv[1], job.parent / "result")
print(json.dumps({"event": "ended", "step": 2}))
"""


@pytest.fixture
def data(home: Path) -> TrainingData:
    shelf = DataShelf(load().tuning_path / "data")
    return shelf.store("facts", Selection(train=chats(12), heldout=chats(2)))


@pytest.fixture(scope="session")
def tiny(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny") / "tiny.gguf", smollm2)


@pytest.fixture
def trained(tiny: Path, tmp_path: Path) -> list[str]:
    """Return a command that stands for a training: its adapter is there already."""
    return [sys.executable, "-c", COPY, str(peft_folder(tmp_path / "peft", tiny))]


FAILS = [sys.executable, "-c", "raise SystemExit('it was trained again')"]


def run(
    base: Path,
    data: TrainingData,
    command: Sequence[str],
    name: str = "mine",
    recipe: Recipe = RECIPE,
    parent: str | None = None,
) -> Learnt:
    return learn(load(), base, name, data, recipe, parent=parent, command=command)


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_what_was_trained_is_on_the_shelf(
    tiny: Path, data: TrainingData, trained: list[str]
) -> None:
    before = digest(tiny)
    made = run(tiny, data, trained)
    shelf = AdapterShelf(load().adapters_path)
    assert made.adapter is not None
    assert shelf.for_base("mine", fingerprint(tiny)) == made.adapter
    assert made.card.data == f"facts@{data.card.version}"
    assert made.card.recipe == RECIPE.text()
    assert (made.model, made.ended["step"]) == (None, 2)
    assert digest(tiny) == before
    assert shelf.promoted(fingerprint(tiny)) is None  # a gate does that


def test_what_is_trained_already_is_not_trained_again(
    tiny: Path, data: TrainingData, trained: list[str], smollm2: Path, tmp_path: Path
) -> None:
    run(tiny, data, trained)
    AdapterShelf(load().adapters_path).remove("mine")
    again = run(tiny, data, FAILS)  # as after a disk that was full while it was put away
    assert again.adapter is not None
    assert again.ended == {}
    with pytest.raises(TuningError, match="it was trained again"):
        run(tiny, data, FAILS, recipe=RECIPE.model_copy(update={"seed": 1}))
    run(tiny, data, trained)
    other = tiny_model(tmp_path / "other.gguf", smollm2)
    other.write_bytes(other.read_bytes()[:-4] + b"\x00\x01\x02\x03")  # other weights
    with pytest.raises(TuningError, match="it was trained again"):
        run(other, data, FAILS)


def test_names_are_looked_at_before_hours_of_training(
    tiny: Path, data: TrainingData, trained: list[str]
) -> None:
    for name in ("../mine", "a/b", "none", ""):
        with pytest.raises(AdapterError, match="cannot be an adapter's name"):
            run(tiny, data, FAILS, name=name)
    run(tiny, data, trained)
    with pytest.raises(TuningError, match="cannot go on from itself"):
        run(tiny, data, FAILS, parent="mine")
    AdapterShelf(load().adapters_path).promote("mine")
    with pytest.raises(AdapterError, match="is promoted and answers"):
        run(tiny, data, FAILS)


def test_going_on_from_an_adapter(tiny: Path, data: TrainingData, trained: list[str]) -> None:
    run(tiny, data, trained)
    made = run(tiny, data, trained, name="next", parent="mine")
    assert made.card.parent == "mine"
    with pytest.raises(TuningError, match="trained from the base, not from an adapter"):
        run(tiny, data, FAILS, "whole", RECIPE.model_copy(update={"weights": "full"}), "mine")
    with pytest.raises(AdapterError, match="There is no adapter nobody"):
        run(tiny, data, FAILS, name="third", parent="nobody")
    for file in (load().tuning_path / "runs" / "mine" / "result").iterdir():
        file.unlink()
    with pytest.raises(TuningError, match="cannot be gone on with"):
        run(tiny, data, FAILS, name="third", parent="mine")


def test_an_adapter_made_anew_is_another_beginning(
    tiny: Path, data: TrainingData, tmp_path: Path
) -> None:
    def adapter(rank: int) -> list[str]:
        folder = peft_folder(tmp_path / f"peft-{rank}", tiny, rank=lambda _: rank)
        return [sys.executable, "-c", COPY, str(folder)]

    even = RECIPE.model_copy(update={"rank": 8, "targets": ["q_proj"], "alpha": 5.0})
    run(tiny, data, adapter(8), recipe=even)
    made = run(tiny, data, adapter(8), "next", parent="mine")
    # What goes on from an adapter has its form, and says so.
    assert 'targets = [\n    "q_proj",\n]\nranks = "even"' in made.card.recipe
    assert "rank = 8\nalpha = 5.0" in made.card.recipe
    AdapterShelf(load().adapters_path).remove("next")
    run(tiny, data, FAILS, "next", parent="mine")  # it is all there
    run(tiny, data, adapter(6), recipe=even.model_copy(update={"seed": 3}))
    with pytest.raises(TuningError, match="it was trained again"):
        run(tiny, data, FAILS, "next", parent="mine")


def test_a_base_that_is_replaced_while_it_is_trained_on(
    smollm2: Path, data: TrainingData, tmp_path: Path
) -> None:
    base = tiny_model(tmp_path / "base.gguf", smollm2)
    folder = peft_folder(tmp_path / "peft", base)
    script = f"open({str(base)!r}, 'ab').write(b'1234')"
    with pytest.raises(TuningError, match=r"base\.gguf was replaced while it was trained on"):
        run(base, data, [sys.executable, "-c", script + COPY, str(folder)])
    assert "mine" not in AdapterShelf(load().adapters_path)
    # The next begins anew: nothing of the former is left.
    with pytest.raises(TuningError, match="it was trained again"):
        run(base, data, FAILS)


def test_bases_that_cannot_be_written_again(
    smollm2: Path, tmp_path: Path, data: TrainingData
) -> None:
    other = tiny_model(tmp_path / "other.gguf", smollm2, "phi2")
    with pytest.raises(TuningError, match="of the kind phi2 cannot be written") as caught:
        run(other, data, FAILS, recipe=RECIPE.model_copy(update={"weights": "full"}))
    assert "llama, qwen2" in str(caught.value.hint)
    # Its weights gguf has names for; in which order llama.cpp wants their rows nobody has tried.
    with pytest.raises(TuningError, match="Adapters for models of the kind phi2 cannot be"):
        run(other, data, FAILS)


@pytest.mark.tune
def test_all_weights_become_a_new_model(tiny: Path, data: TrainingData) -> None:
    pytest.importorskip("torch", reason="the extra tune is not installed")
    before = digest(tiny)
    recipe = RECIPE.model_copy(update={"weights": "full", "learning_rate": 1e-3, "steps": 6})
    made = run(tiny, data, (), "whole", recipe)
    assert made.adapter is None
    assert made.model == load().tuning_path / "models" / "whole.gguf"
    assert read_gguf(made.model).name == "whole"
    assert digest(tiny) == before
    tokens = list(read_tokens(load().tuning_path / "runs" / "whole" / TRAIN))[:4]
    assert likelihood(made.model, tokens) > likelihood(tiny, tokens) + 1


@pytest.mark.tune
def test_a_real_model_learns_facts_and_says_them_in_llama_cpp(
    smollm2: Path, data: TrainingData
) -> None:
    pytest.importorskip("torch", reason="the extra tune is not installed")
    before = digest(smollm2)
    recipe = RECIPE.model_copy(update={"rank": 16, "learning_rate": 2e-3, "steps": 6})
    made = run(smollm2, data, (), recipe=recipe)
    assert made.adapter is not None
    folder = load().tuning_path / "runs" / "mine"
    tokens = list(read_tokens(folder / TRAIN))[:4]
    bare, adapted = likelihood(smollm2, tokens), likelihood(smollm2, tokens, made.adapter.file)
    print(f"log-likelihood of a token: {bare:.2f}, with the adapter {adapted:.2f}")
    assert adapted > bare + 1
    assert digest(smollm2) == before


def likelihood(file: Path, tokens: Sequence[object], adapter: Path | None = None) -> float:
    """Return the mean log-likelihood of the answers' tokens through llama.cpp."""
    found: list[float] = []
    for one in tokens:
        prompt, answer = one.prompt, one.answer  # type: ignore[attr-defined]
        said = llama_says(file, [[*prompt, *answer]], adapter)
        # Said begins after the second token.
        found += [float(said[len(prompt) - 2 + place, token]) for place, token in enumerate(answer)]
    return sum(found) / len(found)
