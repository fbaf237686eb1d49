"""TaskChooser: which data the model is trained and judged on; and the window that asks about an image folder."""

import re
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from core.data.spec import FOLDER, TASK_TITLES, TaskSpec
from core.errors import StudioError
from studio import theme

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class TaskChooser(QComboBox):
    """The built-in tasks, an image folder where one was chosen, and *Image folder…*."""

    task_chosen = Signal(object)  # TaskSpec
    folder_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("taskChooser")
        self.setAccessibleName("Task")
        self.setToolTip("Task: the data on which the model is trained and judged.")
        self.setWhatsThis(
            "The task is a data set with its splits and its preprocessing. Runs train on its training split, choose "
            "by its validation split and report accuracy on its test split."
        )
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(16)
        self._folder: TaskSpec | None = None
        self._fill()
        self.activated.connect(self._activated)

    def set_task(self, task: TaskSpec | None) -> None:
        """Show what is chosen (emits nothing)."""
        if task is not None and task.name == FOLDER:
            self._folder = task
            self._fill()
        index = -1
        for row in range(self.count()):
            data = self.itemData(row)
            if isinstance(data, TaskSpec) and task is not None and data.to_text() == task.to_text():
                index = row
        self.setCurrentIndex(index)
        self._chosen = index
        if index < 0:
            self.setPlaceholderText("Choose a task …")

    def _fill(self) -> None:
        self.clear()
        for name, title in TASK_TITLES.items():
            self.addItem(title, TaskSpec(name))
        if self._folder is not None:
            self.addItem(self._folder.title, self._folder)
        self.insertSeparator(self.count())
        self.addItem("Image folder…", FOLDER)
        self._chosen = -1

    def _activated(self, index: int) -> None:
        data = self.itemData(index)
        if isinstance(data, TaskSpec):
            self._chosen = index
            self.task_chosen.emit(data)
        else:
            # Until the window for the folder is accepted, the old task stays chosen.
            self.setCurrentIndex(self._chosen)
            self.folder_wanted.emit()


