"""The search language of the history: `accuracy > 97 % and size < 100 kB and not tag:draft`.

    query      = alternative { "or" alternative }
    alternative = term { ["and"] term }
    term       = "not" term | "(" query ")" | comparison | word | "phrase"
    comparison = field operator value [unit]

Words are looked for in name, tags, model, task, method and status. Everything is evaluated over whole columns.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.history.columns import TAG_SEPARATOR, Coded, RunColumns
from core.history.query_fields import (
    UNITS,
    Field,
    Number,
    QueryError,
    field_named,
    matching_fields,
    read_moment,
    read_number,
)

Mask: TypeAlias = NDArray[np.bool_]
SEARCHED = ("name", "tags", "model", "task", "method", "status")
OPERATORS = {"≤": "<=", "≥": ">=", "≠": "!=", "==": "="}
FLAGS = ("starred", "archived", "early")
LONGEST, DEEPEST = 2_000, 50
STATUSES = ("queued", "running", "finished", "failed", "cancelled", "interrupted")

_TOKEN = re.compile(
    r'\s*(?:(?P<open>\()|(?P<close>\))|(?P<phrase>"[^"]*"?)|(?P<moment>\d{4}-\d{1,2}-\d{1,2}T\d{1,2}:\d{2})'
    r'|(?P<operator><=|>=|!=|==|[<>=:~≤≥≠])|(?P<word>(?:[^\s()<>=:~"≤≥≠!]|!(?!=))+))'
)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int

    def says(self, word: str) -> bool:
        return self.kind == "word" and self.text.casefold() == word


@dataclass(frozen=True)
class Query:
    """A search that was understood.

    Attributes:
        text: as it was typed.
        fields: the columns that it needs: load them with `HistoryStore.with_fields` before `mask`.
        shows_archived: whether it speaks of archived runs, which lists leave out otherwise.
    """

    text: str
    fields: frozenset[str]
    shows_archived: bool
    _test: Callable[[RunColumns], Mask]

    def mask(self, columns: RunColumns) -> Mask:
        """Which runs it finds: a bool for each row.

        Raises:
            KeyError: if a column of `fields` is not loaded.
        """
        return self._test(columns)


def parse_query(text: str) -> Query:
    """Understand a search; an empty one finds everything.

    Raises:
        QueryError: in one sentence that names the word to blame.
    """
    if len(text) > LONGEST:
        raise QueryError(f"The search is longer than {LONGEST:,} characters: shorten it.", LONGEST, len(text))
    parser = _Parser(text, _tokens(text))
    test = parser.query(0) if parser.tokens else _everything
    if (rest := parser.peek()) is not None:
        raise QueryError(f"The “{rest.text}” has no “(” before it: take it away.", rest.start, rest.end)
    return Query(text, frozenset(parser.fields), parser.shows_archived, test)


def search(columns: RunColumns, query: Query, *, with_archived: bool = False) -> Mask:
    """The rows that a list shows for a query: without archived runs, unless it asks for them."""
    mask = query.mask(columns)
    if with_archived or query.shows_archived:
        return mask
    return np.asarray(mask & (columns.figures["archived"] == 0), dtype=np.bool_)


@dataclass(frozen=True)
class Completion:
    """A proposal: `text` may take the place of the characters from `start` to `end`."""

    text: str
    start: int
    end: int
    help: str


def completions(
    text: str, cursor: int, columns: RunColumns | None = None, limit: int = 12
) -> list[Completion]:
    """What could be meant by the word before the cursor: fields, or after a text field's operator its values."""
    before = text[:cursor]
    match = re.search(r'([\w.#-]+)\s*(?:[=:~≠]|!=|==)\s*("?)([^\s"()]*)$', before)
    if match is not None:
        name, quote, typed = match.groups()
        start = cursor - len(typed) - len(quote)
        try:
            field = field_named(name, 0, 0)
        except QueryError:
            return [
                Completion(flag, start, cursor, f"runs that are {flag}")
                for flag in (*FLAGS, *STATUSES)
                if name.casefold() == "is" and flag.startswith(typed.casefold())
            ]
        values = _values(field, columns)
        inside = [value for value in values if typed.casefold() in value.casefold()]
        return [
            Completion(f'"{value}"' if re.search(r"[\s()<>=:~]", value) else value, start, cursor, field.help)
            for value in inside[:limit]
        ]
    word = re.search(r"[\w.-]*$", before)
    typed = word.group() if word is not None else ""
    start = cursor - len(typed)
    return [Completion(field.name, start, cursor, field.help) for field in matching_fields(typed)[:limit]]


def _values(field: Field, columns: RunColumns | None) -> list[str]:
    if field.column == "status":
        return list(STATUSES)
    if columns is None or field.column not in columns.texts:
        return []
    values: Iterable[str] = columns.texts[field.column].values
    if field.kind == "tags":
        values = {tag for joined in values for tag in joined.split(TAG_SEPARATOR)}
    return sorted({value for value in values if value}, key=str.casefold)


