"""No text takes more than a bounded amount of work a character."""

from __future__ import annotations

import sys

import pytest

from groundling.guardrails.personal import PersonalData
from groundling.guardrails.secrets import Secrets

UNITS = [
    "a", "1", "1-", "@", "0101234", "1 ", "12 ", "1234 ", "1.", "1,", "1/", "(1", "0 (", "+1 (",
    "1:", "2001:", "a@", "a@a.", "GB12", "GB12 ", "A1", "+82 ", "계좌 1234567890 ",
    "phone 123 4567 ", "-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "eyJ", "eyJaaaaaaaaa.",
    "sk-", "sk-a", "ghp_", "AKIA", "xoxb-", "SG.", "AC0", "password", "password=", "password: ",
    'password="', "token: ", "Bearer ", "://", "://a:", "//:@", ":", "=", "-", "_", "비밀번호는 ",
    "\u200b", "１", "1\u200b", "\u1112\u1161", "password is ", "\\", "\\n", "<password>",
    "--password ",
]  # fmt: skip
HEADS = [
    "sk-",
    "AKIA",
    "eyJ",
    "a@",
    "://a:",
    'password="',
    "Bearer ",
    "-----BEGIN PRIVATE KEY-----\n",
]
SIZE = 100_000


# Quadratic work on these sizes takes minutes; linear work, a tenth of a second.
@pytest.mark.timeout(30)
@pytest.mark.parametrize("detector", [PersonalData(), Secrets()], ids=["personal", "secrets"])
def test_long_repetitions_come_to_an_end(detector):
    texts = [unit * (SIZE // len(unit)) for unit in UNITS]
    texts += [head + tail * SIZE for head in HEADS for tail in ("a", "1", " ", "\\", "a.")]
    for text in texts:
        list(detector.find(text))


@pytest.mark.parametrize("detector", [PersonalData(), Secrets()], ids=["personal", "secrets"])
@pytest.mark.parametrize("unit", UNITS)
def test_twice_the_text_takes_twice_the_calls(detector, unit):
    short, long = (calls(detector, unit * count) for count in (400, 800))
    assert long <= 2.2 * short + 200


def calls(detector, text):
    """Count the calls of functions, Python's and the library's, that a search makes."""
    count = 0

    def counted(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    list(detector.find("é"))  # tables that are made once
    sys.setprofile(counted)
    try:
        list(detector.find(text))
    finally:
        sys.setprofile(None)
    return count
