"""The form: any settings class, words for what is wrong, and nothing invalid ever let go."""

from typing import Any, ClassVar, Literal

import pytest
from pydantic import Field
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QCheckBox, QComboBox, QLabel, QLineEdit, QToolButton, QWidget

from core.steps import FineTuneSettings, LayerPattern, PruneSettings, Sparsity, StepSettings
from studio.views.number_box import NumberBox, NumberFormat
from studio.views.setting_kinds import settings_of
from studio.views.settings_form import SettingsForm


class OddSettings(StepSettings):
    """A step that the studio has never seen, with a field of every kind."""

    title: ClassVar[str] = "Odd"

    step: Literal["odd"] = "odd"
    mode: Literal["fast", "very-slow"] = Field(default="fast", title="Mode", description="How fast.")
    clip: bool = Field(default=False, title="Clip", description="Whether.")
    rate: float = Field(default=1e-4, gt=0, le=1, title="Rate", description="How much.")
    share: float = Field(
        default=0.25, gt=0, le=1, title="Share", description="Of all.", json_schema_extra={"percent": True}
    )
    rounds: int = Field(default=3, ge=1, le=9, title="Rounds", json_schema_extra={"unit": "times"})
    batch: int = Field(default=32, ge=1, title="Batch")
    note: str = Field(default="x", min_length=1, title="Note")
    limit: float | None = Field(default=None, ge=0, title="Limit")
    budgets: dict[LayerPattern, Sparsity] = Field(
        default_factory=dict, title="Budgets", json_schema_extra={"layers": True, "percent": True}
    )
    skip: tuple[LayerPattern, ...] = Field(default=(), title="Skip", json_schema_extra={"layers": True})
    bits: tuple[int, ...] = Field(default=(8, 4), title="Bits")
    window: tuple[float, float] = Field(default=(0.0, 1.0), title="Window")
    unexplained: int = 5
    depth: int = Field(default=2, ge=0, title="Depth", json_schema_extra={"advanced": True})

    def summary(self) -> str:
        return "odd"


@pytest.fixture
def form(qtbot):
    made = SettingsForm()
    qtbot.addWidget(made)
    made.edits = []
    made.problems = []
    made.edited.connect(made.edits.append)
    made.invalid.connect(made.problems.append)
    made.resize(320, 900)
    made.show_layer_names(["conv1", "layer1.conv2", "fc"])
    made.show()
    return made


def part(form: QWidget, kind: type, name: str) -> Any:
    found = form.findChild(kind, name)
    assert found is not None, name
    return found


def retype(box: QWidget, text: str) -> None:
    edit = box.lineEdit() if isinstance(box, NumberBox) else box
    edit.setFocus()
    edit.selectAll()
    QTest.keyClicks(edit, text)


def error_of(form: QWidget, name: str) -> str:
    label = part(form, QLabel, f"error_{name}")
    return label.text() if not label.isHidden() else ""


def test_kinds_of_a_class_never_seen_before():
    kinds = {setting.name: setting.kind for setting in settings_of(OddSettings)}
    assert kinds == {
        "mode": "choice",
        "clip": "switch",
        "rate": "number",
        "share": "number",
        "rounds": "number",
        "batch": "number",
        "note": "text",
        "limit": "number",
        "budgets": "numbers by name",
        "skip": "texts",
        "bits": "number list",
        "window": "json",
        "unexplained": "number",
        "depth": "number",
    }


def test_every_field_has_a_title_and_a_tooltip_and_every_control_a_name(form):
    for settings in (
        OddSettings(),
        PruneSettings(exclude=("fc",), overrides={"conv1": 0.5}),
        FineTuneSettings(),
    ):
        form.show_settings(settings)
        for setting in settings_of(type(settings)):
            title = part(form, QLabel, f"title_{setting.name}")
            assert title.text() == setting.title
            assert title.toolTip() == setting.description
        for kind in (QComboBox, QCheckBox, NumberBox, QToolButton):
            for widget in form.findChildren(kind):
                assert widget.accessibleName(), widget.objectName()
        for edit in form.findChildren(QLineEdit):
            assert edit.accessibleName() or isinstance(edit.parent(), NumberBox), edit.objectName()


