"""A report as PDF, its plots as vectors. Runs as a program of its own, so that neither window nor worker waits in Qt.

`python -m studio.report_pdf OUT.pdf` reads a pickled report from its own parent on standard input; use `write_pdf`.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from html import escape
from pathlib import Path
from time import monotonic

from core.errors import StudioError
from core.files import written_whole
from core.report.blocks import Code, Grid, Heading, Paragraph, Picture, Report

MODULE = "studio.report_pdf"
SECONDS = 120.0
LINK_DPI = 96.0
"""A pixel of a plot is as large as on a page of the web."""


def write_pdf(report: Report, path: Path, check: Callable[[], None] | None = None) -> None:
    """Write a report as PDF, whole or not at all. May be called from any thread; takes about a second.

    `check` is called now and then and may raise to give up.

    Raises:
        StudioError: if it cannot be written.
    """
    with written_whole(path) as temporary:
        program = subprocess.Popen(
            [sys.executable, "-m", MODULE, str(temporary)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        )
        given: bytes | None = pickle.dumps(report)
        began = monotonic()
        try:
            while True:
                try:
                    _, complaint = program.communicate(given, timeout=0.1)
                    break
                except subprocess.TimeoutExpired:
                    given = None
                    if monotonic() - began > SECONDS:
                        raise StudioError(
                            f"{path.name} was not written: making the PDF took over {SECONDS:g} s. Save it as HTML."
                        ) from None
                    if check is not None:
                        check()
        finally:
            if program.poll() is None:
                program.kill()
                program.communicate()
        if program.returncode != 0 or temporary.stat().st_size == 0:
            raise StudioError(
                f"{path.name} was not written: making the PDF failed. Save the report as HTML instead.",
                details=complaint.decode(errors="replace"),
            )


def main(target: str, data: bytes) -> int:
    """The program's side: draw the pickled report into the file `target`."""
    from PySide6.QtCore import QMarginsF, QSizeF
    from PySide6.QtGui import (
        QFont,
        QGuiApplication,
        QPageLayout,
        QPageSize,
        QPdfWriter,
        QPyTextObject,
        QTextCharFormat,
        QTextCursor,
        QTextDocument,
        QTextFormat,
    )
    from PySide6.QtSvg import QSvgRenderer

    report: Report = pickle.loads(data)
    application = QGuiApplication([MODULE])
    writer = QPdfWriter(target)
    writer.setTitle(report.title)
    writer.setCreator("Compression Studio")
    writer.setResolution(1200)
    writer.setPageLayout(
        QPageLayout(
            QPageSize(QPageSize.PageSizeId.A4),
            QPageLayout.Orientation.Portrait,
            QMarginsF(15, 15, 15, 15),
            QPageLayout.Unit.Millimeter,
        )
    )
    document = QTextDocument()
    document.setDocumentMargin(8)
    document.setDefaultFont(QFont(application.font().family(), 9))
    document.setDefaultStyleSheet(_style())
    page = writer.pageLayout().paintRect(QPageLayout.Unit.Point).size()
    document.setPageSize(QSizeF(page.width(), page.height()) * (LINK_DPI / 72))
    width = document.pageSize().width() - 2 * document.documentMargin()
    renderers: list[QSvgRenderer] = []
    kind = QTextFormat.ObjectTypes.UserObject + 1

    class Plot(QPyTextObject):
        """Draws a plot where its character stands, as large as the page allows."""

        def intrinsicSize(self, doc: QTextDocument, position: int, form: QTextFormat) -> QSizeF:
            size = QSizeF(renderers[form.property(1)].defaultSize())
            # Together with its caption a plot must fit on a page.
            room = min(1.0, width / size.width(), 0.8 * doc.pageSize().height() / size.height())
            return size * room

        def drawObject(self, painter, rect, doc, position, form) -> None:  # type: ignore[no-untyped-def]
            renderers[form.property(1)].render(painter, rect)

    plot = Plot(document)
    document.documentLayout().registerHandler(kind, plot)
    cursor = QTextCursor(document)
    cursor.insertHtml(f"<h1>{escape(report.title)}</h1><p class='muted'>{escape(report.subtitle)}</p>")
    for block in report.blocks:
        cursor.movePosition(QTextCursor.MoveOperation.End)
        if isinstance(block, Picture):
            renderers.append(QSvgRenderer(block.svg.encode()))
            form = QTextCharFormat()
            form.setObjectType(kind)
            form.setProperty(1, len(renderers) - 1)
            cursor.insertBlock()
            cursor.insertText("\ufffc", form)
            if block.caption:
                cursor.insertBlock()
                cursor.insertHtml(f"<p class='muted'>{escape(block.caption)}</p>")
        else:
            cursor.insertBlock()
            cursor.insertHtml(_html(block))
            if isinstance(block, Grid):
                # A line right below a table may be laid across the end of a page; it also stands too close.
                cursor.movePosition(QTextCursor.MoveOperation.End)
                cursor.insertBlock()
                cursor.insertHtml("<p style='font-size: 5pt'>&nbsp;</p>")
    _print(document, writer)
    return 0


