"""The commands `report` and `script`: a run or a comparison for others to read, and to repeat."""

import argparse
from pathlib import Path

from core.errors import StudioError
from core.files import write_text
from core.history.store import open_history
from core.report.blocks import Report

FORMATS = (".html", ".pdf")


def write_report(options: argparse.Namespace) -> int:
    """The command `report`."""
    out = Path(options.out).expanduser()
    if out.suffix.lower() not in FORMATS:
        raise StudioError(f"{out.name} must end in .html or .pdf: that says how the report is written.")
    from core.report.gathering import gather

    with open_history(options.db) as store:
        runs = [gather(store, name) for name in dict.fromkeys(options.runs)]
    report: Report
    if len(runs) == 1:
        from core.report.run_report import run_report

        report = run_report(runs[0])
    else:
        from core.report.comparison_report import comparison_report

        report = comparison_report(runs)
    if out.suffix.lower() == ".pdf":
        from core.cli import write_pdf

        write_pdf(report, out)
    else:
        from core.report.html import to_html

        write_text(out, to_html(report))
    print(f"Wrote {out}: {report.title}.")
    return 0


def write_script(options: argparse.Namespace) -> int:
    """The command `script`."""
    from core.report.script import repeating_script

    with open_history(options.db) as store:
        record = store.run(options.run)
        saved = [artifact.sha256 for artifact in store.artifacts(record.run_id) if artifact.kind == "model"]
        text = repeating_script(record, store.request_of(record.run_id), saved[-1] if saved else None)
    if options.out is None:
        print(text, end="")
    else:
        out = Path(options.out).expanduser()
        write_text(out, text)
        print(f"Wrote {out}: python {out.name} repeats run {record.number} and compares what comes out.")
    return 0
