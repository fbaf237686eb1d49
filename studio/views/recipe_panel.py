"""RecipePanel: the recipe's steps, the form of the selected one, what it would do, and Run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal
from PySide6.QtGui import QAction, QFocusEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.recipe import Recipe
from core.registry import StepDefinition
from core.steps import StepSettings
from studio import icons, theme
from studio.views.notice import PanelNotice
from studio.views.number_box import NumberBox, NumberFormat
from studio.views.settings_form import SettingsForm
from studio.views.step_list import StepList, StepRow
from studio.views.undo_passing import UndoPassing

MOST_SEED = 2**32 - 1
MOST_TRIALS = 100
_LEAST_FORM = 120
"""Pixels of the form that must be in sight where it scrolls by itself."""


@dataclass(frozen=True)
class RecipeShown:
    """Everything that the panel shows, except for the preview.

    Attributes:
        notes: for fields of the selected step that hold valid values which do not fit the model.
        obstacle: why the recipe cannot run now, as one sentence; nothing if it can.
    """

    name: str = ""
    rows: tuple[StepRow, ...] = ()
    selected: int | None = None
    settings: StepSettings | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    obstacle: str = ""


class RecipePanel(QWidget):
    """Layout and intents of the recipe; it decides nothing."""

    name_edited = Signal(object)  # str, never empty
    step_selected = Signal(object)  # int
    step_edited = Signal(object)  # StepSettings, valid
    edit_settled = Signal()  # the next edit is another undo step
    form_problem_changed = Signal(object)  # str | None: what is wrong with the text in the form
    add_requested = Signal(object)  # str: kind of step
    remove_requested = Signal()
    duplicate_requested = Signal()
    move_up_requested = Signal()
    move_down_requested = Signal()
    presets_wanted = Signal()  # the menu of presets is about to open
    preset_requested = Signal(object)  # Recipe
    start_requested = Signal()  # the empty panel's button
    open_requested = Signal()
    save_requested = Signal()
    seed_edited = Signal(object)  # int, or None while no valid seed stands there
    run_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("recipePanel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._shown = RecipeShown()
        upper = QWidget()
        column = QVBoxLayout(upper)
        column.setContentsMargins(0, theme.SPACE, 0, 0)
        column.setSpacing(theme.SPACE)
        column.addLayout(self._make_header())
        column.addWidget(self._make_steps())
        column.addLayout(self._make_step_buttons())
        column.addWidget(_rule())
        column.addWidget(self._make_form(), 1)
        column.addWidget(self.notice, 1)
        self._upper, self._upper_scroll = upper, _scrolling("recipeScroll", upper)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, theme.SPACE)
        layout.setSpacing(theme.SPACE)
        # Usually only the form scrolls. Where the dock is very low all of it does, so that Run stays in sight.
        layout.addWidget(self._upper_scroll, 1)
        layout.addWidget(_rule())
        layout.addLayout(self._make_footer())
        self._upper_scroll.viewport().installEventFilter(self)
        self.show_recipe(RecipeShown())
        self.show_preview("", "")

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Resize, QEvent.Type.LayoutRequest):
            self._scroll_one()
        return super().eventFilter(watched, event)

    def _scroll_one(self) -> None:
        """Let either the form scroll or all that is above Run, so that two bars never stand side by side."""
        # Width for height: explanations in the form are wrapped.
        width = self._form_scroll.viewport().width()
        whole = self._form.heightForWidth(width) if self._form.hasHeightForWidth() else -1
        whole = max(whole, self._form.minimumSizeHint().height())
        others = self._upper.minimumSizeHint().height() - self._form_scroll.minimumHeight()
        low = others + min(whole, _LEAST_FORM) > self._upper_scroll.viewport().height()
        least = whole if low else _LEAST_FORM
        if least != self._form_scroll.minimumHeight():
            self._form_scroll.setMinimumHeight(least)

    def minimumSizeHint(self) -> QSize:
        return QSize(280, super().minimumSizeHint().height())

    # -- what is shown -----------------------------------------------------------------------------------------

    def show_recipe(self, shown: RecipeShown) -> None:
        """Show a recipe; what the user is typing right now is left alone if it says the same."""
        self._shown = shown
        if self._name.text() != shown.name and not (self._name.hasFocus() and not self._name.text()):
            self._name.setText(shown.name)
            self._name.setToolTip(f"{shown.name}\nThe recipe's name; runs are called after it.")
            if not self._name.hasFocus():
                self._name.setCursorPosition(0)
        self._name_error.setVisible(not self._name.text() and bool(shown.name))
        self._steps.show_rows(shown.rows, shown.selected)
        self._form.show_settings(shown.settings, shown.selected)
        self._form.show_notes(shown.notes)
        if shown.rows:
            self.notice.clear()
        else:
            self.notice.show_empty(
                "The recipe has no steps yet. Add one above, or start from a preset.", "Start from a preset"
            )
        if shown.selected is not None and shown.settings is not None:
            self._form_title.setText(f"Step {shown.selected + 1}: {shown.rows[shown.selected].title}")
        chosen = shown.selected is not None
        self._remove.setEnabled(chosen)
        self._duplicate.setEnabled(chosen)
        self._up.setEnabled(shown.selected is not None and shown.selected > 0)
        self._down.setEnabled(shown.selected is not None and shown.selected < len(shown.rows) - 1)
        self._run.setEnabled(not shown.obstacle)
        self._run.setToolTip(shown.obstacle or "Run this recipe on the open model (Ctrl+R).")
        self._obstacle.setText(shown.obstacle)
        self._obstacle.setVisible(bool(shown.obstacle))

    def show_preview(self, text: str, warning: str) -> None:
        """Say what the selected prune step would do, and what would go wrong."""
        self._preview.setText(text)
        self._preview.setVisible(bool(text))
        self._warning.setText(warning)
        self._warning.setVisible(bool(warning))

    def show_layer_names(self, names: Sequence[str]) -> None:
        """Names that the form offers where a setting speaks of layers."""
        self._form.show_layer_names(names)

    def show_presets(self, presets: Sequence[Recipe]) -> None:
        """Fill the menu of presets."""
        self._presets_menu.clear()
        for preset in presets:
            action = self._presets_menu.addAction(preset.name)
            action.setToolTip(preset.description)
            action.setStatusTip(preset.description)
            action.setData(preset)

    def show_seed(self, seed: int) -> None:
        """Show the seed of the next run."""
        self._seed.set_value(seed)

    @property
    def trials(self) -> int:
        """How many runs with consecutive seeds are wanted."""
        return self._trials.value()

    def show_step_kinds(self, definitions: Sequence[StepDefinition]) -> None:
        """Fill the menu of steps that can be added."""
        self._add_menu.clear()
        for definition in definitions:
            action = self._add_menu.addAction(definition.settings.title)
            action.setToolTip(_first_line(definition.settings))
            action.setData(definition.kind)

    # -- making it ---------------------------------------------------------------------------------------------

    def _make_header(self) -> QVBoxLayout:
        self._name = _NameEdit()
        self._name.setObjectName("recipeName")
        self._name.setMaxLength(200)
        self._name.setAccessibleName("Recipe name")
        self._name.setToolTip("The recipe's name; runs are called after it.")
        UndoPassing(self._name)
        self._name.textEdited.connect(self._name_typed)
        self._name.left.connect(self._name_left)
        self._presets_menu = QMenu(self)
        self._presets_menu.setObjectName("presetsMenu")
        self._presets_menu.setToolTipsVisible(True)
        self._presets_menu.aboutToShow.connect(self.presets_wanted)
        self._presets_menu.triggered.connect(self._preset_chosen)
        presets = _button(
            "presetsButton", "", "Presets", "Replace the recipe by one that ships with the studio."
        )
        presets.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        presets.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        presets.setMenu(self._presets_menu)
        opener = _button("openRecipeButton", "open", "Open recipe", "Open a recipe file.")
        opener.clicked.connect(self.open_requested)
        saver = _button("saveRecipeButton", "save", "Save recipe", "Save the recipe in a file (Ctrl+S).")
        saver.clicked.connect(self.save_requested)
        row = _row(self._name, presets, opener, saver)
        row.setStretch(0, 1)
        self._name_error = QLabel("The recipe needs a name.")
        self._name_error.setObjectName("recipeNameError")
        self._name_error.setProperty("role", "problem")
        self._name_error.setContentsMargins(theme.SPACE + 2, 0, theme.SPACE, 0)
        column = QVBoxLayout()
        column.setSpacing(theme.SPACE // 2)
        column.addLayout(row)
        column.addWidget(self._name_error)
        return column

    def _make_steps(self) -> StepList:
        self._steps = StepList()
        self._steps.step_selected.connect(self.step_selected)
        self._steps.remove_requested.connect(self.remove_requested)
        self._steps.duplicate_requested.connect(self.duplicate_requested)
        self._steps.move_up_requested.connect(self.move_up_requested)
        self._steps.move_down_requested.connect(self.move_down_requested)
        return self._steps

    def _make_step_buttons(self) -> QHBoxLayout:
        self._add_menu = QMenu(self)
        self._add_menu.setObjectName("addStepMenu")
        self._add_menu.setToolTipsVisible(True)
        self._add_menu.triggered.connect(self._add_chosen)
        add = _button("addStepButton", "add", "Add step", "Add a step after the selected one.")
        add.setStyleSheet("")
        add.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        add.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        add.setMenu(self._add_menu)
        self._duplicate = _button(
            "duplicateStepButton", "copy", "Duplicate step", "Add a copy of the selected step (Ctrl+D)."
        )
        self._duplicate.clicked.connect(self.duplicate_requested)
        self._up = _button("moveStepUpButton", "up", "Move step up", "Run the step earlier (Alt+Up).")
        self._up.clicked.connect(self.move_up_requested)
        self._down = _button("moveStepDownButton", "down", "Move step down", "Run the step later (Alt+Down).")
        self._down.clicked.connect(self.move_down_requested)
        self._remove = _button(
            "removeStepButton", "delete", "Remove step", "Remove the selected step (Delete)."
        )
        self._remove.clicked.connect(self.remove_requested)
        row = _row(add, self._duplicate, self._up, self._down, self._remove)
        row.insertStretch(1, 1)
        row.setSpacing(2)
        return row

    def _make_form(self) -> QWidget:
        self._form = SettingsForm()
        self._form.setContentsMargins(theme.SPACE + 2, 0, theme.SPACE + 2, theme.SPACE)
        self._form.edited.connect(self.step_edited)
        self._form.settled.connect(self.edit_settled)
        self._form.invalid.connect(self.form_problem_changed)
        self._form_title = QLabel()
        self._form_title.setObjectName("stepTitle")
        self._form_title.setProperty("role", "heading")
        self._form_title.setContentsMargins(theme.SPACE + 2, 0, theme.SPACE + 2, 0)
        self._form_scroll = scroll = _scrolling("settingsScroll", self._form)
        scroll.setMinimumHeight(_LEAST_FORM)
        self._form.installEventFilter(self)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE)
        column.addWidget(self._form_title)
        column.addWidget(scroll, 1)
        self.notice = PanelNotice(content)
        self.notice.action.connect(self.start_requested)
        return content

    def _make_footer(self) -> QVBoxLayout:
        self._preview = _sentence("previewLine", "")
        self._preview.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._warning = _sentence("previewWarning", "problem")
        self._obstacle = _sentence("runObstacle", "muted")
        self._seed = NumberBox(NumberFormat(whole=True, minimum=0, maximum=MOST_SEED))
        self._seed.setObjectName("seedBox")
        self._seed.setAccessibleName("Seed")
        self._seed.setToolTip("Fixes all that is random in the run: the same seed gives the same result.")
        self._seed.setFixedWidth(80)
        self._seed.set_value(0)
        self._seed.value_changed.connect(self._seed_typed)
        label = QLabel("Seed")
        label.setToolTip(self._seed.toolTip())
        label.setBuddy(self._seed)
        self._trials = QSpinBox()
        self._trials.setObjectName("trialsBox")
        self._trials.setAccessibleName("Trials")
        self._trials.setRange(1, MOST_TRIALS)
        self._trials.setPrefix("× ")
        self._trials.setFixedWidth(62)
        self._trials.setToolTip(
            "Trials: so many runs with this seed and the ones after it, so that a result can be told from luck. Their "
            "figures: select them in the history, then History → Trial figures."
        )
        self._run = QPushButton("Run")
        self._run.setObjectName("runButton")
        self._run.setProperty("role", "primary")
        self._run.setAccessibleName("Run the recipe")
        self._run.setMinimumWidth(88)
        icons.bind(self._run, "run", "accent_text")
        self._run.clicked.connect(self._run_clicked)
        row = QHBoxLayout()
        row.setSpacing(theme.SPACE)
        row.addWidget(label)
        row.addWidget(self._seed)
        row.addWidget(self._trials)
        row.addStretch(1)
        row.addWidget(self._run)
        column = QVBoxLayout()
        column.setContentsMargins(theme.SPACE + 2, 0, theme.SPACE + 2, 0)
        column.setSpacing(theme.SPACE)
        for widget in (self._preview, self._warning):
            column.addWidget(widget)
        column.addLayout(row)
        column.addWidget(self._obstacle)
        return column

    # -- what the user does ------------------------------------------------------------------------------------

    def _name_typed(self, text: str) -> None:
        self._name_error.setVisible(not text.strip())
        if text.strip():
            self.name_edited.emit(text)

    def _name_left(self) -> None:
        if not self._name.text().strip():
            self._name.setText(self._shown.name)
            self._name_error.hide()
        self.edit_settled.emit()

    def _preset_chosen(self, action: QAction) -> None:
        self.preset_requested.emit(action.data())

    def _add_chosen(self, action: QAction) -> None:
        self.add_requested.emit(action.data())

    def _seed_typed(self, value: object) -> None:
        valid = isinstance(value, int) and self._seed.format.allows(value)
        self.seed_edited.emit(value if valid else None)

    def _run_clicked(self) -> None:
        self.run_requested.emit()


class _NameEdit(QLineEdit):
    left = Signal()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.left.emit()


def _button(name: str, icon: str, text: str, tip: str) -> QToolButton:
    button = QToolButton()
    button.setObjectName(name)
    button.setText(text)
    button.setAccessibleName(text)
    button.setToolTip(tip)
    button.setAutoRaise(True)
    button.setIconSize(QSize(16, 16))
    if icon:
        icons.bind(button, icon)
        # Without a word beside it an icon needs less air, and the dock may be narrow.
        button.setStyleSheet("QToolButton { padding: 4px; }")
    return button


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setContentsMargins(theme.SPACE, 0, theme.SPACE, 0)
    row.setSpacing(theme.SPACE // 2)
    for widget in widgets:
        row.addWidget(widget)
    return row


def _sentence(name: str, role: str) -> QLabel:
    label = QLabel()
    label.setObjectName(name)
    label.setProperty("role", role)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label


def _scrolling(name: str, content: QWidget) -> QScrollArea:
    scroll = QScrollArea()
    scroll.setObjectName(name)
    scroll.setWidgetResizable(True)
    scroll.setFrameShape(QFrame.Shape.NoFrame)
    scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    scroll.setWidget(content)
    return scroll


def _rule() -> QFrame:
    rule = QFrame()
    rule.setProperty("role", "rule")
    return rule


def _first_line(settings: type[StepSettings]) -> str:
    return (settings.__doc__ or "").strip().splitlines()[0] if settings.__doc__ else ""
