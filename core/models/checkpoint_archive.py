"""Tells the formats apart that are all zip archives: numpy's, torch's own, TorchScript, exported programs."""

from dataclasses import replace

from core.errors import StudioError
from core.models.checkpoint_exported import looks_like_exported, read_exported
from core.models.checkpoint_numpy import looks_like_npz, read_npz
from core.models.checkpoint_script import looks_like_script, read_script
from core.models.checkpoint_torch import read_torch_zip
from core.models.tensor_file import FileContents, TensorFile
from core.models.zip_members import zip_members

ARCHIVES = (
    ("numpy archive", looks_like_npz, read_npz),
    ("exported program", looks_like_exported, read_exported),
    ("TorchScript", looks_like_script, read_script),
)


def read_archive(file: TensorFile) -> FileContents:
    """The tensors of whichever of these formats it is; torch's own is the one that is left.

    Raises:
        StudioError: as the format's reader does.
    """
    members = zip_members(file)
    if not members:
        raise StudioError(f"{file.name} is an empty archive: download or copy it again.")
    for title, recognises, read in ARCHIVES:
        if recognises(members):
            return replace(read(file, members), format=title)
    return replace(read_torch_zip(file, members), format="torch")
