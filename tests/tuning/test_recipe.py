"""Recipes come from presets, files and flags; what cannot be trained is refused by name."""

from pathlib import Path

import pytest

from groundling.errors import TuningError
from groundling.tuning.recipe import PRESETS, Recipe, read_recipe


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_recipes(preset: str) -> None:
    recipe = read_recipe(preset)
    assert recipe.method == "sft"
    assert recipe.digest == read_recipe(preset).digest != read_recipe(preset, {"seed": 7}).digest
    # How often it is stored and by how many threads it is worked out changes nothing of it.
    assert recipe.digest == read_recipe(preset, {"threads": 3, "save": 7}).digest


def test_a_file_starts_from_a_preset_and_flags_win(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('preset = "laptop"\nrank = 8\nsteps = 10\n')
    recipe = read_recipe(file, {"steps": 20, "seed": None})
    assert (recipe.rank, recipe.steps, recipe.learning_rate) == (8, 20, 1e-3)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    recipe = Recipe(method="dpo", beta=0.3, steps=5)
    file.write_text(recipe.text())
    assert read_recipe(file) == recipe


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rank = 0", "rank in .*: Input should be greater than"),
        ("ranc = 8", "ranc in .*: Extra inputs"),
        ('optimiser = "sgd"', "optimiser in "),
        ('optimiser = "lomo"', "lomo trains all weights"),
        ('optimiser = "badam"\nweights = "full"', "BAdam's package states no licence"),
        ('weights = "full"\nranks = "rising"', "full weights have none"),
        ('ranks = "rising"\nrank = 2', "at least 3"),
        ('method = "dpo"\nweights = "full"', "trained as an adapter"),
        ('weights = "qlora"\nsharding = "fsdp"', "cannot be sharded"),
        ('preset = "cloud"', "is no preset"),
        ("rank =", "is no TOML"),
    ],
)
def test_wrong_recipes(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(TuningError, match=reason):
        read_recipe(file)


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TuningError, match="no recipe"):
        read_recipe(tmp_path / "none.toml")


def test_rising_ranks_keep_the_mean() -> None:
    recipe = Recipe(ranks="rising", rank=12)
    ranks = [recipe.rank_of(layer, 30) for layer in range(30)]
    assert ranks == sorted(ranks)
    assert (ranks[0], ranks[-1]) == (4, 20)
    assert sum(ranks) == pytest.approx(12 * 30, abs=4)
    assert {Recipe(rank=12).rank_of(layer, 30) for layer in range(30)} == {12}