# -- understanding -------------------------------------------------------------------------------------------------


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise QueryError(f"“{text[at:end].split()[0]}” is not understood: put it into quotes.", at, end)
        kind, start = match.lastgroup, match.start(match.lastgroup)
        word = match.group(kind)
        if kind == "phrase" and (len(word) < 2 or not word.endswith('"')):
            raise QueryError(
                f"The quotes before “{word[1:]}” are not closed: add one more.", start, match.end()
            )
        found.append(
            _Token(kind, OPERATORS.get(word, word) if kind == "operator" else word, start, match.end())
        )
        at = match.end()
    return found


def _everything(columns: RunColumns) -> Mask:
    return np.ones(len(columns), dtype=np.bool_)


class _Parser:
    """Recursive descent; each rule returns the test that it stands for."""

    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self.text = text
        self.tokens = tokens
        self.fields: set[str] = set()
        self.shows_archived = False
        self._at = 0

    def peek(self) -> _Token | None:
        return self.tokens[self._at] if self._at < len(self.tokens) else None

    def query(self, depth: int) -> Callable[[RunColumns], Mask]:
        tests = [self._alternative(depth)]
        while (token := self.peek()) is not None and token.says("or"):
            self._at += 1
            self._wanted_after(token)
            tests.append(self._alternative(depth))
        return tests[0] if len(tests) == 1 else lambda columns: _combined(np.logical_or, tests, columns)

    def _alternative(self, depth: int) -> Callable[[RunColumns], Mask]:
        tests = [self._term(depth)]
        while (token := self.peek()) is not None and token.kind != "close" and not token.says("or"):
            if token.says("and"):
                self._at += 1
                self._wanted_after(token)
            tests.append(self._term(depth))
        return tests[0] if len(tests) == 1 else lambda columns: _combined(np.logical_and, tests, columns)

    def _wanted_after(self, token: _Token) -> None:
        following = self.peek()
        if following is None or following.kind == "close" or following.says("or") or following.says("and"):
            raise QueryError(f"Something is missing after “{token.text}”: finish it.", token.start, token.end)

    def _term(self, depth: int) -> Callable[[RunColumns], Mask]:
        token = self.peek()
        assert token is not None
        if depth > DEEPEST:
            raise QueryError("The brackets are nested too deeply: take some away.", token.start, token.end)
        self._at += 1
        if token.kind == "open":
            following = self.peek()
            if following is None or following.kind == "close":
                raise QueryError(
                    "There is nothing between the brackets: take them away.", token.start, token.end
                )
            inside = self.query(depth + 1)
            closing = self.peek()
            if closing is None:
                raise QueryError("A “)” is missing: close the bracket.", token.start, len(self.text))
            self._at += 1
            return inside
        if token.says("not"):
            self._wanted_after(token)
            test = self._term(depth + 1)
            return lambda columns: ~test(columns)
        if token.kind in ("operator", "close") or token.says("and") or token.says("or"):
            raise QueryError(
                f"Something is missing before “{token.text}”: begin with a word.", token.start, token.end
            )
        following = self.peek()
        if token.kind == "word" and following is not None and following.kind == "operator":
            return self._comparison(token, following)
        return _contains(token.text.strip('"') if token.kind == "phrase" else token.text)

    def _comparison(self, name: _Token, operator: _Token) -> Callable[[RunColumns], Mask]:
        self._at += 1
        if operator.text == ":" and not re.match(r"[^\W\d_]", name.text):
            # A time or a ratio such as 12:30, and no field.
            rest = self.peek()
            joined = rest is not None and rest.kind == "word" and rest.start == operator.end
            self._at += joined
            return _contains(f"{name.text}:{rest.text if rest is not None and joined else ''}")
        is_flag = name.says("is")
        field = None if is_flag else field_named(name.text, name.start, name.end)
        value = self.peek()
        if value is None or value.kind not in ("word", "phrase", "moment"):
            raise QueryError(
                f"A value is missing after “{name.text} {operator.text}”: add one.", name.start, operator.end
            )
        self._at += 1
        if field is None:
            return self._flag(value)
        self.fields.add(field.column)
        text = value.text.strip('"') if value.kind == "phrase" else value.text
        if field.kind == "date":
            return _moment_test(field.column, operator.text, read_moment(field, text, value.start, value.end))
        number = None
        if field.kind not in ("text", "tags") and value.kind == "word":
            unit = self._unit()
            number = read_number(field, text, unit, value.start, self.tokens[self._at - 1].end)
        if number is None and field.kind not in ("text", "tags", "setting"):
            raise QueryError(f"“{text}” is no number for {field.name}: write one.", value.start, value.end)
        if number is None and operator.text in ("<", ">", "<=", ">="):
            raise QueryError(
                f"{field.name} holds text and knows no “{operator.text}”: use = or : instead.",
                operator.start, operator.end,
            )  # fmt: skip
        return _value_test(field, operator.text, text, number)

    def _unit(self) -> str:
        """The unit after a number, if a word that follows is one."""
        token = self.peek()
        units = {unit for known in UNITS.values() for unit in known}
        if token is None or token.kind != "word" or token.text.casefold() not in units:
            return ""
        after = self.tokens[self._at + 1] if self._at + 1 < len(self.tokens) else None
        if after is not None and after.kind == "operator":
            # “macs > 3 macs < 5”: the second one begins a comparison of its own.
            return ""
        self._at += 1
        return token.text

    def _flag(self, value: _Token) -> Callable[[RunColumns], Mask]:
        word = value.text.casefold()
        if word in FLAGS:
            self.shows_archived = self.shows_archived or word == "archived"
            return lambda columns: columns.figures[word] > 0
        if word in STATUSES:
            return lambda columns: columns.texts["status"].where(lambda text: text == word)
        allowed = ", ".join((*FLAGS, *STATUSES[:-1])) + f" or {STATUSES[-1]}"
        raise QueryError(f"“is:{value.text}” is not understood: use {allowed}.", value.start, value.end)


