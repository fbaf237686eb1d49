"""Reports of runs and comparisons, and the scripts that repeat runs."""

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from core.cli import main
from core.events import Finding, MetricPoint
from core.findings import Table
from core.history.records import RunRecord
from core.history.store import HistoryStore, open_history
from core.report.blocks import Code, Grid, Heading, Paragraph, Picture, Report
from core.report.comparison_report import comparison_report
from core.report.gathering import GatheredRun, gather
from core.report.html import to_html
from core.report.run_report import run_report
from core.report.script import repeating_script
from core.request import RunRequest

from .history_samples import request, whole_run

EVIL = "<script>alert('&')</script>\"'"


class Page(HTMLParser):
    """What a browser would make of it: tags that were opened, text, attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "rect", "line", "circle", "polyline", "polygon"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def history(tmp_path: Path) -> HistoryStore:
    with open_history(tmp_path / "history.db") as store:
        yield store


def _run(store: HistoryStore, name: str = "", seed: int = 7) -> RunRequest:
    asked = request(name=name, seed=seed)
    store.add_run(asked)
    table = Table(
        (("layer", ""), ("accuracy", "%")), (("conv1", 97.5), (EVIL, None)), "On the validation split."
    )
    *work, end = whole_run(asked.run_id)
    curve = [MetricPoint(asked.run_id, 1, n / 4, n, "validation", "accuracy", n / 10, n) for n in range(1, 9)]
    store.record(
        [*work, *curve, Finding(asked.run_id, "sensitivity", "", "Sensitivity", table.to_data()), end]
    )
    return asked


def test_a_report_holds_every_figure_with_its_protocol(history: HistoryStore) -> None:
    asked = _run(history, EVIL)
    page = Page(to_html(run_report(gather(history, asked.run_id))))
    assert page.open == []
    for words in (
        "Run 1: " + EVIL,
        "94.00 % (92.35 to 95.30 %, n = 1,000)",
        "▼ −1.00 pp",
        "Accuracy: The 95 % interval of the difference includes zero: this may be chance.",
        "180 of 900",
        "900 B",
        "batch 1 · 2 threads · 3 warm-ups · 20 repetitions",
        "1,000 examples, with the 95 % Wilson interval",
        "The test split is small.",
        "Sensitivity",
        "97.5",
        "On the validation split.",
        "5" * 12,
        '"sparsity": 0.8',
        "a" * 64,
    ):
        assert words in page.text, words
    assert "script" not in page.tags
    assert page.tags.count("svg") >= 3


def test_a_report_needs_nothing_from_outside(history: HistoryStore) -> None:
    asked = _run(history)
    text = to_html(run_report(gather(history, asked.run_id)))
    page = Page(text)
    loading = {"src", "href", "srcset", "data", "action", "poster"}
    assert not [value for name, value in page.attributes if name in loading]
    assert not re.search(r"@import|url\(", text)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_a_comparison_puts_runs_side_by_side(history: HistoryStore) -> None:
    first, second = _run(history, "one", seed=1), _run(history, "two", seed=2)
    runs = [gather(history, asked.run_id) for asked in (first, second)]
    report = comparison_report(runs, baseline=1)
    page = Page(to_html(report))
    assert report.title == "Comparison of runs 1, 2"
    assert page.open == []
    for words in (
        "“one” is as large as “two” at the same accuracy (95 % interval of the difference",
        "Newcombe's 95 % interval of the difference of two shares (1998, method 10)",
        "Run 2 (baseline)",
        "Changes count from run 2.",
        "Accuracy against size",
        "run 1, validation",
    ):
        assert words in page.text, words
    differing = next(
        block for block in report.blocks if isinstance(block, Grid) and ("Seed", "1", "2") in block.rows
    )
    assert [row[0] for row in differing.rows] == ["Seed"]


def test_runs_that_did_little_can_be_reported(history: HistoryStore) -> None:
    queued = request()
    history.add_run(queued)
    run = gather(history, queued.run_id)
    assert Paragraph("Nothing was measured.") in run_report(run).blocks
    failed = replace(run, record=replace(run.record, status="failed", error="The loss became NaN."))
    assert Paragraph("The run failed: The loss became NaN.") in run_report(failed).blocks
    unknown = Finding(queued.run_id, "hologram", "", "Hologram", {"form": "hologram"})
    assert any(
        isinstance(block, Paragraph) and "does not know how to show" in block.text
        for block in run_report(replace(run, findings=(unknown,))).blocks
    )
    to_html(comparison_report([run, failed]))


def test_every_block_is_written_and_escaped() -> None:
    blocks = (
        Heading(EVIL, 3),
        Paragraph(EVIL, muted=True, preformatted=True),
        Grid(("", EVIL), ((EVIL,), (EVIL, "1")), frozenset({1})),
        Picture("<svg xmlns='http://www.w3.org/2000/svg'></svg>", EVIL),
        Code(EVIL),
    )
    page = Page(to_html(Report(EVIL, EVIL, blocks)))
    assert page.open == []
    assert page.text.count(EVIL) == 10
    assert "script" not in page.tags
    assert {("class", "muted pre"), ("class", "right"), ("colspan", "2")} <= set(page.attributes)


# -- scripts ---------------------------------------------------------------------------------------------------


def _recorded(store: HistoryStore, asked: RunRequest) -> RunRecord:
    return store.run(asked.run_id)


@pytest.mark.parametrize("name", [EVIL, '"""', "\\", "a\nb\\u0022", "größer", '"' * 7])
def test_no_name_breaks_out_of_a_script(history: HistoryStore, name: str) -> None:
    asked = _run(history, name)
    record = _recorded(history, asked)
    strange = replace(record, environment={name: name})
    recipe = asked.recipe.renamed(name)
    text = repeating_script(strange, replace(asked, recipe=recipe), "a" * 64)
    namespace: dict[str, object] = {"__name__": "script"}
    exec(compile(text, "script", "exec"), namespace)
    assert set(namespace) >= {"main", "RECIPE", "SOURCE", "TASK", "RECORDED"}
    assert "alert" not in namespace
    from core.recipe import recipe_from_json

    assert recipe_from_json(str(namespace["RECIPE"]), "script") == recipe
    assert namespace["RECORDED"]["model SHA-256"] == "a" * 64


