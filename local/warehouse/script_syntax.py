"""The statements of a script: blocks, conditions and loops read from tokens; what stands between them stays tokens.

Grammar: https://cloud.google.com/bigquery/docs/reference/standard-sql/procedural-language
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlglot.tokenizer_core import Token, TokenType

from local.warehouse.statements import invalid, tokens_of, unsupported

Tokens = list[Token]
REFUSED = {"CALL"}
SYNONYMS = {"LEAVE": "BREAK", "ITERATE": "CONTINUE"}
SCRIPT_WORDS = {
    "DECLARE", "SET", "BEGIN", "IF", "WHILE", "LOOP", "FOR", "REPEAT", "EXECUTE", "ASSERT", "RAISE", "BREAK", "CONTINUE",
    "RETURN", "CASE", "COMMIT", "ROLLBACK", *SYNONYMS,
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One step: its first words, the tokens it is about, and the steps inside it."""

    kind: str  # STATEMENT, DECLARE, SET, IF, WHILE, LOOP, REPEAT, FOR, BLOCK, BEGIN, COMMIT, ROLLBACK, BREAK ...
    tokens: Tokens = field(default_factory=list)
    body: "list[Step]" = field(default_factory=list)
    otherwise: "list[Step]" = field(default_factory=list)  # ELSE, or EXCEPTION WHEN ERROR THEN


def word(token: Token) -> str:
    """The text of a token in capitals; of a quoted name nothing, so that no name is taken for a keyword."""
    return "" if token.token_type in (TokenType.IDENTIFIER, TokenType.STRING) else token.text.upper()


def is_script(tokens: Tokens) -> bool:
    """Whether a query is more than one statement."""
    inner = [t for t in tokens[:-1] if t.token_type == TokenType.SEMICOLON]
    words = [word(t) for t in tokens[:3]]
    temporary = words[:1] == ["CREATE"] and ("TEMP" in words or "TEMPORARY" in words)
    return bool(inner) or (words[:1] != [] and (words[0] in SCRIPT_WORDS or temporary))


