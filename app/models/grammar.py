from dataclasses import dataclass


@dataclass(frozen=True)
class Grammar:
    text: str