def test_a_script_repeats_its_run_and_notices_when_something_else_comes_out(tmp_path: Path) -> None:
    database = tmp_path / "history.db"
    recipe = tmp_path / "r.json"
    recipe.write_text('{"name": "Prune", "steps": [{"step": "prune", "sparsity": 0.5}]}')
    arguments = ["--db", str(database)]
    assert main([*arguments, "run", str(recipe), "--threads", "1", "--no-latency", "--device", "cpu"]) == 0
    script = tmp_path / "repeat.py"
    assert main([*arguments, "script", "1", "--out", str(script)]) == 0
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "again")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "The same as recorded." in done.stdout
    script.write_text(script.read_text().replace('"sparsity": 0.5', '"sparsity": 0.6'))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Not the same as recorded" in done.stdout


# -- the command line ------------------------------------------------------------------------------------------


def test_the_command_line_writes_both_formats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_history(tmp_path / "history.db") as store:
        _run(store)
        _run(store, seed=8)
    arguments = ["--db", str(tmp_path / "history.db"), "report"]
    assert main([*arguments, "1", "2", "--out", str(tmp_path / "a.html")]) == 0
    assert "Comparison of runs 1, 2" in (tmp_path / "a.html").read_text()
    assert main([*arguments, "1", "--out", str(tmp_path / "a.pdf")]) == 0
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF-")
    assert (tmp_path / "a.pdf").read_bytes().rstrip().endswith(b"%%EOF")
    capsys.readouterr()
    assert main([*arguments, "1", "--out", str(tmp_path / "a.docx")]) == 2
    assert "must end in .html or .pdf" in capsys.readouterr().err
    assert main([*arguments, "99", "--out", str(tmp_path / "b.html")]) == 2
    assert "There is no run “99”" in capsys.readouterr().err
    assert not (tmp_path / "b.html").exists()
    assert main([*arguments, "1", "--out", str(tmp_path / "a.html" / "b.pdf")]) == 2
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix in (".html", ".pdf")) == [
        "a.html",
        "a.pdf",
    ]


def test_gathered_runs_are_told_apart_from_unknown_ones(history: HistoryStore) -> None:
    asked = _run(history)
    run = gather(history, "1")
    assert isinstance(run, GatheredRun)
    assert run.record.run_id == asked.run_id
    assert len(run.before) == 2
    assert len(run.findings) == 2