# -- finding -------------------------------------------------------------------------------------------------------


def _combined(join: np.ufunc, tests: Iterable[Callable[[RunColumns], Mask]], columns: RunColumns) -> Mask:
    result: Mask | None = None
    for test in tests:
        mask = test(columns)
        result = mask if result is None else join(result, mask)
    assert result is not None
    return result


def _contains(text: str) -> Callable[[RunColumns], Mask]:
    word = text.casefold()

    def test(columns: RunColumns) -> Mask:
        mask = np.zeros(len(columns), dtype=np.bool_)
        for name in SEARCHED:
            mask |= columns.texts[name].where(lambda value: word in value)
        if "recipe" in columns.texts:
            mask |= columns.texts["recipe"].where(lambda value: word in value)
        if word and word in "stopped early":
            mask |= columns.figures["early"] > 0
        if re.fullmatch(r"#\d{1,9}", word):
            mask |= columns.numbers == int(word[1:])
        elif word == "#":
            # A number is about to follow: nothing is ruled out yet.
            mask[:] = True
        return mask

    return test


def _value_test(
    field: Field, operator: str, text: str, number: Number | None
) -> Callable[[RunColumns], Mask]:
    def test(columns: RunColumns) -> Mask:
        column: Coded | NDArray[np.float64]
        column = (
            columns.texts[field.column] if field.column in columns.texts else columns.figure(field.column)
        )
        if isinstance(column, Coded):
            return _text_mask(column, field, operator, text)
        if number is None:
            # A setting that turned out to hold numbers.
            found = np.zeros(len(columns), dtype=np.bool_)
            return ~np.isnan(column) if operator == "!=" else found
        return _number_mask(column, operator, number)

    return test


def _text_mask(column: Coded, field: Field, operator: str, text: str) -> Mask:
    word = text.casefold()
    if operator in ("=", "!="):
        if field.kind == "tags":
            found = column.where(lambda value: word in value.split(TAG_SEPARATOR))
        else:
            found = column.where(lambda value: value == word)
        if operator == "=":
            return found
        # A run that lacks the setting is not one that has another.
        return np.asarray(~found & column.where(bool) if field.kind == "setting" else ~found, dtype=np.bool_)
    if operator in (":", "~"):
        return column.where(lambda value: word in value)
    return np.zeros(len(column), dtype=np.bool_)


def _number_mask(column: NDArray[np.float64], operator: str, number: Number) -> Mask:
    value = number.value
    # What is not there is neither above nor below; comparing NaN says so by itself.
    match operator:
        case "<":
            return np.asarray(column < value)
        case ">":
            return np.asarray(column > value)
        case "<=":
            return np.asarray(column <= value)
        case ">=":
            return np.asarray(column >= value)
    near = np.abs(column - value) <= max(number.rounding, 1e-9 * abs(value))
    return np.asarray(~near & ~np.isnan(column) if operator == "!=" else near)


def _moment_test(column: str, operator: str, span: tuple[float, float]) -> Callable[[RunColumns], Mask]:
    first, after = span
    tests: Mapping[str, Callable[[NDArray[np.float64]], NDArray[np.bool_]]] = {
        "<": lambda times: times < first,
        "<=": lambda times: times < after,
        ">": lambda times: times >= after,
        ">=": lambda times: times >= first,
        "!=": lambda times: (times < first) | (times >= after),
    }

    def within(times: NDArray[np.float64]) -> NDArray[np.bool_]:
        return (times >= first) & (times < after)

    test = tests.get(operator, within)
    return lambda columns: test(columns.figures[column])
