"""The guard: runs the detectors that the policy names and does what it says.

    guard = Guard(policy.load(), model)
    decision = await guard.check("My key is sk-…", "input")
    decision["action"], decision["notice"]

Patterns come first: they cost microseconds. The model is asked only where no pattern has
already blocked the text.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from typing import TYPE_CHECKING

from groundling.guardrails import injection, policy
from groundling.guardrails.decision import ACTIONS, Action, Decision, Rail, Reason
from groundling.guardrails.detector import Finding, resolve
from groundling.guardrails.injection import Injection
from groundling.guardrails.personal import PersonalData
from groundling.guardrails.policy import Detector, Policy
from groundling.guardrails.redact import replace
from groundling.guardrails.secrets import Secrets
from groundling.models.prompts import Language, language_of

if TYPE_CHECKING:
    from typing import Self

    from langchain_core.language_models import BaseChatModel

    from groundling.guardrails.judge import Judge
    from groundling.settings import Settings


class Guard:
    """Checks texts by a policy.

    Args:
        rules: default, the policy that comes with Groundling.
        model: judges what no pattern can; without one, the rules of `harm`, `topic` and
            `grounding` are not run.
        guard_model: a model that was trained to judge harm; asked instead of `model` for it.
    """

    def __init__(
        self,
        rules: Policy | None = None,
        model: BaseChatModel | None = None,
        *,
        guard_model: BaseChatModel | None = None,
    ) -> None:
        self.policy = rules or policy.load()
        self.model = model
        self.guard_model = guard_model
        self._personal, self._secrets, self._injection = PersonalData(), Secrets(), Injection()

    @classmethod
    def from_settings(cls, settings: Settings, model: BaseChatModel | None = None) -> Self:
        """Make the guard that the settings describe.

        Raises:
            GuardError: the policy file is wrong.
        """
        guard_model: BaseChatModel | None = None
        if settings.guard.model is not None:
            from groundling.models.chat import ChatLlama

            wanted = settings.model.model_copy(update={"name": settings.guard.model})
            guard_model = ChatLlama.from_settings(settings.model_copy(update={"model": wanted}))
        return cls(policy.load(settings.guard.policy), model, guard_model=guard_model)

    def check_plain(self, text: str, rail: Rail) -> Decision:
        """Check by patterns alone; takes microseconds and asks no model."""
        language = language_of(text)
        reasons, hidden = self._patterns(text, rail, language)
        return self._decide(text, rail, language, reasons, hidden)

    async def check(
        self,
        text: str,
        rail: Rail,
        *,
        question: str | None = None,
        passages: Sequence[str] = (),
        context: Sequence[str] = (),
    ) -> Decision:
        """Check a text by all rules of its rail.

        Args:
            text: it is never changed; the decision holds what to go on with.
            rail: where it stands.
            question: what an output answers.
            passages: what an output must be carried by.
            context: earlier messages, oldest first.

        Returns:
            The decision. A detector that fails is no exception: its reason has the outcome
            `error`, and the policy's `error` says what is done.
        """
        language = language_of(text or question or "")
        reasons, hidden = self._patterns(text, rail, language)
        if text.strip() and self._strictest(rail, language, reasons) != "block":
            judge = self._judge()
            rules = self.policy.rules(rail)
            asked: list[tuple[Detector, Awaitable[list[Reason]]]] = []
            if judge is not None:
                if rules.harm.action != "off":
                    asked.append(("harm", judge.harm(text, question=question, context=context)))
                if rules.topic.action != "off":
                    asked.append(("topic", judge.topic(text, self.policy.topics)))
                if rules.grounding.action != "off" and passages:
                    carried = judge.grounding(text, question or "", passages)
                    asked.append(("grounding", carried))
            for detector, answer in asked:
                reasons += await _answered(detector, answer)
        return self._decide(text, rail, language, reasons, hidden)

    def _judge(self) -> Judge | None:
        if self.model is None and self.guard_model is None:
            return None
        from groundling.guardrails.judge import Judge

        return Judge(self.model, self.guard_model)

    def _patterns(
        self, text: str, rail: Rail, language: Language
    ) -> tuple[list[Reason], list[Finding]]:
        """Return the reasons that patterns give, and what of the text is to be hidden."""
        rules = self.policy.rules(rail)
        reasons: list[Reason] = []
        hidden: list[Finding] = []
        sources: tuple[tuple[Detector, PersonalData | Secrets], ...] = (
            ("secrets", self._secrets),
            ("personal", self._personal),
        )
        for detector, source in sources:
            rule = rules.of(detector)
            if rule.action == "off":
                continue
            try:
                least = rule.least(language)
                found = [
                    one
                    for one in resolve(source.find(text))
                    if one.score >= least and rule.counts(one.kind)
                ]
            except Exception as error:
                reasons.append(failed(detector, error))
                continue
            reasons += [_reason(detector, one) for one in found]
            if rule.action == "redact":
                hidden += found
        rule = rules.injection
        if rule.action != "off":
            try:
                signs = [one for one in self._injection.find(text) if rule.counts(one.kind)]
                total = injection.score(signs)
            except Exception as error:
                reasons.append(failed("injection", error))
            else:
                if signs and total >= rule.least(language):
                    heaviest = max(signs, key=lambda one: one.score)
                    reasons.append({**_reason("injection", heaviest), "score": round(total, 3)})
                    if rule.action == "redact":
                        hidden += signs
        return reasons, hidden

    def _action(self, rail: Rail, language: Language, reason: Reason) -> Action | None:
        """Return what the policy does for a reason; None if it does not count."""
        if reason["outcome"] == "error":
            return self.policy.error
        rule = self.policy.rules(rail).of(reason["detector"])  # type: ignore[arg-type]
        counts = reason["score"] >= rule.least(language) and rule.counts(reason["kind"])
        return rule.action if counts and rule.action != "off" else None

    def _strictest(self, rail: Rail, language: Language, reasons: Iterable[Reason]) -> Action:
        actions = (self._action(rail, language, reason) for reason in reasons)
        return max((one for one in actions if one), key=ACTIONS.index, default="allow")

    def _decide(
        self,
        text: str,
        rail: Rail,
        language: Language,
        reasons: Sequence[Reason],
        hidden: Sequence[Finding],
    ) -> Decision:
        counted = [(one, self._action(rail, language, one)) for one in reasons]
        kept = [(one, action) for one, action in counted if action is not None]
        kept.sort(key=lambda pair: (-ACTIONS.index(pair[1]), -pair[0]["score"]))
        told: dict[str, None] = {}
        for reason, action in kept:
            if action != "allow":
                name = "error" if reason["outcome"] == "error" else reason["detector"]
                told[self.policy.notice(language, name, reason["kind"], action)] = None
        outcomes = {reason["outcome"] for reason, _ in kept}
        return {
            "rail": rail,
            "outcome": "flag" if "flag" in outcomes else "error" if outcomes else "pass",
            "action": kept[0][1] if kept else "allow",
            "text": replace(text, hidden)[0] if hidden else text,
            "notice": "\n".join(filter(None, told)),
            "reasons": [reason for reason, _ in kept],
        }


async def _answered(detector: Detector, answer: Awaitable[list[Reason]]) -> list[Reason]:
    try:
        return await answer
    except Exception as error:
        return [failed(detector, error)]


def failed(detector: Detector, error: Exception) -> Reason:
    """Return the reason that stands for a detector which failed."""
    return {
        "detector": detector,
        "kind": "error",
        "score": 1.0,
        "start": None,
        "end": None,
        "outcome": "error",
        "detail": f"{type(error).__name__}: {error}",
    }


def _reason(detector: Detector, found: Finding) -> Reason:
    return {
        "detector": detector,
        "kind": found.kind,
        "score": round(found.score, 3),
        "start": found.start,
        "end": found.end,
        "outcome": "flag",
        "detail": found.kind.replace("_", " "),
    }
