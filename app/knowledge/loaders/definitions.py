"""How definitions look at the start of a line, by family of languages.

Each family has expressions that name what they find `name`. They are tried on single lines,
cut to a few hundred characters, and prefer to miss a definition over taking a call for one.
"""

from __future__ import annotations

import re

_QUOTES = re.compile('["`]')
_MODIFIERS = (
    r"(?:(?:export|default|public|private|protected|internal|static|final|abstract|sealed|async"
    r"|pub(?:\([\w:]+\))?|unsafe|extern|open|data|inline|override|partial|const|virtual|declare"
    r"|readonly|suspend|case|mutating|fileprivate|local|extern \"C\")\s+)*"
)
_TYPES = re.compile(
    rf"\s*{_MODIFIERS}(?:class|struct|interface|enum|trait|impl(?:<[^>]*>)?|union|namespace|record"
    r"|object|protocol|extension|actor|mixin|message|service|type|contract|@interface"
    r"|@implementation)\s+(?P<name>[A-Za-z_][\w:.<>$]*(?:\s+for\s+[\w:<>]+)?)"
    r"(?=\s*(?:[<({\[:=,]|extends\b|implements\b|where\b|with\b|final\b|$))(?!.*;\s*$)"
)
_FUNCTIONS = re.compile(
    rf"\s*{_MODIFIERS}(?:fn|func|fun|function\*?|def|macro)\s+(?:\([^)]*\)\s*)?(?P<name>[\w.:$]+[?!]?)"
)
# "int main(int argc" at the line's very start, without the ";" of a declaration.
_C_FUNCTION = re.compile(
    r"(?!(?:if|for|while|switch|return|else|typedef|using|do|case|delete|throw)\b)"
    r"[A-Za-z_][\w\s*&:<>,~]*?[\s*&](?P<name>[\w:~]+)\s*\([^;]*$"
)
_METHOD = re.compile(
    r"[ \t]+(?:public|private|protected|internal)\s+[\w<>\[\],.?\s]*?(?P<name>\w+)\s*\([^;]*$"
)
_JS_METHOD = re.compile(
    r"(?:  |    |\t)(?:(?:async|static|get|set)\s+)*(?!(?:if|for|while|switch|catch|with)\b)"
    r"(?P<name>[\w$#]+)\s*\([^;'\"`]*\)\s*(?::[^={]+)?\{\s*$"
)
_JS_CONSTANT = re.compile(
    r"(?:export\s+)?(?:const|let|var)\s+(?P<name>[\w$]+)\s*(?::[^=]+)?=\s*(?:async\s*)?"
    r"(?:function\b|\([^)]*\)\s*(?::[^=]+)?=>|\w+\s*=>)"
)
_GO_TYPE = re.compile(r"type\s+(?P<name>\w+)\s+(?:struct|interface)\b")
_PYTHON = re.compile(r"\s*(?:async\s+def|def|class)\s+(?P<name>\w+)")
_RUBY = re.compile(
    r"\s*(?:class|module|def|defp|defmodule|defmacro|defprotocol|struct|mutable struct|function"
    r"|macro)\s+(?P<name>(?!<<)[\w.:]+[?!=]?)"
)
_LUA = re.compile(r"\s*(?:local\s+)?function\s+(?P<name>[\w.:]+)")
_SHELL = re.compile(r"(?:function\s+(?P<name>[\w:.-]+)|(?P<plain>[\w:.-]+)\s*\(\)\s*\{?\s*$)")
_POWERSHELL = re.compile(r"\s*(?:function|filter|class|workflow)\s+(?P<name>[\w:-]+)", re.I)
_PERL = re.compile(r"(?:sub|package)\s+(?P<name>[\w:]+)")
_R = re.compile(r"(?P<name>[\w.]+)\s*(?:<-|=)\s*function\b")
_SQL = re.compile(
    r"\s*create\s+(?:or\s+replace\s+)?(?:temp(?:orary)?\s+|unique\s+|materialized\s+)?"
    r"(?:table|view|function|procedure|trigger|index|type|schema)\s+(?:if\s+not\s+exists\s+)?"
    r"(?P<name>[\w.\"`\[\]]+)",
    re.IGNORECASE,
)
_CLOJURE = re.compile(r"\((?:def\w*|ns)-?\s+(?P<name>[^\s()\[\]]+)")
_HASKELL_SIGNATURE = re.compile(r"(?P<name>[a-z_][\w']*)\s*::")
_HASKELL_TYPE = re.compile(
    r"(?:data|newtype|class|instance|type)\s+(?P<name>[^=]+?)\s*(?:=|where|$)"
)
_ML = re.compile(r"(?:let(?:\s+rec)?|type|module|and)\s+(?P<name>[\w']+)")
_TOML = re.compile(r"\[{1,2}(?P<name>[^\[\]]+)\]{1,2}\s*(?:#.*)?$")
_TERRAFORM = re.compile(
    r"(?:resource|data|module|variable|output|provider|locals|terraform)\s*"
    r"(?P<name>(?:\"[^\"]+\"\s*){0,2})\{"
)
_CMAKE = re.compile(r"\s*(?:function|macro)\s*\(\s*(?P<name>\w+)", re.I)

_JAVA = (_TYPES, _FUNCTIONS, _METHOD)
_C = (_TYPES, _C_FUNCTION)
_JS = (_TYPES, _FUNCTIONS, _JS_CONSTANT, _JS_METHOD)
_SCRIPT = (_RUBY,)

Family = tuple[re.Pattern[str], ...]
FAMILIES: dict[str, Family] = {
    **dict.fromkeys(("java", "c#", "kotlin", "swift", "scala", "dart", "groovy", "gradle"), _JAVA),
    **dict.fromkeys(("php", "rust", "zig", "proto"), _JAVA),
    **dict.fromkeys(("c", "c++", "objective-c"), _C),
    **dict.fromkeys(("javascript", "typescript", "vue"), _JS),
    **dict.fromkeys(("ruby", "elixir", "julia"), _SCRIPT),
    "go": (_GO_TYPE, _FUNCTIONS),
    "python": (_PYTHON,),
    "lua": (_LUA,),
    "bash": (_SHELL,),
    "powershell": (_POWERSHELL,),
    "perl": (_PERL,),
    "r": (_R,),
    "sql": (_SQL,),
    "clojure": (_CLOJURE,),
    "haskell": (_HASKELL_SIGNATURE, _HASKELL_TYPE),
    "ocaml": (_ML,),
    "toml": (_TOML,),
    "terraform": (_TERRAFORM,),
    "cmake": (_CMAKE,),
}


def definition(line: str, family: Family) -> str:
    """Return the name of the definition that a line begins; "" if it begins none."""
    for pattern in family:
        if found := pattern.match(line):
            name = next((group for group in found.groups() if group), "") or found[0].rstrip("{")
            return _QUOTES.sub("", name).strip()
    return ""