def test_fields_that_mean_nothing_beside_the_others_are_hidden(form):
    form.show_settings(PruneSettings())

    def shown(name: str) -> bool:
        return not part(form, QLabel, f"title_{name}").isHidden()

    assert [shown(name) for name in ("sparsity", "curvature", "examples", "keep_n")] == [
        True,
        False,
        False,
        False,
    ]
    criterion = part(form, QComboBox, "choice_criterion")
    criterion.setCurrentIndex(3)
    assert form.edits[-1].criterion == "obd"
    assert [shown(name) for name in ("sparsity", "curvature", "examples", "keep_n")] == [
        True,
        True,
        True,
        False,
    ]
    granularity = part(form, QComboBox, "choice_granularity")
    granularity.setCurrentIndex(1)
    assert [shown(name) for name in ("sparsity", "scope", "keep_n", "group_m")] == [False, False, True, True]
    form.show_settings(PruneSettings(granularity="blocks"), 1)
    assert [shown(name) for name in ("sparsity", "block", "keep_n", "curvature")] == [
        True,
        True,
        False,
        False,
    ]


def test_each_kind_of_field_can_be_edited(form):
    form.show_settings(OddSettings())
    part(form, QComboBox, "choice_mode").setCurrentIndex(1)
    QTest.mouseClick(part(form, QCheckBox, "switch_clip"), Qt.MouseButton.LeftButton, pos=QPoint(8, 8))
    retype(part(form, NumberBox, "number_rate"), "0.03")
    retype(part(form, NumberBox, "number_share"), "12.5")
    retype(part(form, NumberBox, "number_rounds"), "7")
    retype(part(form, QLineEdit, "text_note"), "seen")
    QTest.mouseClick(part(form, QCheckBox, "given_limit"), Qt.MouseButton.LeftButton, pos=QPoint(8, 8))
    retype(part(form, NumberBox, "number_limit"), "2.5")
    QTest.mouseClick(part(form, QToolButton, "add_budgets"), Qt.MouseButton.LeftButton)
    QTest.mouseClick(part(form, QToolButton, "add_skip"), Qt.MouseButton.LeftButton)
    retype(part(form, QLineEdit, "text_bits"), "8, 6 3")
    retype(part(form, QLineEdit, "text_window"), "[0.5, 0.75]")
    QTest.mouseClick(part(form, QToolButton, "advancedFold"), Qt.MouseButton.LeftButton)
    retype(part(form, NumberBox, "number_depth"), "0")
    assert form.edits[-1] == OddSettings(
        mode="very-slow",
        clip=True,
        rate=0.03,
        share=0.125,
        rounds=7,
        note="seen",
        limit=2.5,
        budgets={"conv1": 0.5},
        skip=("conv1",),
        bits=(8, 6, 3),
        window=(0.5, 0.75),
        depth=0,
    )
    assert form.problem is None


@pytest.mark.parametrize(
    ("kind", "name", "text", "words"),
    [
        (NumberBox, "rate", "0", "Must be above 0 and at most 1, not 0."),
        (NumberBox, "rate", "fast", "Must be a number."),
        (NumberBox, "share", "150", "Must be above 0 % and at most 100 %, not 150 %."),
        (NumberBox, "rounds", "12", "Must be at least 1 and at most 9, not 12."),
        (NumberBox, "rounds", "2.5", "a whole number"),
        (NumberBox, "rounds", "1e999999", "must be"),
        (NumberBox, "batch", "nan", "Must be a whole number."),
        (QLineEdit, "bits", "8 x", "“x” is none"),
        (QLineEdit, "bits", "8 2.5", "a whole number"),
        (QLineEdit, "window", "[1,", "Must be written as JSON"),
        (QLineEdit, "window", "[1]", "is missing"),
    ],
)
def test_what_is_wrong_is_said_beside_the_field_and_nothing_is_let_go(form, kind, name, text, words):
    form.show_settings(OddSettings())
    prefix = "number" if kind is NumberBox else "text"
    box = part(form, kind, f"{prefix}_{name}")
    edit = box.lineEdit() if kind is NumberBox else box
    # In one go, so that no valid number is passed through on the way.
    edit.setText(text)
    edit.textEdited.emit(text)
    assert words.lower() in error_of(form, name).lower()
    assert form.edits == []
    title = part(form, QLabel, f"title_{name}").text()
    assert form.problems[-1].startswith(title)
    good = OddSettings().rate if name == "rate" else None
    edit.setText("0.5" if good else "1" if kind is NumberBox else {"bits": "2", "window": "[1, 2]"}[name])
    edit.textEdited.emit(edit.text())
    assert error_of(form, name) == ""
    assert form.problems[-1] is None
    assert len(form.edits) == 1


