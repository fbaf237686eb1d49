"""The search language: what is found is what a plain loop over the runs finds, and every mistake is told in words."""

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.history.columns import RunColumns
from core.history.query import LONGEST, completions, parse_query, search
from core.history.query_fields import QueryError, all_fields
from core.history.records import RunRecord
from core.measurement.records import Accuracy

from .history_samples import PRUNED
from .test_history_compare import record


def run(number: int, *, accuracy: float | None, size: int, **changes: object) -> RunRecord:
    judged = None if accuracy is None else Accuracy(round(1000 * accuracy), 1000, 0, 1, 0.1, "test", "digits")
    return replace(record(number), after=replace(PRUNED, accuracy=judged, packed_bytes=size), **changes)


RUNS = (
    run(1, accuracy=0.91, size=90_000, name="Alpha prune", tags=("paper",), source_title="resnet20.th",
        created=datetime(2026, 10, 31, 23, 59).timestamp()),
    run(2, accuracy=0.976, size=150_000, name="beta", tags=("paper final", "x"), status="failed", starred=True,
        created=datetime(2026, 11, 1, 12, 0).timestamp()),
    run(3, accuracy=0.98, size=99_999, name="gamma 2:4", tags=(), method="prune", archived=True,
        created=datetime(2026, 11, 2, 0, 0).timestamp()),
    run(4, accuracy=None, size=2_000_000, name="Größe and more", tags=("final",), stopped_early=True,
        created=datetime(2027, 1, 1).timestamp()),
)  # fmt: skip
COLUMNS = RunColumns.from_records(RUNS)


def found(text: str) -> list[int]:
    return COLUMNS.numbers[parse_query(text).mask(COLUMNS)].tolist()


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", [1, 2, 3, 4]),
        ("accuracy > 0.97 and size < 100 kB", [3]),
        ("accuracy > 97%", [2, 3]),
        ("accuracy > 97 % size<100kB", [3]),
        ("accuracy = 97.6 %", [2]),
        ("accuracy = 98 %", [2, 3]),  # rounds to it, as the table shows it
        ("accuracy != 91 %", [2, 3]),
        ("size >= 0.15 MB or is:archived", [2, 3, 4]),
        ("size ≤ 90 kB", [1]),
        ("not (tag:paper or tag:final)", [3]),
        ("tag = final", [4]),
        ("tag:final", [2, 4]),
        ("status:failed", [2]),
        ("status != failed starred", []),
        ("is:starred", [2]),
        ("is:failed", [2]),
        ('name = "größe AND more"', [4]),
        ('"alpha prune"', [1]),
        ("größe", [4]),
        ("2:4", [3]),
        ("#3", [3]),
        ("stopped", [4]),
        ("model:resnet20", [1]),
        ("method = prune", [3]),
        ("created > 2026-11-01", [3, 4]),
        ("created >= 2026-11-01", [2, 3, 4]),
        ("created < 2026-11-01", [1]),
        ("created <= 2026-11-01", [1, 2]),
        ("created = 2026-11", [2, 3]),
        ("created != 2026-11", [1, 4]),
        ("created = 2027", [4]),
        ("created > 2026-11-01T11:59 created < 2026-11-01T12:01", [2]),
        ("number > 1 and number < 4", [2, 3]),
        ("NOT number = 1 OR number = 1", [1, 2, 3, 4]),
        ("number = 1 or number = 2 number = 3", [1]),
        ("accuracy > 0 or not accuracy > 0", [1, 2, 3, 4]),
        ("macs > 12.3 G", [1, 2, 3, 4]),
    ],
)
def test_what_is_asked_for_is_found(text: str, numbers: list[int]) -> None:
    assert found(text) == numbers


def test_archived_runs_are_shown_only_when_they_are_asked_for() -> None:
    def listed(text: str, **options: bool) -> list[int]:
        return COLUMNS.numbers[search(COLUMNS, parse_query(text), **options)].tolist()

    assert listed("") == [1, 2, 4]
    assert listed("", with_archived=True) == [1, 2, 3, 4]
    assert listed("is:archived") == [3]
    assert listed("not is:archived") == [1, 2, 4]


