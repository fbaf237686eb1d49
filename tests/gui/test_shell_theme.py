"""Theme: readable text in both schemes, a complete sheet and palette, icons in the scheme's colours."""

import re

import pytest
from PySide6.QtCore import QSize
from PySide6.QtGui import QAction, QColor, QIcon, QPalette
from PySide6.QtWidgets import QApplication, QPushButton
from pytestqt.qtbot import QtBot

from resources import RESOURCES
from studio import icons, theme
from studio.style_sheet import style_sheet

SCHEMES = [theme.LIGHT, theme.DARK]
TEXTS = ("text", "text_muted", "accent", "good", "bad", "warning")
GROUNDS = ("window", "panel", "raised")


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_every_text_colour_is_readable_on_every_ground(scheme: theme.Tokens) -> None:
    pairs = [(text, ground) for text in TEXTS for ground in GROUNDS]
    pairs += [("text", "selection"), ("text_muted", "selection"), ("accent_text", "accent")]
    for text, ground in pairs:
        ratio = theme.contrast(getattr(scheme, text), getattr(scheme, ground))
        assert ratio >= 4.5, f"{text} on {ground}: {ratio:.2f}"


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_marks_and_series_stand_out_from_the_panel(scheme: theme.Tokens) -> None:
    for color in (*scheme.series, scheme.accent):
        assert theme.contrast(color, scheme.panel) >= 2.9, color


def test_contrast_is_the_one_of_wcag() -> None:
    assert theme.contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert theme.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_the_sheet_is_filled_in_and_names_only_files_that_exist(
    qapp: QApplication, scheme: theme.Tokens
) -> None:
    sheet = style_sheet(scheme)
    assert "@" not in sheet
    for path in re.findall(r'url\("([^"]+)"\)', sheet):
        assert QIcon(path).pixmap(QSize(12, 12)).width() == 12


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_drawings_of_controls_have_the_colours_of_the_scheme(scheme: theme.Tokens) -> None:
    drawings = sorted((RESOURCES / "icons" / "controls").glob(f"*-{scheme.name}.svg"))
    assert drawings
    for drawing in drawings:
        stroke = re.search(r'stroke="(#\w+)"', drawing.read_text(encoding="utf-8"))
        assert stroke is not None
        assert stroke.group(1) in (scheme.text_muted, scheme.accent_text), drawing.name


def test_no_other_module_names_a_colour() -> None:
    root = RESOURCES.parent / "studio"
    for path in root.rglob("*.py"):
        if path.name != "theme.py":
            found = set(re.findall(r"[\"'](#[0-9a-fA-F]{6})[\"']", path.read_text(encoding="utf-8")))
            # Black and white are no choice of taste: what is readable on a coloured ground.
            assert found <= {"#000000", "#ffffff"}, f"{path.name} names {found}"


def test_apply_dresses_the_application_and_tells_everybody(qtbot: QtBot, qapp: QApplication) -> None:
    theme.apply(qapp, "light")
    with qtbot.waitSignal(theme.events.changed) as told:
        theme.apply(qapp, "dark")
    assert told.args == [theme.DARK]
    assert theme.tokens() is theme.DARK
    assert qapp.palette().color(QPalette.ColorRole.Window) == QColor(theme.DARK.window)
    assert theme.DARK.panel in qapp.styleSheet()
    assert qapp.font().pixelSize() == theme.FONT_BASE
    theme.apply(qapp, "light")
    assert theme.tokens() is theme.LIGHT


def test_a_change_of_the_desktop_counts_only_while_the_theme_follows_it(
    qtbot: QtBot, qapp: QApplication
) -> None:
    theme.apply(qapp, "dark")
    theme.events.follow_system(None)
    assert theme.tokens() is theme.DARK
    theme.apply(qapp, "system")
    assert theme.tokens() is theme.LIGHT  # a platform without an opinion counts as light
    theme.apply(qapp, "light")


def test_icons_are_tinted_and_follow_the_scheme(qtbot: QtBot, qapp: QApplication) -> None:
    theme.apply(qapp, "light")
    action = QAction()
    icons.bind(action, "stop")
    assert _middle(action.icon()) == theme.LIGHT.text
    theme.apply(qapp, "dark")
    assert _middle(action.icon()) == theme.DARK.text
    theme.apply(qapp, "light")


def test_every_icon_can_be_drawn(qtbot: QtBot) -> None:
    for path in sorted(icons.FOLDER.glob("*.svg")):
        if path.name != "compression-studio.svg":
            assert "currentColor" in path.read_text(encoding="utf-8")
            assert not icons.icon(path.stem).pixmap(16, 16).toImage().isNull()


def test_focus_is_visible_on_a_button(qtbot: QtBot, qapp: QApplication) -> None:
    theme.apply(qapp, "light")
    button = QPushButton("Act")
    qtbot.addWidget(button)
    button.show()
    without = button.grab().toImage()
    button.setFocus()
    qtbot.waitUntil(button.hasFocus)
    assert button.grab().toImage() != without


def _middle(icon: QIcon) -> str:
    return icon.pixmap(16, 16).toImage().pixelColor(8, 8).name()