class ImageFolderDialog(QDialog):
    """Asks for a folder of images and how they are prepared.

    Args:
        start: what to begin with; its folder, size, mean and standard deviation fill the fields.
        channels: channels of the open model's input, or None.
    """

    chosen = Signal(object)  # TaskSpec

    def __init__(self, start: TaskSpec, channels: int | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("imageFolderDialog")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Image folder as a task")
        self.setMinimumWidth(520)
        self._seed = start.split_seed
        intro = QLabel(
            "A folder with one sub-folder of images for each class, or with train, validation and test folders that "
            "hold such sub-folders."
        )
        intro.setWordWrap(True)
        intro.setProperty("role", "muted")
        self._folder = _field("folderPath", "Folder", "The folder that holds the sub-folders.")
        self._folder.setText(start.folder or "")
        browse = QPushButton("Browse…")
        browse.setObjectName("folderBrowse")
        browse.setToolTip("Choose the folder.")
        browse.setAutoDefault(False)
        browse.clicked.connect(self._browse)
        self._size = _field(
            "folderSize",
            "Image size",
            "Height × width in pixels, such as 32 × 32. Empty keeps the images' own size.",
        )
        self._size.setPlaceholderText("as it is")
        if start.image_size is not None:
            self._size.setText(f"{start.image_size[0]} × {start.image_size[1]}")
        self._mean = _field(
            "folderMean",
            "Mean",
            "Subtracted from pixels in [0, 1], one value per channel. Empty: the usual values.",
        )
        self._mean.setText(_numbers_text(start.mean))
        self._std = _field(
            "folderStd",
            "Standard deviation",
            "Pixels are divided by it after the mean is taken away, per channel.",
        )
        self._std.setText(_numbers_text(start.std))
        for edit in (self._mean, self._std):
            edit.setPlaceholderText("usual values" if channels != 1 else "usual value")
        imagenet = QPushButton("ImageNet's values")
        imagenet.setObjectName("folderImagenet")
        imagenet.setToolTip("Mean and standard deviation that torchvision's published weights expect.")
        imagenet.setAutoDefault(False)
        imagenet.clicked.connect(self._use_imagenet)
        self._all = QCheckBox("Judge on all images")
        self._all.setObjectName("folderAll")
        self._all.setToolTip(
            "For a folder without a test part on which nothing was trained: accuracy then counts every image. "
            "Not for training."
        )
        self._all.setChecked(start.evaluate_all)
        self._problem = QLabel()
        self._problem.setObjectName("folderProblem")
        self._problem.setProperty("role", "problem")
        self._problem.setWordWrap(True)
        self._problem.hide()
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        use = buttons.addButton("Use this folder", QDialogButtonBox.ButtonRole.AcceptRole)
        use.setObjectName("folderUse")
        use.setDefault(True)
        buttons.accepted.connect(self._accept)
        buttons.rejected.connect(self.reject)

        folder = QHBoxLayout()
        folder.addWidget(self._folder, 1)
        folder.addWidget(browse)
        usual = QHBoxLayout()
        usual.addStretch(1)
        usual.addWidget(imagenet)
        form = QFormLayout()
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        form.setHorizontalSpacing(2 * theme.SPACE)
        form.setVerticalSpacing(theme.SPACE)
        caption = QLabel("&Folder")
        caption.setBuddy(self._folder)
        form.addRow(caption, folder)
        form.addRow("Image &size", self._size)
        form.addRow("&Mean", self._mean)
        form.addRow("Standard &deviation", self._std)
        form.addRow("", usual)
        form.addRow("", self._all)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * theme.SPACE, 2 * theme.SPACE, 2 * theme.SPACE, 2 * theme.SPACE)
        layout.setSpacing(theme.SPACE + theme.SPACE // 2)
        layout.addWidget(intro)
        layout.addLayout(form)
        layout.addWidget(self._problem)
        layout.addStretch(1)
        layout.addWidget(buttons)

    def spec(self) -> TaskSpec:
        """The task as the fields say.

        Raises:
            StudioError: naming the field that is wrong.
        """
        folder = self._folder.text().strip()
        if not folder or not Path(folder).expanduser().is_dir():
            raise StudioError(f"“Folder”: {folder or 'nothing'} is not a folder; choose one with images.")
        mean, std = (
            parse_numbers(self._mean.text(), "Mean"),
            parse_numbers(self._std.text(), "Standard deviation"),
        )
        if std is not None and any(value <= 0 for value in std):
            raise StudioError("“Standard deviation”: each value must be above 0.")
        if (mean is None) != (std is None) or (
            mean is not None and std is not None and len(mean) != len(std)
        ):
            raise StudioError(
                "“Mean” and “Standard deviation” need the same number of values, one per channel."
            )
        return TaskSpec(
            FOLDER,
            folder=str(Path(folder).expanduser().absolute()),
            image_size=parse_size(self._size.text()),
            mean=mean,
            std=std,
            split_seed=self._seed,
            evaluate_all=self._all.isChecked(),
        )

    def _accept(self) -> None:
        try:
            spec = self.spec()
        except StudioError as error:
            self._problem.setText(error.message)
            self._problem.show()
            return
        self.accept()
        self.chosen.emit(spec)

    def _browse(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Image folder", self._folder.text())
        if chosen:
            self._folder.setText(chosen)

    def _use_imagenet(self) -> None:
        self._mean.setText(_numbers_text(IMAGENET_MEAN))
        self._std.setText(_numbers_text(IMAGENET_STD))


def parse_size(text: str) -> tuple[int, int] | None:
    """Height and width from `32`, `32 × 48` or `32x48`; None from nothing.

    Raises:
        StudioError: for anything else.
    """
    if not text.strip():
        return None
    parts = re.split(r"[×xX*,;\s]+", text.strip())
    if len(parts) > 2 or not all(re.fullmatch(r"[1-9]\d{0,4}", part) for part in parts):
        raise StudioError("“Image size”: write height × width in pixels, such as 32 × 32, or leave it empty.")
    sizes = [int(part) for part in parts]
    return sizes[0], sizes[-1]


def parse_numbers(text: str, field: str) -> tuple[float, ...] | None:
    """Numbers separated by commas, semicolons or spaces; None from nothing.

    Raises:
        StudioError: for anything else.
    """
    if not text.strip():
        return None
    try:
        return tuple(float(part) for part in re.split(r"[,;\s]+", text.strip(" ,;")))
    except ValueError:
        raise StudioError(f"“{field}”: write one number per channel, such as 0.485, 0.456, 0.406.") from None


def _numbers_text(values: tuple[float, ...] | None) -> str:
    return "" if values is None else ", ".join(f"{value:g}" for value in values)


def _field(name: str, accessible: str, tooltip: str) -> QLineEdit:
    edit = QLineEdit()
    edit.setObjectName(name)
    edit.setAccessibleName(accessible)
    edit.setToolTip(tooltip)
    return edit