@pytest.mark.parametrize(
    ("text", "blamed", "says"),
    [
        ("accuracy >", "accuracy >", "A value is missing after “accuracy >”"),
        ("acuracy > 3", "acuracy", "There is no field “acuracy”: did you mean accuracy"),
        ("size < 3 ms", "3 ms", "“ms” does not fit size: use B, kB, MB or GB."),
        ("seed = 3 ms", "3 ms", "“ms” does not fit seed"),
        ("sparsity > 80", "80", "sparsity 80 is above 1: write 80 % or 0.8."),
        ("size < big", "big", "“big” is no number for size"),
        ("name > beta", ">", "name holds text and knows no “>”"),
        ("created > soon", "soon", "“soon” is no date for created"),
        ("created > 2026-02-30", "2026-02-30", "is no date"),
        ("(alpha", "(alpha", "A “)” is missing"),
        ("alpha)", ")", "has no “(” before it"),
        ("()", "(", "There is nothing between the brackets"),
        ("alpha or", "or", "Something is missing after “or”"),
        ("and alpha", "and", "Something is missing before “and”"),
        ("> 3", ">", "Something is missing before “>”"),
        ("not", "not", "Something is missing after “not”"),
        ('"alpha', '"alpha', "The quotes before “alpha” are not closed"),
        ("is:green", "green", "“is:green” is not understood"),
        ("(" * 80 + "a" + ")" * 80, "(", "nested too deeply"),
    ],
)
def test_a_mistake_is_told_in_one_sentence_and_pointed_at(text: str, blamed: str, says: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_query(text)
    assert says in caught.value.message
    assert text[caught.value.start : caught.value.end] == blamed
    assert caught.value.message.endswith((".", "?"))


def test_the_fields_that_a_search_needs_are_named() -> None:
    assert parse_query("prune.sparsity > 80 % and before.loss < 1 tag:x y").fields == {
        "prune.sparsity",
        "before.loss",
        "tags",
    }
    with pytest.raises(QueryError, match="longer"):
        parse_query("a " * LONGEST)


def test_every_field_has_words_and_is_a_word_of_the_language() -> None:
    for name, field in all_fields().items():
        assert field.help
        value = "2026" if field.kind == "date" else "0"
        assert parse_query(f"{name} = {value}").fields == {field.column}


def test_fields_and_values_are_completed() -> None:
    def texts(text: str, cursor: int | None = None) -> list[str]:
        return [each.text for each in completions(text, len(text) if cursor is None else cursor, COLUMNS)]

    assert texts("acc")[0] == "accuracy"
    assert texts("accuracy > 0.9 spa")[0] == "sparsity"
    assert "prune.sparsity" in texts("prune.")
    assert texts("status:fi") == ["finished"]
    assert texts("tag:") == ["final", '"paper final"', "paper", "x"] or set(texts("tag:")) == {
        "final", '"paper final"', "paper", "x"
    }  # fmt: skip
    assert texts("is:st") == ["starred"]
    (one,) = completions("model:res and x", 9, COLUMNS)
    assert (
        "model:res and x"[: one.start] + one.text + "model:res and x"[one.end :]
    ) == "model:resnet20.th and x"


# -- properties ----------------------------------------------------------------------------------------------------

Test = Callable[[RunRecord], bool]
LEAVES: list[tuple[str, Test]] = [
    ("accuracy > 0.95", lambda r: _accuracy(r) > 0.95),
    ("accuracy <= 97.5 %", lambda r: _accuracy(r) <= 0.975),
    ("size < 100 kB", lambda r: r.after is not None and r.after.packed_bytes < 100_000),
    ("tag:paper", lambda r: any("paper" in tag for tag in r.tags)),
    ("status != failed", lambda r: r.status != "failed"),
    ("is:starred", lambda r: r.starred),
    ("number >= 2", lambda r: r.number >= 2),
    ('"alpha"', lambda r: "alpha" in r.name.casefold()),
]


def _accuracy(record: RunRecord) -> float:
    return math.nan if record.after is None or record.after.accuracy is None else record.after.accuracy.value


Tree = tuple[str, Test]


def _joined(parts: tuple[Tree, Tree, str]) -> Tree:
    (one, first), (other, second), word = parts
    if word == "or":
        return f"({one} or {other})", lambda record: first(record) or second(record)
    return f"({one} {word} {other})", lambda record: first(record) and second(record)


def _negated(tree: Tree) -> Tree:
    text, test = tree
    return f"not {text}", lambda record: not test(record)


TREES = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        st.tuples(inner, inner, st.sampled_from(["and", "or", ""])).map(_joined), inner.map(_negated)
    ),
    max_leaves=8,
)


@given(TREES)
def test_any_search_finds_what_a_loop_over_the_runs_finds(tree: Tree) -> None:
    text, test = tree
    assert found(text) == [record.number for record in RUNS if test(record)]


WORDS = st.sampled_from(
    ["accuracy", "size", "prune.sparsity", "and", "or", "not", "(", ")", "<", ">=", "=", ":", '"', "%", "kB", "0.5",
     "2026-11-01", "is", "tag", "é", "\x00", "!", "#1", " "]
)  # fmt: skip


@given(
    st.one_of(st.text(max_size=40), st.lists(WORDS, max_size=12).map("".join), st.lists(WORDS).map(" ".join))
)
def test_any_text_is_understood_or_refused_in_words(text: str) -> None:
    refusals = []
    try:
        query = parse_query(text)
    except QueryError as error:
        refusals.append(error)
    if refusals:
        assert 0 <= refusals[0].start <= refusals[0].end <= len(text)
        return
    if query.fields <= {*COLUMNS.figures, *COLUMNS.texts, "number"}:
        assert len(query.mask(COLUMNS)) == len(COLUMNS)
    assert all(0 <= each.start <= each.end for each in completions(text, len(text), COLUMNS))
