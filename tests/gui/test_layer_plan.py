"""The plan of the selected step in the layer table: seen, typed into, undone."""

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit, QTableView

from core.pruning.structured_settings import PruneChannelsSettings
from core.quantization.settings import CodebookSettings, QuantizeSettings
from core.steps import FineTuneSettings, PruneSettings
from studio.controllers.layer_plan import bits_plan, sparsity_plan
from studio.tables.layer_columns import NAME, PLAN

from .user import User


def cells(user: User) -> dict[str, str]:
    table = user.see(QTableView, "layerTable")
    model = table.model()
    return {model.index(row, NAME).data(): model.index(row, PLAN).data() for row in range(model.rowCount())}


def type_into(user: User, row: int, text: str) -> None:
    """Double-click a cell of the plan, type, press Return."""
    table = user.see(QTableView, "layerTable")
    index = table.model().index(row, PLAN)
    table.scrollTo(index)
    place = table.visualRect(index).center()
    for press in (QTest.mouseClick, QTest.mouseDClick):
        press(table.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)
    user.until(lambda: bool(table.viewport().findChildren(QLineEdit)))
    field = table.viewport().findChildren(QLineEdit)[-1]
    field.selectAll()
    QTest.keyClick(field, Qt.Key.Key_Delete)
    QTest.keyClicks(field, text)
    QTest.keyClick(field, Qt.Key.Key_Return)
    user.until(lambda: not table.viewport().findChildren(QLineEdit))


def test_sparsity_is_planned_layer_by_layer(user: User) -> None:
    state, parts = user.studio.state, user.studio.parts
    recipe = parts.recipe
    assert recipe is not None
    table = user.see(QTableView, "layerTable")
    assert table.isColumnHidden(PLAN)
    user.studio.workspaces.compress()
    recipe.add_step("prune")
    user.until(lambda: not table.isColumnHidden(PLAN))
    user.until(lambda: "…" not in cells(user).values())
    before = cells(user)
    assert before["fc1"].endswith("%")

    type_into(user, 3, "95")
    (step,) = state.recipe.steps
    assert isinstance(step, PruneSettings)
    assert step.overrides == {"fc1": 0.95}
    assert cells(user)["fc1"] == "95 %"
    user.until(lambda: cells(user)["conv3"] not in ("…", before["conv3"]))  # the others follow the step
    type_into(user, 0, "keep")
    (step,) = state.recipe.steps
    assert step.exclude == ("conv1",)
    type_into(user, 3, "")
    (step,) = state.recipe.steps
    assert step.overrides == {}
    parts.undo_stack.undo()
    parts.undo_stack.undo()
    (step,) = state.recipe.steps
    assert (step.overrides, step.exclude) == ({"fc1": 0.95}, ())

    with user.qtbot.waitSignal(state.problem) as refused:
        type_into(user, 2, "130")
    assert "no plan for a layer" in refused.args[0].message
    assert state.recipe.steps == (step,)

    # What has been typed outlives figures that come in meanwhile.
    table.edit(table.model().index(4, PLAN))
    field = table.viewport().findChildren(QLineEdit)[-1]
    QTest.keyClicks(field, "7")
    table.model().dataChanged.emit(table.model().index(0, 0), table.model().index(4, PLAN))
    assert field.text() == "7"
    QTest.keyClick(field, Qt.Key.Key_Escape)
    user.until(lambda: not table.viewport().findChildren(QLineEdit))

    # One of several selected layers stands for all of them.
    state.set_layers(("conv1", "conv2", "conv3"))
    table.edit(table.model().index(1, PLAN))
    field = table.viewport().findChildren(QLineEdit)[-1]
    field.selectAll()
    QTest.keyClicks(field, "60 %")
    QTest.keyClick(field, Qt.Key.Key_Return)
    user.until(lambda: not table.viewport().findChildren(QLineEdit))
    (step,) = state.recipe.steps
    assert {name: step.overrides.get(name) for name in ("conv1", "conv2", "conv3")} == dict.fromkeys(
        ("conv1", "conv2", "conv3"), 0.6
    )


