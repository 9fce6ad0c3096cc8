from dataclasses import replace

from groundling.knowledge.tune.cases import Parts
from groundling.knowledge.tune.choosing import best_weights, joined, ranked, row, same_cut
from groundling.knowledge.tune.scoring import Score
from groundling.knowledge.tune.trials import Result, Trial
from tests.knowledge.tune.test_cases import case

PARTS = Parts(
    [case(1, "en"), case(2, "en"), case(3, "ko"), case(4, "ko")], [case(5, "en"), case(6, "ko")]
)


def result(weight: float, ranks: list[int], size: int = 700) -> Result:
    """Return a result where case n has rank ranks[n - 1]; each passage shown is 100 tokens."""
    scores = {
        f"a.md#{number}": Score(
            {most: float(0 < rank <= most) for most in (2, 4)}, {2: 200, 4: 400}, rank
        )
        for number, rank in enumerate(ranks, start=1)
    }
    return Result(Trial(size, "plain", {"en": weight, "ko": weight}), scores, 10 * (1 + weight))


WORDS = result(0.0, [3, 3, 1, 1, 1, 1])
BOTH = result(1.0, [1, 1, 3, 3, 3, 3])
NOW = {"en": 0.0, "ko": 0.0}


def test_each_language_gets_the_weight_that_serves_it() -> None:
    best = best_weights([WORDS, BOTH], 2, PARTS, NOW)
    assert best.trial.dense_weight == {"en": 1.0, "ko": 0.0}
    assert best.recalls(PARTS.chosen_by) == [1, 1, 1, 1]
    # What is held out takes no part in the choice: English loses there.
    assert best.recalls(PARTS.held_out) == [0, 1]


def test_of_equal_weights_the_present_one_stays() -> None:
    again = result(1.0, [3, 3, 1, 1, 1, 1])
    assert best_weights([WORDS, again], 2, PARTS, NOW).trial.dense_weight == NOW
    now = {"en": 1.0, "ko": 1.0}
    assert best_weights([WORDS, again], 2, PARTS, now).trial.dense_weight == now


def test_of_equal_recall_the_better_order_and_then_fewer_tokens_win() -> None:
    ahead = joined([result(0.0, [1, 1, 1, 1, 1, 1])], NOW, 2, PARTS)
    behind = joined([result(0.0, [2, 2, 2, 2, 1, 1])], NOW, 2, PARTS)
    wide = joined([result(0.0, [1, 1, 1, 1, 1, 1])], NOW, 4, PARTS)
    assert ranked([wide, behind, ahead], PARTS.chosen_by) == [ahead, wide, behind]


def test_a_reranker_has_to_win_by_recall() -> None:
    plain = joined([result(0.0, [2, 2, 2, 2, 1, 1])], NOW, 2, PARTS)
    trial = replace(plain.trial, reranker="model")
    better = joined([result(0.0, [1, 1, 1, 1, 1, 1])], NOW, 2, PARTS)
    assert ranked([replace(better, trial=trial), plain], PARTS.chosen_by)[0] == plain
    worse = joined([result(0.0, [3, 2, 2, 2, 1, 1])], NOW, 2, PARTS)
    assert ranked([worse, replace(plain, trial=trial)], PARTS.chosen_by)[1] == worse


def test_a_row_has_the_held_out_figures_beside_the_present_ones() -> None:
    now = joined([WORDS], NOW, 2, PARTS)
    other = joined([BOTH], {"en": 1.0, "ko": 1.0}, 2, PARTS)
    found = row(other, now, PARTS)
    assert found.chosen_by == 0.5
    assert (found.held_out.mean, found.difference.mean) == (0.0, -1.0)
    assert found.reciprocal_rank == 1 / 3
    assert found.tokens == 200
    assert found.milliseconds == 20
    assert found.recipe.dense_weight == {"en": 1.0, "ko": 1.0}
    assert found.recipe.passages == 2


def test_the_present_cut_comes_first() -> None:
    other = result(0.0, [1] * 6, size=350)
    groups = list(same_cut([other, WORDS, BOTH], WORDS.trial))
    assert groups == [[WORDS, BOTH], [other]]
