"""The forms of keys that providers give out, each with the letters it begins with.

Patterns of our own and not detect-secrets: it answers with values and line numbers, not
offsets (of a GitHub token, with "ghp" alone), reads 0.35 MB/s where this reads tens, keeps
its plugins in process-wide settings, and knows no Anthropic, Google, Hugging Face, LangSmith
or OpenAI project key. Its entropy plugins flag ordinary sentences.

A key counts only where no word goes on to it, and a `prefix` makes it cheap to look for:
its rarest character is searched, and the rest compared there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# How rare a character is in prose and code; the rarest of a prefix is searched.
_RARE = "_zJKGABX=>:-/.C"


@dataclass(frozen=True, slots=True)
class Key:
    """The form of one provider's keys.

    Args:
        kind: the kind of the findings.
        prefix: what every such key begins with.
        pattern: the whole key, matched at the prefix; group `value`, where there is one, is
            the part to hide.
        score: how sure the form makes it.
        whole: whether the prefix must not go on from a word.
    """

    kind: str
    prefix: str
    pattern: re.Pattern[str]
    score: float
    whole: bool = True


def anchor(prefix: str) -> int:
    """Return where in a prefix its rarest character is."""
    ranks = [_RARE.find(letter) % (len(_RARE) + 1) for letter in prefix]
    return ranks.index(min(ranks))


def _key(prefix: str, rest: str, kind: str = "api_key", score: float = 0.95) -> Key:
    pattern = re.compile(rf"{re.escape(prefix)}(?:{rest})(?![A-Za-z0-9])")
    return Key(kind, prefix, pattern, score)


_WORD = "[A-Za-z0-9_-]"
KEYS = (
    # A run of 16 with a digit in it: kebab-case names have none.
    _key(
        "sk-",
        rf"(?={_WORD}{{0,200}}?(?=[A-Za-z]{{0,15}}+[0-9])[A-Za-z0-9]{{16}}){_WORD}{{20,512}}+",
    ),
    _key("AIza", rf"{_WORD}{{35}}"),
    _key("GOCSPX-", rf"{_WORD}{{28}}"),
    _key("AKIA", r"[A-Z0-9]{16}(?P<aws>(?:\s?[,;:|/]\s?|\s{1,4})\"?[A-Za-z0-9/+]{40}(?![/+=]))?"),
    _key("ASIA", r"[A-Z0-9]{16}"),
    *(_key(f"gh{kind}_", "[A-Za-z0-9]{36,255}+") for kind in "pousr"),
    _key("github_pat_", "[A-Za-z0-9_]{22,255}+"),
    *(_key(f"{kind}-", rf"{_WORD}{{20,64}}+") for kind in ("glpat", "gldt", "glrt")),
    *(_key(f"xox{kind}-", "[A-Za-z0-9-]{10,255}+") for kind in "abeprs"),
    _key("xapp-", "[0-9]-[A-Za-z0-9-]{10,255}+"),
    _key("hooks.slack.com/services/", "T[A-Z0-9]{6,}+/B[A-Z0-9]{6,}+/[A-Za-z0-9]{16,}+"),
    *(
        _key(f"{kind}_", "[A-Za-z0-9]{16,255}+")
        for kind in ("sk_live", "sk_test", "rk_live", "rk_test")
    ),
    _key("whsec_", "[A-Za-z0-9+/=]{32,}+"),
    _key("hf_", "[A-Za-z0-9]{30,64}+"),
    _key("lsv2_", "(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}"),
    _key("ls__", "[0-9a-f]{32}"),
    _key("npm_", "[A-Za-z0-9]{36}"),
    _key("pypi-", rf"Ag{_WORD}{{50,}}+"),
    _key("SG.", rf"{_WORD}{{16,32}}\.{_WORD}{{32,64}}+"),
    _key("AC", "[0-9a-f]{32}", score=0.8),  # Twilio
    _key("SK", "[0-9a-f]{32}", score=0.8),
    _key("gsk_", "[A-Za-z0-9]{40,64}+"),  # Groq
    _key("xai-", "[A-Za-z0-9]{60,100}+"),
    _key("pplx-", "[A-Za-z0-9]{40,64}+"),
    _key("tvly-", rf"{_WORD}{{20,64}}+"),
    _key("nvapi-", rf"{_WORD}{{50,100}}+"),
    _key("r8_", "[A-Za-z0-9]{37}"),  # Replicate
    _key("jina_", rf"{_WORD}{{50,100}}+"),
    _key("hvs.", rf"{_WORD}{{24,255}}+"),  # Vault
    _key("dckr_pat_", rf"{_WORD}{{27,64}}+"),
    _key("dop_v1_", "[0-9a-f]{64}"),
    _key("shpat_", "[0-9a-f]{32}"),
    _key("ATATT3", r"[A-Za-z0-9_=-]{100,255}+"),  # Atlassian
    _key("ya29.", rf"{_WORD}{{20,512}}+"),  # Google, OAuth
    _key("eyJ", rf"{_WORD}{{8,}}+\.eyJ{_WORD}{{8,}}+\.{_WORD}*+", "jwt"),
    Key(
        "private_key",
        "-----BEGIN",
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
            r"(?:(?:[^-]|-(?!----))*+-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
            r"|[A-Za-z0-9+/=\s\\]{24,}+)"  # cut short
        ),
        0.99,
        False,
    ),
    Key(
        "token",
        "Bearer ",
        re.compile(r"Bearer (?P<value>(?=\S{0,40}[0-9])[A-Za-z0-9_\-.~+/]{20,2048}+=*)"),
        0.85,
    ),
    # A bot of Telegram: its number stands before the colon.
    Key(
        "api_key",
        ":AA",
        re.compile(r":AA[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])(?<=[0-9].{36})"),
        0.95,
        whole=False,
    ),
    Key(
        "password",
        "assword>",
        re.compile(r"assword>(?P<value>[^<>\s]{4,200})</"),
        0.85,
        whole=False,
    ),
    Key(
        "password",
        "--password",
        re.compile(r"--password\s+[\"']?(?P<value>[^\s\"'<>$\[{-][^\s\"'<>]{3,200})"),
        0.8,
        whole=False,
    ),
)