def test_an_emptied_text_is_refused_in_words(form):
    form.show_settings(OddSettings())
    edit = part(form, QLineEdit, "text_note")
    edit.setFocus()
    edit.selectAll()
    QTest.keyClick(edit, Qt.Key.Key_Delete)
    assert "at least 1 character" in error_of(form, "note")
    assert not form.edits


def test_two_wrong_fields_are_both_named_and_both_must_be_put_right(form):
    form.show_settings(OddSettings())
    retype(part(form, NumberBox, "number_rounds"), "0")
    retype(part(form, NumberBox, "number_rate"), "7")
    assert error_of(form, "rounds")
    assert error_of(form, "rate")
    form.edits.clear()
    retype(part(form, NumberBox, "number_rate"), "1")
    assert not form.edits
    assert error_of(form, "rounds")
    retype(part(form, NumberBox, "number_rounds"), "2")
    assert form.edits[-1] == OddSettings(rate=1, rounds=2)


def test_an_advanced_field_that_is_wrong_unfolds(form):
    form.show_settings(OddSettings())
    box = part(form, NumberBox, "number_depth")
    assert not box.isVisible()
    box.lineEdit().textEdited.emit("-1")
    assert box.isVisible()
    assert error_of(form, "depth")


def test_layers_are_added_changed_and_removed(form):
    form.show_settings(PruneSettings())
    QTest.mouseClick(part(form, QToolButton, "add_overrides"), Qt.MouseButton.LeftButton)
    QTest.mouseClick(part(form, QToolButton, "add_overrides"), Qt.MouseButton.LeftButton)
    assert form.edits[-1].overrides == {"conv1": 0.5, "layer1.conv2": 0.5}
    rows = form.findChildren(QWidget, "entryRow")
    retype(part(rows[1], QLineEdit, "entryText"), "fc")
    retype(part(rows[1], NumberBox, "entryNumber"), "30")
    assert form.edits[-1].overrides == {"conv1": 0.5, "fc": 0.3}
    retype(part(rows[1], QLineEdit, "entryText"), "conv1")
    assert "twice" in error_of(form, "overrides")
    retype(part(rows[1], NumberBox, "entryNumber"), "x")
    part(rows[1], QLineEdit, "entryText").clear()
    rows[1].changed.emit()
    assert "needs a layer name" in error_of(form, "overrides")
    QTest.mouseClick(part(rows[0], QToolButton, "entryRemove"), Qt.MouseButton.LeftButton)
    QTest.mouseClick(part(rows[1], QToolButton, "entryRemove"), Qt.MouseButton.LeftButton)
    assert form.edits[-1].overrides == {}
    assert error_of(form, "overrides") == ""


def test_layer_names_are_completed(form):
    form.show_settings(PruneSettings(exclude=("fc",)))
    edit = part(form, QLineEdit, "entryText")
    retype(edit, "conv2")
    completer = edit.completer()
    assert completer.completionCount() == 1
    completer.activated.emit(completer.currentCompletion())
    assert completer.currentCompletion() == "layer1.conv2"


def test_settings_from_outside_are_shown_without_an_echo(form):
    form.show_settings(PruneSettings(), 0)
    form.show_settings(PruneSettings(sparsity=0.123, exclude=("a", "b"), overrides={"c": 0.1}), 0)
    assert part(form, NumberBox, "number_sparsity").value == 0.123
    assert [edit.text() for edit in form.findChildren(QLineEdit, "entryText")] == [
        "c",
        "a",
        "b",
    ]
    form.show_settings(FineTuneSettings(epochs=7), 1)
    assert part(form, NumberBox, "number_epochs").value == 7
    form.show_settings(None)
    assert not form.findChildren(NumberBox) or not any(
        box.isVisible() for box in form.findChildren(NumberBox)
    )
    assert form.edits == []


