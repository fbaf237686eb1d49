"""The selected run: what came out, its curves, layers, settings and files, and the words that the user adds."""

from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker, QSize, Qt, Signal
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QScrollArea,
    QTabWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.history.columns import RunColumns
from core.history.lineage import Relative
from core.history.records import RunRecord
from studio import icons, theme
from studio.problem import Problem
from studio.tables.grid import Head
from studio.views.elided import ElidedLabel
from studio.views.findings_view import FindingsView
from studio.views.flips_tab import flips_tab
from studio.views.flow import FlowLayout
from studio.views.grid_view import GridView
from studio.views.lineage_view import LineageView
from studio.views.live_curves import LiveCurves
from studio.views.note_editor import NoteEditor
from studio.views.notice import PanelNotice
from studio.views.report import ReportWindow
from studio.views.run_summary import (
    ARTIFACT_HEADS,
    LAYER_HEADS,
    SUMMARY_HEADS,
    RunDetail,
    artifact_rows,
    environment_rows,
    layer_rows,
    model_artifact,
    protocol_text,
    setting_rows,
    summary_rows,
)

_FACTS = (Head("What"), Head("Value"))


class RunDetails(QWidget):
    """Shows one run and says what the user wants of it. Edits come out as they are typed."""

    edited = Signal(object, object)  # field ("name", "note", "tags"), value
    starred = Signal(object)  # bool
    open_wanted = Signal()
    recipe_wanted = Signal()
    again_wanted = Signal()
    resume_wanted = Signal()
    continue_wanted = Signal()
    duplicate_wanted = Signal()
    run_wanted = Signal(object)  # run id: one of the family
    problem = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("runDetails")
        self.setMinimumWidth(320)
        self._record: RunRecord | None = None
        self._detail: RunDetail | None = None
        content = QWidget()
        self.notice = PanelNotice(content)
        self._build_header()
        self._build_tabs()
        inside = QVBoxLayout(content)
        inside.setContentsMargins(0, theme.SPACE, 0, 0)
        inside.setSpacing(theme.SPACE)
        top = QVBoxLayout()
        top.setContentsMargins(theme.SPACE, 0, theme.SPACE, 0)
        top.setSpacing(theme.SPACE)
        top.addLayout(self._header)
        top.addWidget(self.about)
        top.addWidget(self._error)
        top.addLayout(self._buttons)
        inside.addLayout(top)
        inside.addWidget(self.tabs, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.notice)
        layout.addWidget(content, 1)

    def sizeHint(self) -> QSize:
        return QSize(460, 600)

    # -- what is shown -----------------------------------------------------------------------------------------

    @property
    def record(self) -> RunRecord | None:
        """The run on show."""
        return self._record

    def show_nothing(self, text: str) -> None:
        """Say why there is no run on show."""
        self._record = self._detail = None
        self.notice.show_empty(text)

    def show_record(self, record: RunRecord, editing: frozenset[str] = frozenset()) -> None:
        """Show what the list knows; `editing` names the fields whose new text is not yet saved."""
        other = self._record is None or self._record.run_id != record.run_id
        self._record = record
        self.notice.clear()
        if other:
            self._detail = None
            self.note_editor.show_rendered(
                bool(record.note.strip()) and self.note.toPlainText() == record.note
            )
            self.lineage.clear()
            self.curves.show_text("Loading the curves …" if record.is_over else "No curves yet.")
            self.findings.show_findings(())
            for view in (self.layers, self.files):
                view.table.show_rows((), ())
        self._fill_header(record, editing)
        self._fill_summary(record)
        self._fill_settings(record)
        self._fill_buttons()

    def show_detail(self, detail: RunDetail) -> None:
        """Add what was fetched for the run on show."""
        if self._record is None or detail.record.run_id != self._record.run_id:
            return
        self._detail = detail
        if detail.curves.empty:
            self.curves.show_text("This run has no curves: no step of it trained.")
        else:
            self.curves.show_curves(detail.curves)
        self.findings.show_findings(detail.findings)
        self.layers.table.show_rows(LAYER_HEADS, layer_rows(detail.layers_before, detail.layers_after))
        self.layers.stretch(1, 0, 0, 0, 0)
        for column, width in ((1, 76), (2, 76), (3, 66), (4, 66)):
            self.layers.setColumnWidth(column, width)
        self.files.table.show_rows(ARTIFACT_HEADS, artifact_rows(detail.artifacts))
        self.files.stretch(0, 0, 1)
        self._fill_buttons()

    def show_family(self, columns: RunColumns, family: Sequence[Relative]) -> None:
        """Show the runs that this one comes from and those that come from it."""
        if self._record is not None:
            self.lineage.show_family(columns, family, self._record.run_id)

    # -- building ----------------------------------------------------------------------------------------------

    def _build_header(self) -> None:
        self.star = QToolButton()
        self.star.setObjectName("runStar")
        self.star.setCheckable(True)
        self.star.setAutoRaise(True)
        self.star.setIconSize(QSize(16, 16))
        self.star.setToolTip("Star this run, to find it again.")
        self.star.setAccessibleName("Starred")
        self.star.clicked.connect(self._star_clicked)
        self.name = QLineEdit()
        self.name.setObjectName("runName")
        self.name.setAccessibleName("Name of the run")
        self.name.setToolTip("The run's name: type to change it.")
        self.name.setMaxLength(200)
        self.name.textEdited.connect(self._name_edited)
        self._header = QHBoxLayout()
        self._header.setSpacing(theme.SPACE // 2)
        self._header.addWidget(self.star)
        self._header.addWidget(self.name, 1)
        self.about = ElidedLabel()
        self.about.setObjectName("runAbout")
        self.about.setProperty("role", "muted")
        self._error = QWidget()
        error = QHBoxLayout(self._error)
        error.setContentsMargins(0, 0, 0, 0)
        self.error_text = QLabel()
        self.error_text.setObjectName("runError")
        self.error_text.setProperty("role", "problem")
        self.error_text.setWordWrap(True)
        self.error_text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        report = _button("runErrorDetails", "Details…", "Show a report of the failure that can be copied.")
        report.clicked.connect(self._show_report)
        error.addWidget(self.error_text, 1)
        error.addWidget(report, 0, Qt.AlignmentFlag.AlignTop)
        self.open_model = _button("openRunModel", "Open model", "Open the model that this run saved.")
        self.open_model.setProperty("role", "primary")
        self.use_recipe = _button("useRunRecipe", "Use recipe", "Take this run's recipe over for editing.")
        self.run_again = _button(
            "runAgain", "Run again", "Queue the same recipe on the same model, task and seed as a new run."
        )
        self.resume = _button("resumeRun", "Resume", "Go on from the last checkpoint of this run.")
        self.open_model.clicked.connect(self.open_wanted)
        self.use_recipe.clicked.connect(self.recipe_wanted)
        self.run_again.clicked.connect(self.again_wanted)
        self.resume.clicked.connect(self.resume_wanted)
        self._buttons = FlowLayout(theme.SPACE // 2, theme.SPACE // 2)
        self.more = QToolButton()
        self.more.setObjectName("runMore")
        self.more.setText("More")
        self.more.setAccessibleName("More that can be done with this run")
        self.more.setToolTip("Go on from its result, or do it again with changes.")
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self.more)
        menu.setToolTipsVisible(True)
        self.go_on = menu.addAction("Continue from its result")
        self.go_on.setToolTip("Open what this run saved, with its recipe for editing.")
        self.go_on.triggered.connect(self.continue_wanted)
        self.duplicate = menu.addAction("Duplicate with changes")
        self.duplicate.setToolTip("Open the model that this run started from, with its recipe for editing.")
        self.duplicate.triggered.connect(self.duplicate_wanted)
        self.more.setMenu(menu)
        for button in (self.resume, self.open_model, self.use_recipe, self.run_again, self.more):
            self._buttons.addWidget(button)

    def _build_tabs(self) -> None:
        self.tabs = QTabWidget()
        self.tabs.setObjectName("runTabs")
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setExpanding(False)
        self.summary = GridView("Measurements before and after")
        self.summary.setObjectName("runSummary")
        self.protocol = QLabel()
        self.protocol.setObjectName("runProtocol")
        self.protocol.setProperty("role", "small")
        self.protocol.setWordWrap(True)
        self.protocol.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.tags = QLineEdit()
        self.tags.setObjectName("runTags")
        self.tags.setPlaceholderText("Tags, separated by commas")
        self.tags.setToolTip("Words to find the run by, separated by commas.")
        self.tags.setAccessibleName("Tags")
        self.tags.textEdited.connect(self._tags_edited)
        self.note_editor = NoteEditor()
        self.note = self.note_editor.edit
        self.note_editor.changed.connect(self._note_edited)
        page = QWidget()
        inside = QVBoxLayout(page)
        inside.setContentsMargins(theme.SPACE, theme.SPACE, theme.SPACE, theme.SPACE)
        inside.setSpacing(theme.SPACE)
        inside.addWidget(self.summary)
        inside.addWidget(self.protocol)
        inside.addWidget(self.tags)
        inside.addWidget(self.note_editor, 1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(page)
        self.curves = LiveCurves(stacked=True)
        self.curves.problem.connect(self.problem)
        self.findings = FindingsView()
        self.findings.problem.connect(self.problem)
        self.predictions = flips_tab()
        self.layers = GridView("Sparsity of each layer")
        self.layers.setObjectName("runLayers")
        self.settings = GridView("Settings")
        self.settings.setObjectName("runSettings")
        self.files = GridView("Files of the run")
        self.files.setObjectName("runFiles")
        self.lineage = LineageView()
        self.lineage.run_wanted.connect(self.run_wanted)
        for title, tip, widget in (
            ("Summary", "Measurements before and after, tags and note", scroll),
            ("Curves", "Loss and accuracy while it trained", self.curves),
            ("Findings", "What it found out beyond curves: plots, tables, checks", self.findings),
            (
                "Predictions",
                "Which test examples changed their prediction, with the images",
                self.predictions,
            ),
            ("Layers", "Sparsity layer by layer", self.layers),
            ("Settings", "Model, task, seed, every setting of the recipe, and what it ran on", self.settings),
            ("Files", "What the run wrote, with hashes", self.files),
            ("Lineage", "Which run it started from, and which started from its result", self.lineage),
        ):
            self.tabs.setTabToolTip(self.tabs.addTab(widget, title), tip)

    # -- filling -----------------------------------------------------------------------------------------------

    def _fill_header(self, record: RunRecord, editing: frozenset[str]) -> None:
        icons.bind(self.star, "star", "warning" if record.starred else "text_muted")
        self.star.setChecked(record.starred)
        if "name" not in editing and self.name.text() != record.name:
            self.name.setText(record.name)
        tags = ", ".join(record.tags)
        if "tags" not in editing and self.tags.text() != tags:
            self.tags.setText(tags)
        if "note" not in editing and self.note.toPlainText() != record.note:
            with QSignalBlocker(self.note):
                self.note.setPlainText(record.note)
            self.note_editor.show_rendered(bool(record.note.strip()))
        status = "stopped early, best kept" if record.stopped_early else record.status
        parts = [f"run {record.number}", status, record.source_title, record.task_title]
        self.about.show_text(" · ".join(part for part in parts if part))
        self._error.setVisible(bool(record.error))
        self.error_text.setText(record.error)

    def _fill_summary(self, record: RunRecord) -> None:
        self.summary.table.show_rows(SUMMARY_HEADS, summary_rows(record.before, record.after))
        self.summary.stretch(0, 1, 1, 0)
        self.summary.setColumnWidth(0, 132)
        self.summary.setColumnWidth(3, 116)
        self.summary.setVisible(self.summary.table.rowCount() > 0)
        self.summary.fit_height()
        notices = " ".join(record.notices)
        text = protocol_text(record.before, record.after)
        self.protocol.setText(f"{text} {notices}" if notices else text)

    def _fill_settings(self, record: RunRecord) -> None:
        self.settings.table.show_rows(_FACTS, [*setting_rows(record), *environment_rows(record)])
        self.settings.horizontalHeader().hide()
        self.settings.setColumnWidth(0, 150)
        self.settings.stretch(0, 1)

    def _fill_buttons(self) -> None:
        record, detail = self._record, self._detail
        if record is None:
            return
        result = None if detail is None else model_artifact(detail.artifacts)
        self.open_model.setEnabled(result is not None)
        self.open_model.setToolTip(
            f"Open {result.path}" if result is not None else "This run has saved no model."
        )
        self.go_on.setEnabled(result is not None)
        self.use_recipe.setEnabled(bool(record.recipe.get("steps")))
        self.resume.setVisible(record.status == "interrupted")

    # -- intents -----------------------------------------------------------------------------------------------

    def _star_clicked(self, on: bool) -> None:
        self.starred.emit(on)

    def _name_edited(self, text: str) -> None:
        self.edited.emit("name", text)

    def _tags_edited(self, text: str) -> None:
        self.edited.emit("tags", tuple(tag.strip() for tag in text.split(",") if tag.strip()))

    def _note_edited(self) -> None:
        self.edited.emit("note", self.note.toPlainText())

    def _show_report(self) -> None:
        if self._record is not None:
            ReportWindow(Problem(self._record.error, self._record.error_details), self.window()).show()


def _button(name: str, text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setObjectName(name)
    button.setToolTip(tip)
    button.setAccessibleName(text)
    return button
