"""The search field of the history: completes fields and values, and explains itself."""

from PySide6.QtCore import QEvent, QStringListModel, Qt, Signal
from PySide6.QtGui import QAction, QKeyEvent
from PySide6.QtWidgets import QCompleter, QLabel, QLineEdit, QWidget

from core.history.columns import RunColumns
from core.history.query import Completion, completions
from studio import icons
from studio.tables.runs import RunTable

HELP = """\
<p><b>Words</b> are looked for in name, tags, model, task, method and status;
<code>"a phrase"</code> as a whole.</p>
<table cellspacing="6">
<tr><td><code>accuracy &gt; 97 % and size &lt; 100 kB</code></td><td>measurements, with units</td></tr>
<tr><td><code>sparsity = 80 %</code></td><td>= finds what reads so when rounded</td></tr>
<tr><td><code>prune.sparsity &gt;= 0.8</code></td><td>any setting: step.setting</td></tr>
<tr><td><code>before.loss &lt; 0.5</code></td><td>any measurement, of the model before</td></tr>
<tr><td><code>model:resnet method = prune</code></td><td>: finds a part, = the whole text</td></tr>
<tr><td><code>tag:paper not status:failed</code></td><td>and, or, not, ( )</td></tr>
<tr><td><code>created &gt;= 2026-11-01</code></td><td>dates: 2026, 2026-11, today, yesterday</td></tr>
<tr><td><code>is:starred</code> <code>is:archived</code> <code>#12</code></td>
<td>stars, archive, a run's number</td></tr>
</table><p>Ctrl+Space lists the fields, and after = or : the values.</p>"""


class RunSearch(QLineEdit):
    """A line in the language of `core.history.query`."""

    help_wanted = Signal()

    def __init__(self, table: RunTable, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._table = table
        self._offers: list[Completion] = []
        self.setObjectName("runFilter")
        self.setClearButtonEnabled(True)
        self.setPlaceholderText("Search: words, accuracy > 97 %, size < 100 kB, tag:paper …")
        self.setToolTip("Find runs by words and conditions (Ctrl+F). Ctrl+Space completes, F1 explains.")
        self.setAccessibleName("Search runs")
        self._icon = QAction(self)
        icons.bind(self._icon, "search", "text_muted")
        self.addAction(self._icon, QLineEdit.ActionPosition.LeadingPosition)
        self._model = QStringListModel(self)
        self._completer = QCompleter(self._model, self)
        self._completer.setCompletionMode(QCompleter.CompletionMode.UnfilteredPopupCompletion)
        self._completer.setWidget(self)
        self._completer.popup().setObjectName("runCompletions")
        self._completer.activated.connect(self._take)
        self.textEdited.connect(self._edited)

    @property
    def offers(self) -> list[str]:
        """What is offered for completion now."""
        return [offer.text for offer in self._offers] if self._completer.popup().isVisible() else []

    def complete(self) -> None:
        """Offer what the word before the cursor could become."""
        columns: RunColumns = self._table.columns
        self._offers = completions(self.text(), self.cursorPosition(), columns)
        if not self._offers:
            self._completer.popup().hide()
            return
        self._model.setStringList([f"{offer.text}   {offer.help}" for offer in self._offers])
        area = self.rect()
        area.setWidth(min(self.width(), 460))
        self._completer.complete(area)

    def event(self, event: QEvent) -> bool:
        # Before shortcuts of the window see it.
        if event.type() == QEvent.Type.ShortcutOverride and _is_complete(event):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if _is_complete(event):
            self.complete()
        elif self._completer.popup().isVisible() and event.key() in (
            Qt.Key.Key_Return,
            Qt.Key.Key_Enter,
            Qt.Key.Key_Tab,
        ):
            self._take(str(self._completer.popup().currentIndex().data() or self._model.stringList()[0]))
            self._completer.popup().hide()
        else:
            super().keyPressEvent(event)

    def _edited(self, _text: str) -> None:
        before = self.text()[: self.cursorPosition()]
        # After an operator the values are few and known; a plain word must not be talked over.
        if self._completer.popup().isVisible() or before.endswith((":", "=")):
            self.complete()

    def _take(self, chosen: str) -> None:
        for offer, shown in zip(self._offers, self._model.stringList(), strict=True):
            if shown == chosen:
                text = self.text()
                self.setText(text[: offer.start] + offer.text + text[offer.end :])
                self.setCursorPosition(offer.start + len(offer.text))
                return


class SearchProblem(QLabel):
    """One line under the search field: what is wrong, or how to search."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("searchProblem")
        self.setProperty("role", "problem")
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.hide()

    def show_problem(self, text: str) -> None:
        """Say it; "" for nothing."""
        self.setText(text)
        self.setVisible(bool(text))


def _is_complete(event: QEvent) -> bool:
    return (
        isinstance(event, QKeyEvent)
        and event.key() == Qt.Key.Key_Space
        and event.modifiers() == Qt.KeyboardModifier.ControlModifier
    )
