"""Sources are what people type, survive being stored, and say what is wrong with what they name."""

from pathlib import Path

import pytest

from core.errors import StudioError
from core.models.source import SAMPLE, ModelSource, parse_source, source_from_json


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sample", SAMPLE),
        ("zoo:resnet20", ModelSource("zoo", "resnet20")),
        ("torchvision:resnet18", ModelSource("torchvision", "resnet18")),
        ("torchvision:resnet18@DEFAULT", ModelSource("torchvision", "resnet18", weights="DEFAULT")),
    ],
)
def test_names_are_read_and_written_alike(text: str, expected: ModelSource) -> None:
    assert parse_source(text) == expected
    assert expected.to_text() == text
    assert source_from_json(expected.to_json()) == expected


def test_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.pt").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    source = parse_source("model.pt")
    assert source == ModelSource("file", str(tmp_path / "model.pt"))
    assert source.title == "model.pt"
    assert parse_source(source.to_text()) == source


def test_what_does_not_exist_is_named() -> None:
    with pytest.raises(StudioError, match=r"nowhere\.pt does not exist"):
        parse_source("nowhere.pt")
