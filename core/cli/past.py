"""The commands `history` and `compare`."""

import argparse
from datetime import datetime

from core import formatting
from core.cli.tables import text_table, to_json
from core.errors import StudioError
from core.history.records import RunRecord
from core.history.run_lists import record_to_json, records_csv
from core.history.store import HistoryStore, open_history
from core.measurement.records import Measurement


def list_history(options: argparse.Namespace) -> int:
    """The command `history`."""
    text = " ".join(options.search)
    with open_history(options.db) as store:
        records = _found(store, text) if text.strip() else store.runs()
        place = store.place
    if options.limit is not None:
        records = records[: options.limit]
    if options.json:
        print(to_json([record_to_json(record) for record in records]))
    elif options.csv:
        print(records_csv(records), end="")
    elif not records and text.strip():
        print(f"No run in {place} meets “{text}”.")
    elif not records:
        print(f"No runs yet in {place}. Start one with: compression-studio run prune-80-and-fine-tune")
    else:
        headers = (
            "Run",
            "Name",
            "Status",
            "Started",
            "Model",
            "Task",
            "Steps",
            "Accuracy",
            "Sparsity",
            "Packed",
            "Took",
        )
        print(text_table(headers, [_row(record) for record in records], right=(0, 7, 8, 9, 10)))
    return 0


def _found(store: HistoryStore, text: str) -> list[RunRecord]:
    from core.history.query import parse_query, search

    query = parse_query(text)
    columns = store.with_fields(store.columns(), query.fields)
    rows = search(columns, query).nonzero()[0][::-1]
    return store.runs_named([columns.run_ids[row] for row in rows])


def compare(options: argparse.Namespace) -> int:
    """The command `compare`."""
    if len(options.runs) < 2:
        raise StudioError("A comparison needs two runs or more: name another one.")
    from core.history.compare import compare_table
    from core.history.flips import paired_differences
    from core.history.verdict import verdict

    with open_history(options.db) as store:
        records = [store.run(name) for name in options.runs]
        found = verdict(records, paired=paired_differences(store.artifacts))
    table = compare_table(records)
    if options.json:
        data = table.to_json(only_differing=options.differences)
        print(to_json({"finding": None if found is None else found.text, **data}))
        return 0
    if found is not None:
        print(f"{found.text}\n")
    lines: list[tuple[str, ...]] = []
    group = ""
    for row in table.differing() if options.differences else table.rows:
        if row.group != group:
            group = row.group
            lines.append((group, *([""] * (len(records) + 1))))
        cells = (
            f"{text}  {difference}".rstrip()
            for text, difference in zip(row.texts, row.differences, strict=True)
        )
        lines.append((f"  {row.label}", "≠" if row.differs else "", *cells))
    headers = ("", "", *(f"Run {record.number}" for record in records))
    print(text_table(headers, lines))
    if any(row.differs for row in table.rows):
        print("≠ marks what differs; changes count from the first run.")
    return 0


def _row(record: RunRecord) -> tuple[str, ...]:
    after, before = record.after, record.before
    took = None if record.started is None or record.ended is None else record.ended - record.started
    moment = record.started or record.created
    return (
        str(record.number),
        record.name,
        record.status + (" early" if record.stopped_early else ""),
        datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M"),
        record.source_title,
        record.task_title or formatting.NOT_MEASURED,
        record.method,
        _accuracies(before, after),
        formatting.percent(after.sparsity) if after is not None else formatting.NOT_MEASURED,
        formatting.data_size(None if after is None else after.packed_bytes),
        formatting.duration(took),
    )


def _accuracies(before: Measurement | None, after: Measurement | None) -> str:
    shown = [
        formatting.percent(measurement.accuracy.value)
        for measurement in (before, after)
        if measurement is not None and measurement.accuracy is not None
    ]
    return " → ".join(shown) or formatting.NOT_MEASURED
