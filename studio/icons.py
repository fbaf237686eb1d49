"""Icons: the studio's own line drawings, tinted with the colours of the scheme in force."""

import weakref
from functools import lru_cache
from typing import Protocol

import shiboken6
from PySide6.QtCore import QByteArray, QObject, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from resources import RESOURCES
from studio import theme

FOLDER = RESOURCES / "icons"
# As drawn on plain screens, and twice that for dense ones.
_SIZES = (16, 20, 32, 40)


class HasIcon(Protocol):
    """An action or a button."""

    def setIcon(self, icon: QIcon) -> None: ...


_bound: "weakref.WeakKeyDictionary[QObject, tuple[str, str]]" = weakref.WeakKeyDictionary()


def application_icon() -> QIcon:
    """The studio's icon for windows and task bars."""
    return QIcon(str(FOLDER / "compression-studio.svg"))


def icon(name: str, token: str = "text") -> QIcon:
    """The drawing `resources/icons/NAME.svg` in the colour of a token of the scheme in force.

    Raises:
        FileNotFoundError: if there is no such drawing.
    """
    colors = theme.tokens()
    return _tinted(name, getattr(colors, token), colors.text_muted)


def bind(target: QObject, name: str, token: str = "text") -> None:
    """Give an action or a button its icon, and again whenever the scheme changes."""
    _bound[target] = (name, token)
    _set(target, name, token)


def retint() -> None:
    """Renew the icons of everything bound that still lives."""
    for target, (name, token) in list(_bound.items()):
        if shiboken6.isValid(target):
            _set(target, name, token)


def _set(target: QObject, name: str, token: str) -> None:
    target.setIcon(icon(name, token))  # type: ignore[attr-defined]


@lru_cache(maxsize=512)
def _tinted(name: str, color: str, disabled: str) -> QIcon:
    drawing = (FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    made = QIcon()
    for mode, tint, opacity in ((QIcon.Mode.Normal, color, 1.0), (QIcon.Mode.Disabled, disabled, 0.5)):
        renderer = QSvgRenderer(QByteArray(drawing.replace("currentColor", QColor(tint).name()).encode()))
        for size in _SIZES:
            made.addPixmap(_render(renderer, size, opacity), mode)
    return made


def _render(renderer: QSvgRenderer, size: int, opacity: float) -> QPixmap:
    pixmap = QPixmap(QSize(size, size))
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setOpacity(opacity)
    renderer.render(painter, QRectF(0, 0, size, size))
    painter.end()
    return pixmap


theme.events.changed.connect(retint)