class Reader:
    """Reads the steps of a script."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens, self._at = tokens, 0

    def script(self) -> list[Step]:
        """All steps.

        Raises:
            CloudError: 400 where the structure is broken.
        """
        steps = self._steps(set())
        if self._at < len(self._tokens):
            raise self._unexpected()
        return steps

    def _peek(self, ahead: int = 0) -> str:
        position = self._at + ahead
        return word(self._tokens[position]) if position < len(self._tokens) else ""

    def _unexpected(self) -> Exception:
        if self._at >= len(self._tokens):
            return invalid("Syntax error: Unexpected end of script")
        token = self._tokens[self._at]
        return invalid(f"Syntax error: Unexpected {token.text} at [{token.line}:{token.col - len(token.text) + 1}]")

    def _expect(self, *words: str) -> None:
        for expected in words:
            if self._peek() != expected:
                raise self._unexpected()
            self._at += 1

    def _until(self, *ends: str) -> Tokens:
        """Tokens up to one of the words or a semicolon, CASE ... END skipped over; the end is not taken."""
        start, depth = self._at, 0
        while self._at < len(self._tokens):
            token, found = self._tokens[self._at], self._peek()
            depth += (found == "CASE") - (found == "END" and depth > 0)
            if token.token_type == TokenType.SEMICOLON or (depth == 0 and found in ends and self._at > start):
                break
            self._at += 1
        return self._tokens[start : self._at]

    def _end_of_statement(self) -> None:
        if self._at < len(self._tokens):
            if self._tokens[self._at].token_type != TokenType.SEMICOLON:
                raise self._unexpected()
            self._at += 1

    def _steps(self, ends: set[str]) -> list[Step]:
        steps = []
        while self._at < len(self._tokens) and self._peek() not in ends:
            if self._tokens[self._at].token_type == TokenType.SEMICOLON:
                self._at += 1
                continue
            steps.append(self._step())
        return steps

    def _step(self) -> Step:
        first, second = self._peek(), self._peek(1)
        if first in REFUSED:
            raise unsupported(f"the statement {first}")
        if first in ENDS:
            raise self._unexpected()
        if first == "CREATE" and any(w in ("PROCEDURE",) for w in (second, self._peek(2), self._peek(3))):
            raise unsupported("CREATE PROCEDURE")
        if (
            first == "BEGIN"
            and second not in ("TRANSACTION", "")
            and self._tokens[self._at + 1].token_type != TokenType.SEMICOLON
        ):
            return self._block()
        readers = {
            "IF": self._if,
            "WHILE": self._while,
            "LOOP": self._loop,
            "FOR": self._for,
            "REPEAT": self._repeat,
            "CASE": self._case,
        }
        if first in readers:
            return readers[first]()
        first = SYNONYMS.get(first, first)
        kind = first if first in STEPS else "STATEMENT"
        self._at += kind != "STATEMENT"
        tokens = self._until()
        if first in JUMPS and tokens:
            raise unsupported(f"labels ({first} {tokens[0].text})")
        self._end_of_statement()
        return Step(kind, tokens)

    def _closed(self, *words: str) -> None:
        self._expect(*words)
        self._end_of_statement()

    def _block(self) -> Step:
        self._expect("BEGIN")
        body, handler = self._steps({"END", "EXCEPTION"}), []
        if self._peek() == "EXCEPTION":
            self._expect("EXCEPTION", "WHEN", "ERROR", "THEN")
            handler = self._steps({"END"}) or [Step("NOTHING")]
        self._closed("END")
        return Step("BLOCK", body=body, otherwise=handler)

    def _if(self) -> Step:
        self._at += 1  # IF or ELSEIF
        condition = self._until("THEN")
        self._expect("THEN")
        body = self._steps({"ELSEIF", "ELSE", "END"})
        if self._peek() == "ELSEIF":
            return Step("IF", condition, body, [self._if()])
        otherwise: list[Step] = []
        if self._peek() == "ELSE":
            self._expect("ELSE")
            otherwise = self._steps({"END"})
        self._closed("END", "IF")
        return Step("IF", condition, body, otherwise)

    def _case(self) -> Step:
        """CASE is IF ... ELSE IF; with a value, which is then compared with each."""
        self._expect("CASE")
        value = self._until("WHEN") if self._peek() != "WHEN" else []
        branches = []
        while self._peek() == "WHEN":
            self._expect("WHEN")
            condition = self._until("THEN")
            if value:
                condition = [*tokens_of("("), *value, *tokens_of(") = ("), *condition, *tokens_of(")")]
            self._expect("THEN")
            branches.append((condition, self._steps({"WHEN", "ELSE", "END"})))
        otherwise: list[Step] = []
        if self._peek() == "ELSE":
            self._expect("ELSE")
            otherwise = self._steps({"END"})
        self._closed("END", "CASE")
        for condition, body in reversed(branches):
            otherwise = [Step("IF", condition, body, otherwise)]
        return Step("BLOCK", body=otherwise)

    def _while(self) -> Step:
        self._expect("WHILE")
        condition = self._until("DO")
        self._expect("DO")
        body = self._steps({"END"})
        self._closed("END", "WHILE")
        return Step("WHILE", condition, body)

    def _loop(self) -> Step:
        self._expect("LOOP")
        body = self._steps({"END"})
        self._closed("END", "LOOP")
        return Step("LOOP", body=body)

    def _repeat(self) -> Step:
        self._expect("REPEAT")
        body = self._steps({"UNTIL"})
        self._expect("UNTIL")
        condition = self._until("END")
        self._closed("END", "REPEAT")
        return Step("REPEAT", condition, body)

    def _for(self) -> Step:
        self._expect("FOR")
        head = self._until("DO")
        self._expect("DO")
        body = self._steps({"END"})
        self._closed("END", "FOR")
        return Step("FOR", head, body)


JUMPS = ("BREAK", "CONTINUE")
ENDS = {"END", "ELSE", "ELSEIF", "EXCEPTION", "UNTIL", "WHEN", "THEN", "DO"}
STEPS = {
    "DECLARE", "SET", "BEGIN", "COMMIT", "ROLLBACK", "BREAK", "CONTINUE", "RETURN", "RAISE", "ASSERT", "EXECUTE",
}  # fmt: skip


def leaves(steps: list[Step]) -> Iterator[Step]:
    """Every statement of a script, however deep."""
    for step in steps:
        if step.kind == "STATEMENT":
            yield step
        yield from leaves(step.body)
        yield from leaves(step.otherwise)
