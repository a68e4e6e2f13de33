"""The Logging query language: a filter's text becomes a test of log entries.

Owns the grammar. How one field compares with one value is log_comparison.py's.

    filter      = [ conjunction ]
    conjunction = disjunction { [ "AND" ] disjunction }        NOT binds tightest, then OR, then AND: as Google does it
    disjunction = negation { "OR" negation }
    negation    = ( "NOT" | "-" ) negation | "(" conjunction ")" | restriction
    restriction = value | path operator ( value | "(" values ")" ) | "log_id(" value ")"
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from local import log_comparison
from local.wire import CloudError

MAX_CHARACTERS = 20_000  # the real service's limit
MAX_DEPTH = 50
EARLIEST, LATEST = "", "~"  # before and after every instant, as text
Entry = dict[str, Any]

_TOKENS = re.compile(
    r"""(?P<skip>\s+|--[^\n]*)
      | (?P<punctuation>[(),])
      | (?P<operator><=|>=|!=|=~|!~|[<>=:])
      | (?P<text>(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^\s(),<>=!:"'])+)""",
    re.VERBOSE | re.DOTALL,
)
_PARTS = re.compile(r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')""", re.DOTALL)

_ESCAPES = re.compile(r"""\\(?:(?P<character>[abfnrtv"'\\])|(?P<code>x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}))""")
_CHARACTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_NO_PATH = re.compile(r"[][{}]|\.\.|^\.|\.$")


@dataclass(frozen=True)
class Filter:
    """A test of entries, and the span of `timestamp` outside which it cannot be true."""

    matches: Callable[[Entry], bool]
    since: str = EARLIEST
    until: str = LATEST


@dataclass(frozen=True)
class _Token:
    kind: str  # punctuation, operator, text or end
    text: str
    start: int

    def is_word(self, word: str) -> bool:
        return self.kind == "text" and self.text == word


def parse(text: str) -> Filter:
    """Read a filter; the empty one matches everything.

    Raises:
        CloudError: 400 naming line, column and token of what cannot be read.
    """
    if len(text) > MAX_CHARACTERS:
        raise CloudError(400, "badRequest", f"Filter has {len(text)} characters; the limit is {MAX_CHARACTERS}")
    return _Parser(text).filter()


def _all(parts: list[Filter]) -> Filter:
    if len(parts) == 1:
        return parts[0]
    tests = [part.matches for part in parts]
    return Filter(
        lambda entry: all(test(entry) for test in tests),
        max(part.since for part in parts),
        min(part.until for part in parts),
    )


def _any(parts: list[Filter]) -> Filter:
    if len(parts) == 1:
        return parts[0]
    tests = [part.matches for part in parts]
    return Filter(lambda entry: any(test(entry) for test in tests))


class _Parser:
    """Recursive descent over the tokens of one filter."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._depth = text, 0, 0
        self._tokens = self._split()

    def filter(self) -> Filter:
        if self._next.kind == "end":
            return Filter(lambda _: True)
        found = self._conjunction(self._restriction)
        if self._next.kind != "end":
            self._fail(self._next)
        return found

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._next
        self._at += token.kind != "end"
        return token

    def _conjunction(self, leaf: Callable[[], Filter]) -> Filter:
        parts = [self._disjunction(leaf)]
        while not (self._next.kind == "end" or self._next.text in (")", ",")):
            if self._next.is_word("AND"):
                self._take()
            parts.append(self._disjunction(leaf))
        return _all(parts)

    def _disjunction(self, leaf: Callable[[], Filter]) -> Filter:
        parts = [self._negation(leaf)]
        while self._next.is_word("OR"):
            self._take()
            parts.append(self._negation(leaf))
        return _any(parts)

    def _negation(self, leaf: Callable[[], Filter]) -> Filter:
        if self._next.is_word("NOT") or self._next.is_word("-"):
            self._take()
            inner = self._negation(leaf).matches
            return Filter(lambda entry: not inner(entry))
        if self._next.kind == "punctuation":
            return self._parenthesis(leaf)
        return leaf()

    def _parenthesis(self, leaf: Callable[[], Filter]) -> Filter:
        opening = self._take()
        self._depth += 1
        if opening.text != "(" or self._depth > MAX_DEPTH:
            self._fail(opening)
        inner = self._conjunction(leaf)
        self._close()
        self._depth -= 1
        return inner

    def _close(self) -> None:
        if (token := self._take()).text != ")":
            self._fail(token)

    def _restriction(self) -> Filter:
        subject = self._word()
        if self._next.text == "(" and self._next.start == subject.start + len(subject.text):
            return self._function(subject)
        if self._next.kind != "operator":
            literal = log_comparison.Literal(_unquoted(subject.text))
            return Filter(lambda entry: log_comparison.mentions(entry, literal))
        path = self._path(subject)
        operator = self._take()
        if self._next.text == "(":
            return self._parenthesis(lambda: self._comparison(path, operator, self._word()))
        return self._comparison(path, operator, self._word())

    def _comparison(self, path: tuple[str, ...], operator: _Token, value: _Token) -> Filter:
        text = _pattern(value.text) if operator.text in ("=~", "!~") else _unquoted(value.text)
        literal = log_comparison.Literal(text, presence=value.text == "*" and operator.text == ":")
        try:
            test = log_comparison.build(path, operator.text, literal)
        except ValueError as error:
            self._fail(value, str(error))
        if path != ("timestamp",):
            return Filter(test)
        since = literal.instant if operator.text in (">", ">=", "=") else EARLIEST
        until = literal.instant if operator.text in ("<", "<=", "=") else LATEST
        return Filter(test, since, until)

    def _function(self, name: _Token) -> Filter:
        if name.text != "log_id":
            self._fail(name, f"the local cloud does not support the function {name.text}()")
        self._take()
        literal = log_comparison.Literal(_unquoted(self._word().text))
        self._close()
        return Filter(log_comparison.log_id(literal))

    def _path(self, token: _Token) -> tuple[str, ...]:
        pieces = [
            [_unquoted(part)] if part[:1] in ("'", '"') else [name for name in part.split(".") if name]
            for part in _PARTS.split(token.text)
        ]
        if wrong := _NO_PATH.search(_PARTS.sub("x", token.text)):
            self._fail(token, f"a path has no {wrong.group()!r} outside quotes;")
        try:
            return log_comparison.field_path([name for piece in pieces for name in piece])
        except ValueError as error:
            self._fail(token, str(error))

    def _word(self) -> _Token:
        token = self._take()
        if token.kind != "text" or token.text in ("AND", "OR", "NOT"):
            self._fail(token)
        return token

    def _split(self) -> list[_Token]:
        tokens: list[_Token] = []
        at = 0
        while at < len(self._text):
            match = _TOKENS.match(self._text, at)
            if not match:
                self._fail(_Token("text", self._text[at], at))
            if match.lastgroup != "skip":
                tokens += _minus_apart(_Token(str(match.lastgroup), match.group(), at), tokens)
            at = match.end()
        return [*tokens, _Token("end", "end of filter", at)]

    def _fail(self, token: _Token, why: str = "syntax error") -> NoReturn:
        before = self._text[: token.start]
        line, column = before.count("\n") + 1, token.start - (before.rfind("\n") + 1) + 1
        place = f"at line {line}, column {column}, token {token.text!r}"
        raise CloudError(400, "badRequest", f"Unparseable filter: {why} {place}")


def _minus_apart(token: _Token, before: list[_Token]) -> list[_Token]:
    """A leading `-` is NOT, unless the token is the value of a comparison: `jsonPayload.change > -5`."""
    is_value = bool(before) and before[-1].kind == "operator"
    if token.kind == "text" and token.text.startswith("-") and len(token.text) > 1 and not is_value:
        return [_Token("text", "-", token.start), _Token("text", token.text[1:], token.start + 1)]
    return [token]


def _unquoted(text: str) -> str:
    return _ESCAPES.sub(_escaped, text[1:-1]) if _is_quoted(text) else text


def _escaped(escape: re.Match[str]) -> str:
    character, code = escape.group("character", "code")
    return chr(int(code[1:], 16)) if code else _CHARACTERS.get(character, character)


def _pattern(text: str) -> str:
    """A regular expression, to which all escapes belong but those of quotes and backslashes."""
    return re.sub(r"""\\(["'\\])""", r"\1", text[1:-1]) if _is_quoted(text) else text


def _is_quoted(text: str) -> bool:
    return len(text) > 1 and text[0] == text[-1] and text[0] in ("'", '"')
