"""The command `flips`: which test examples changed their prediction, and whether that is more than noise."""

import argparse
import csv
from io import StringIO
from pathlib import Path
from typing import Any

from core.analysis.prediction_flips import CHANGED, KINDS
from core.cli.tables import text_table, to_json
from core.errors import StudioError
from core.files import write_text
from core.history.flips import FlipPair, pair_between, pairs_within, predictions_of
from core.history.flips_text import HOLM, METHODS, by_class, otherwise_wrong, overview, square
from core.history.store import open_history


def tell_flips(options: argparse.Namespace) -> int:
    """The command `flips`.

    Raises:
        StudioError: if the runs kept no predictions, or did not judge the same examples.
    """
    if len(options.runs) > 2 and options.csv is not None:
        raise StudioError("--csv is for one comparison: name one run, or the baseline and another run.")
    with open_history(options.db) as store:
        records = [store.run(name) for name in options.runs]
        kept = [(record, predictions_of(record, store.artifacts(record.run_id))) for record in records]
    if len(kept) == 1:
        pairs = pairs_within(kept[0][1])
    else:
        pairs = tuple(pair_between(kept[0], other) for other in kept[1:])
    if options.csv is not None:
        write_text(Path(options.csv).expanduser(), _examples(pairs[0]))
    if options.json:
        print(to_json([_to_json(pair) for pair in pairs]))
        return 0
    told = [_told(pair) for pair in pairs]
    if len(pairs) > 1:
        told.append(f"{text_table(*overview(pairs), right=(1, 2, 3, 4, 5, 6))}\n\n{HOLM}")
    print("\n\n\n".join(told))
    print(f"\n{METHODS}")
    if options.csv is not None:
        print(f"\nEvery example that changed stands in {options.csv}.")
    return 0


def _told(pair: FlipPair) -> str:
    table = text_table(*square(pair), right=(1, 2))
    classes = text_table(*by_class(pair), right=(1, 2, 3, 4, 5))
    return "\n\n".join((pair.sentence, table, otherwise_wrong(pair), classes))


def _examples(pair: FlipPair) -> str:
    """Every example whose prediction changed, as CSV."""
    stream = StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        (
            "example",
            "kind",
            "true class",
            pair.first,
            f"{pair.first} confidence",
            pair.second,
            f"{pair.second} confidence",
        )
    )
    names = pair.predictions.class_names
    for place in pair.flips.indices(*CHANGED).tolist():
        row: list[Any] = [place, KINDS[pair.flips.kinds[place]], names[pair.predictions.labels[place]]]
        for answers in (pair.first_answers, pair.second_answers):
            row += [names[answers.predicted[place]], f"{answers.confidence[place]:.4g}"]
        writer.writerow(row)
    return stream.getvalue()


def _to_json(pair: FlipPair) -> dict[str, Any]:
    flips = pair.flips
    return {
        "first": pair.first,
        "second": pair.second,
        "sentence": pair.sentence,
        "examples": flips.count,
        "counts": dict(zip(KINDS, flips.counts, strict=True)),
        "accuracy": [flips.right_first / flips.count, flips.right_second / flips.count],
        "difference": flips.difference,
        "interval95": [flips.low, flips.high],
        "mcnemar_exact_p": flips.test.p,
        "changed": {kind: flips.indices(kind).tolist() for kind in CHANGED},
    }