def _print(document, writer) -> None:  # type: ignore[no-untyped-def]
    from PySide6.QtCore import QRectF
    from PySide6.QtGui import QAbstractTextDocumentLayout, QColor, QPainter, QPalette

    from studio import theme

    painter = QPainter(writer)
    size = document.pageSize()
    scale = writer.width() / size.width()
    painter.scale(scale, scale)
    pages = document.pageCount()
    context = QAbstractTextDocumentLayout.PaintContext()
    context.palette.setColor(QPalette.ColorRole.Text, QColor(theme.LIGHT.text))
    for page in range(pages):
        if page:
            writer.newPage()
        painter.save()
        painter.translate(0, -page * size.height())
        context.clip = QRectF(0, page * size.height(), size.width(), size.height())
        painter.setClipRect(context.clip)
        document.documentLayout().draw(painter, context)
        painter.restore()
        painter.setPen(QColor(theme.LIGHT.text_muted))
        painter.drawText(QRectF(0, size.height() + 4, size.width(), 16), 0x0002, f"{page + 1} of {pages}")
    painter.end()


def _style() -> str:
    from studio import theme

    muted = theme.LIGHT.text_muted
    return f"""
h1 {{ font-size: 16pt; }} h2 {{ font-size: 12pt; }} h3 {{ font-size: 10pt; }}
.muted {{ color: {muted}; }} td, th {{ padding: 2px 10px 2px 0; }} th {{ color: {muted}; text-align: left; }}
"""


def _html(block: Heading | Paragraph | Grid | Code) -> str:
    """The little HTML that Qt's documents understand."""
    match block:
        case Heading():
            return f"<h{block.level}>{escape(block.text)}</h{block.level}>"
        case Paragraph():
            text = escape(block.text).replace("\n", "<br>") if block.preformatted else escape(block.text)
            return f"<p class='muted'>{text}</p>" if block.muted else f"<p>{text}</p>"
        case Code():
            lines = escape(block.text).replace(" ", "&nbsp;").replace("\n", "<br>")
            return f"<p style='font-family: monospace; font-size: 8pt'>{lines}</p>"
        case Grid():
            rows = [_row("th", block.head, block)] if any(block.head) else []
            for row in block.rows:
                if len(row) == 1:
                    rows.append(f"<tr><td colspan='{len(block.head)}'><b>{escape(row[0])}</b></td></tr>")
                else:
                    rows.append(_row("td", row, block))
            return f"<table>{''.join(rows)}</table>"


def _row(tag: str, cells: tuple[str, ...], grid: Grid) -> str:
    shown = (
        f"<{tag}{' align=' + repr('right') if index in grid.right else ''}>{escape(_breakable(text))}</{tag}>"
        for index, text in enumerate(cells)
    )
    return f"<tr>{''.join(shown)}</tr>"


def _breakable(text: str, longest: int = 32) -> str:
    """Long words (digests, paths) may be broken, or they would push the table off the page."""
    words = (
        "\u200b".join(word[start : start + longest] for start in range(0, len(word), longest))
        for word in text.split(" ")
    )
    return " ".join(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.stdin.buffer.read()))
