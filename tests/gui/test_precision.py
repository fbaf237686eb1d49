"""The column Bits filled from a measured sensitivity, by real clicks, with undo."""

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QPushButton, QSpinBox, QTableView, QWidget

from core.findings import Table, read_finding
from core.quantization.ranking import KIND, Ranking
from core.quantization.settings import QuantizeSettings, SensitivitySettings
from core.recipe import Recipe
from core.request import RunRequest
from core.steps import PruneSettings
from studio.controllers.precision import newest, told
from studio.jobs.background import Ticket
from studio.tables.layer_columns import NAME, PLAN

from .user import JOB_TIMEOUT, User


def own_bits(user: User) -> dict[str, int]:
    settings = user.studio.state.recipe.steps[0]
    assert isinstance(settings, QuantizeSettings)
    return settings.overrides


def column(user: User) -> dict[str, str]:
    model = user.see(QTableView, "layerTable").model()
    return {model.index(row, NAME).data(): model.index(row, PLAN).data() for row in range(model.rowCount())}


def type_keep(user: User, text: str) -> None:
    field = user.see(QSpinBox, "precisionKeep")
    field.selectAll()
    QTest.keyClicks(field, text)
    QTest.keyClick(field, Qt.Key.Key_Return)


def test_the_worst_layers_are_kept_as_they_were_measured(user: User) -> None:
    studio = user.studio
    parts, store = studio.parts, studio.store
    assert parts.recipe is not None
    assert store is not None
    studio.workspaces.compress()
    bar = user.window.findChild(QWidget, "precisionBar")
    assert not bar.isVisible()
    parts.recipe.add_step("quantize")
    user.until(bar.isVisible)
    fill = user.see(QPushButton, "precisionFill")
    text = user.see(QLabel, "precisionText")
    user.until(lambda: "No sensitivity of this model" in text.text())
    assert not fill.isEnabled()

    measure = user.see(QPushButton, "precisionMeasure")
    user.click(measure)
    assert not measure.isEnabled()
    assert "being measured" in text.text()
    user.until(fill.isEnabled, JOB_TIMEOUT)
    assert measure.isEnabled()
    run = store.runs()[0]
    assert text.text().endswith(f"run {run.number}, 8 bits")

    # Ranked by hand: the fewest right answers first, then the worst signal-to-noise ratio.
    (finding,) = store.findings(run.run_id, KIND)
    table = read_finding(finding.data)
    assert isinstance(table, Table)
    at_eight = [row for row in table.rows if row[1] == 8]
    ranked = [str(row[0]) for row in sorted(at_eight, key=lambda row: (row[2], row[5]))]  # type: ignore[arg-type, return-value]
    type_keep(user, "2")
    user.click(fill)
    assert own_bits(user) == dict.fromkeys(ranked[:2], 16)
    assert {name for name, bits in column(user).items() if bits == "16"} == set(ranked[:2])
    type_keep(user, "1")
    user.click(fill)
    assert own_bits(user) == {ranked[0]: 16}
    parts.undo_stack.undo()
    parts.undo_stack.undo()
    assert own_bits(user) == {}

    parts.recipe.add_step("fine-tune")
    user.until(lambda: not bar.isVisible())


def test_only_a_measurement_of_this_very_model_counts(user: User) -> None:
    studio = user.studio
    store, model = studio.store, studio.state.model
    assert store is not None
    assert model is not None
    assert newest(store, model, Ticket()) is None
    sensitivity = SensitivitySettings(mode="fast-proxy", bits=(4,), examples=16)
    requests = [
        RunRequest(Recipe(steps=steps), model.description.source, studio.state.task, measure_latency=False)
        for steps in ((PruneSettings(), sensitivity), (sensitivity,))
    ]
    for request, expected in zip(requests, (None, 4), strict=True):
        studio.parts.runs.submit(request)
        user.until(lambda: store.number_of(request.run_id) is not None and store.run(request.run_id).is_over)  # noqa: B023
        assert store.run(request.run_id).status == "finished"
        found = newest(store, model, Ticket())
        assert (None if found is None else found.rankings[0].bits) == expected
    assert found is not None
    assert not found.rankings[0].measured
    store.delete([requests[1].run_id])
    assert newest(store, model, Ticket()) is None


def test_it_is_told_how_layers_were_ranked() -> None:
    text, tip = told(Ranking(4, ("a", "b", "c", "d", "e"), False), 12, 4)
    assert text == "a, b, c and 1 more · run 12, 4 bits"
    assert "fast proxy" in tip
    assert tip.splitlines()[1:3] == ["1. a", "2. b"]
    assert told(Ranking(4, ("a",), True), 1, 0)[0].startswith("None kept")
