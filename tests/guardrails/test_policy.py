import pytest

from groundling.errors import GuardError
from groundling.guardrails import policy
from groundling.guardrails.decision import ACTIONS


def write(tmp_path, text):
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_shipped_policy_has_each_notice_in_both_languages():
    rules = policy.load()
    assert set(rules.notices["en"]) == set(rules.notices["ko"])
    for rail in ("input", "retrieved", "tool", "output"):
        for detector in policy.DETECTORS:
            rule = rules.rules(rail).of(detector)
            if rule.action not in ("off", "allow"):
                assert rules.notice("ko", detector, "x", rule.action)
    for action in ACTIONS:
        if action not in ("allow", "redact", "notice"):
            assert rules.notice("en", "unknown", "x", action)


def test_a_file_of_one_s_own_needs_only_what_differs(tmp_path):
    file = write(tmp_path, '[input]\nharm = { action = "notice", threshold = 0.9 }\n')
    rules = policy.load(file)
    assert rules.input.harm.action == "notice"
    assert rules.input.harm.least("ko") == 0.9
    assert rules.output == policy.load().output
    assert rules.source == str(file)
    assert rules.sha256 != policy.load().sha256


def test_thresholds_by_language(tmp_path):
    file = write(tmp_path, "[input.harm]\nthreshold = { en = 0.3 }\n")
    rules = policy.load(file)
    assert rules.input.harm.least("en") == 0.3
    assert rules.input.harm.action == "block"  # as shipped
    assert rules.input.harm.least("ko") > 0.3  # as shipped, too


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[input]\nharm = { action = "shout" }', "input.harm.action"),
        ('[input]\nharms = { action = "block" }', "input.harms: there is no such entry"),
        ("[inputs]\n", "inputs: there is no such entry"),
        ('[input.harm]\nthreshold = "much"', "input.harm.threshold"),
        ('error = "ignore"', "error"),
        ("x", "cannot be read"),
    ],
)
def test_wrong_files_are_named_with_the_place(tmp_path, text, said):
    file = write(tmp_path, text)
    with pytest.raises(GuardError, match=said) as error:
        policy.load(file)
    assert str(file) in str(error.value)
    assert "groundling guard policy" in (error.value.hint or "")


def test_a_missing_file(tmp_path):
    with pytest.raises(GuardError, match="cannot be read"):
        policy.load(tmp_path / "nowhere.toml")


def test_the_most_exact_notice_wins():
    rules = policy.load()
    assert "109" in rules.notice("ko", "harm", "S11", "block")
    assert rules.notice("ko", "harm", "S1", "block") == rules.notices["ko"]["harm"]
    assert rules.notice("en", "injection", "x", "block") == rules.notices["en"]["injection.block"]