def test_half_typed_text_survives_until_another_step_is_shown(form):
    form.show_settings(OddSettings(), 0)
    box = part(form, NumberBox, "number_rounds")
    retype(box, "99")
    form.show_settings(OddSettings(rounds=9), 0)
    assert box.lineEdit().text() == "99"
    form.show_settings(OddSettings(), 1)
    assert box.value == 3
    assert form.problem is None


def test_the_slider_follows_the_pointer_and_the_keys(form):
    form.show_settings(PruneSettings(sparsity=0.5))
    slider = part(form, QWidget, "slider_sparsity")
    QTest.mouseClick(slider, Qt.MouseButton.LeftButton, pos=QPoint(slider.width() - 2, slider.height() // 2))
    assert form.edits[-1].sparsity > 0.95
    form.edits.clear()
    slider.setFocus()
    QTest.keyClick(slider, Qt.Key.Key_Home)
    assert form.edits[-1].sparsity == 0
    QTest.keyClick(slider, Qt.Key.Key_Right)
    assert form.edits[-1].sparsity == 0.01
    QTest.keyClick(slider, Qt.Key.Key_End)
    assert form.edits[-1].sparsity == 0.999


@pytest.mark.parametrize(
    ("form_of", "value", "steps", "expected"),
    [
        (NumberFormat(stepping="one-two-five", minimum=0, minimum_excluded=True), 1e-3, 1, 2e-3),
        (NumberFormat(stepping="one-two-five", minimum=0, minimum_excluded=True), 1e-3, -1, 5e-4),
        (NumberFormat(stepping="one-two-five", minimum=0, minimum_excluded=True), 3e-3, 2, 1e-2),
        (NumberFormat(stepping="one-two-five", minimum=0, minimum_excluded=True), 1e-5, -1, 1e-5),
        (NumberFormat(stepping="one-two-five", minimum=0), 1e-5, -1, 0),
        (NumberFormat(stepping="one-two-five", minimum=0), 0, 1, 1e-5),
        (NumberFormat(stepping="one-two-five", maximum=10), 5, 3, 10),
        (NumberFormat(whole=True, stepping="double", minimum=1), 64, 1, 128),
        (NumberFormat(whole=True, stepping="double", minimum=1), 1, -1, 1),
        (NumberFormat(percent=True, step=0.01, maximum=1, maximum_excluded=True), 0.995, 1, 0.995),
        (NumberFormat(percent=True, step=0.01, minimum=0), 0.005, -1, 0),
        (NumberFormat(step=0.01, minimum=0, maximum=1), 0.28, 1, 0.29),
    ],
)
def test_arrows_take_sensible_steps_within_the_bounds(form_of, value, steps, expected):
    assert form_of.stepped(value, steps) == expected


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-5, 5e-4, 2.5e-7, 0.987654321, 1e12, 0.0, 123.0])
@pytest.mark.parametrize("percent", [False, True])
def test_numbers_are_shown_without_loss(value, percent):
    form = NumberFormat(percent=percent, unit="" if percent else "epochs")
    assert form.read(form.show(value)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("1,000", 1000), ("−3", -3), ("5e-4", 5e-4), ("1,00", None), ("", None), ("inf", None)],
)
def test_numbers_are_read_as_people_write_them(text, value):
    assert NumberFormat().read(text) == value


def test_a_number_box_goes_up_with_the_arrow_key(qtbot, form):
    form.show_settings(FineTuneSettings())
    box = part(form, NumberBox, "number_learning_rate")
    box.setFocus()
    QTest.keyClick(box, Qt.Key.Key_Up)
    assert form.edits[-1].learning_rate == 0.002
    assert box.lineEdit().text() == "0.002"
    QTest.keyClick(box, Qt.Key.Key_Down)
    QTest.keyClick(box, Qt.Key.Key_Down)
    assert form.edits[-1].learning_rate == 0.0005
    assert box.lineEdit().text() == "5e-4"