def test_bits_and_channels_have_their_columns_too(user: User) -> None:
    state, parts = user.studio.state, user.studio.parts
    recipe = parts.recipe
    assert recipe is not None
    table = user.see(QTableView, "layerTable")
    user.studio.workspaces.compress()
    recipe.add_step("quantize")
    user.until(lambda: set(cells(user).values()) == {"8"})
    type_into(user, 4, "4")
    (step,) = state.recipe.steps
    assert isinstance(step, QuantizeSettings)
    assert step.overrides == {"fc2": 4}
    assert cells(user)["fc2"] == "4"
    title = table.model().headerData(PLAN, Qt.Orientation.Horizontal)
    assert title == "Bits"

    recipe.add_step("prune-channels")
    user.until(lambda: cells(user)["fc2"] == "stays", 30_000)
    going = cells(user)
    assert going["conv3"].startswith("−")
    assert going["conv3"].endswith("/64")
    tip = table.model().index(4, PLAN).data(Qt.ItemDataRole.ToolTipRole)
    assert "the network's own" in tip
    assert not table.model().flags(table.model().index(2, PLAN)) & Qt.ItemFlag.ItemIsEditable

    recipe.add_step("fine-tune")
    assert table.isColumnHidden(PLAN)
    assert [type(step) for step in state.recipe.steps] == [
        QuantizeSettings,
        PruneChannelsSettings,
        FineTuneSettings,
    ]


def test_shared_values_are_planned_too(user: User) -> None:
    state, parts = user.studio.state, user.studio.parts
    recipe = parts.recipe
    assert recipe is not None
    table = user.see(QTableView, "layerTable")
    user.studio.workspaces.compress()
    recipe.add_step("codebook")
    user.until(lambda: set(cells(user).values()) == {"5"})
    type_into(user, 3, "3")
    type_into(user, 0, "keep")
    (step,) = state.recipe.steps
    assert isinstance(step, CodebookSettings)
    assert (step.overrides, step.exclude) == ({"fc1": 3}, ("conv1",))
    assert (cells(user)["fc1"], cells(user)["conv1"]) == ("3", "keep")
    tip = table.model().index(3, PLAN).data(Qt.ItemDataRole.ToolTipRole)
    assert tip.startswith("3 bits: 7 shared values beside zero.")
    with user.qtbot.waitSignal(state.problem) as refused:
        type_into(user, 3, "16")
    assert "1 to 8 bits" in refused.args[0].message
    type_into(user, 0, "")
    (step,) = state.recipe.steps
    assert isinstance(step, CodebookSettings)
    assert step.exclude == ()
    parts.undo_stack.undo()
    (step,) = state.recipe.steps
    assert isinstance(step, CodebookSettings)
    assert step.exclude == ("conv1",)


def test_patterns_count_as_the_steps_count_them(user: User) -> None:
    model = user.studio.state.model
    assert model is not None
    layers = model.description.layers
    bits = bits_plan(QuantizeSettings(bits=8, overrides={"conv*": 4, "fc1": 32}, exclude=("conv3",)), layers)
    assert {name: cell.text for name, cell in bits.cells.items()} == {
        "conv1": "4",
        "conv2": "4",
        "conv3": "32",
        "fc1": "32",
        "fc2": "8",
    }
    plan = sparsity_plan(
        PruneSettings(overrides={"fc*": 0.5, "fc1": 0.125}, exclude=("conv1",)), layers, None
    )
    shown = {name: cell.text for name, cell in plan.cells.items()}
    assert shown == {"conv1": "keep", "conv2": "…", "conv3": "…", "fc1": "12.5 %", "fc2": "50 %"}
    assert [cell.own for cell in plan.cells.values()] == [True, False, False, True, True]
