"""A whole run as one zip file: record, curves, layers, findings and files, each with its SHA-256; out and in again.

    run.json        format, version, record, layers, findings, notices, list of files with size and SHA-256
    metrics.json    the points of all curves, one list each
    files/N-NAME    what the run wrote, stored without compression

An archive comes from somebody else: names that lead elsewhere, sizes that are not what they say, bombs and files that
are not what their SHA-256 says are refused before anything of it reaches the history.
"""

import hashlib
import json
import math
import re
import shutil
import stat
import tempfile
import time
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from core.data.spec import task_from_json
from core.errors import StudioError
from core.events import (
    ArtifactWritten,
    Event,
    Finding,
    LayersMeasured,
    Measured,
    MetricPoint,
    Notice,
    RunStarted,
)
from core.files import CHUNK, sha256_of, written_whole
from core.history.records import RunRecord, Status
from core.history.run_lists import record_to_json
from core.measurement.records import LayerStatistics, Measurement, measurement_from_json
from core.models.source import source_from_json
from core.recipe import recipe_from_data
from core.request import RunRequest

if TYPE_CHECKING:
    from core.history.store import HistoryStore

FORMAT, VERSION = "compression-studio-run", 1
RECORD, METRICS = "run.json", "metrics.json"
LARGEST_TEXT = 512 * 1024**2
"""The JSON of a run with ten million points is smaller."""

LARGEST_RATIO = 200
"""JSON of curves shrinks to a tenth; what shrinks to less than this is made to fill a disk."""

MOST_ENTRIES = 10_000
_FILE = re.compile(r"files/[0-9]{1,5}-[0-9A-Za-z_][0-9A-Za-z_.-]{0,120}")
_STAGES = ("before", "after")


# -- out -----------------------------------------------------------------------------------------------------------


def pack_run(store: "HistoryStore", run_id: str, target: Path) -> list[str]:
    """Write a run with its files into a new zip file; returns the paths of files that are no longer there.

    Raises:
        StudioError: if there is no such run, one of its files has changed, or the zip cannot be written.
    """
    record = store.run(run_id)
    name = record.run_id
    listed: list[dict[str, Any]] = []
    sources: list[tuple[str, Path]] = []
    missing = []
    for number, artifact in enumerate(store.artifacts(name)):
        path = Path(artifact.path)
        entry: dict[str, Any] = asdict(artifact) | {"file": None}
        if path.is_file():
            if sha256_of(path) != artifact.sha256:
                raise StudioError(
                    f"{path} is no longer what run {record.number} wrote (its SHA-256 differs): move it away first."
                )
            entry["file"] = f"files/{number}-{_plain(path.name)}"
            sources.append((entry["file"], path))
        else:
            missing.append(artifact.path)
        entry["path"] = path.name
        listed.append(entry)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "run": record_to_json(record),
        "layers": {stage: [asdict(layer) for layer in store.layers(name, stage)] for stage in _STAGES},
        "findings": [
            {"kind": finding.kind, "key": finding.key, "title": finding.title, "data": finding.data}
            for finding in store.findings(name)
        ],
        "files": listed,
    }
    points = [
        [p.step, p.epoch, p.iteration, p.split, p.metric, None if math.isnan(p.value) else p.value, p.seconds]
        for p in store.metrics(name)
    ]
    with written_whole(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(RECORD, json.dumps(document, ensure_ascii=False))
        archive.writestr(METRICS, json.dumps(points))
        for place, path in sources:
            # Stored: an importer can then tell a bomb from a file by its size alone.
            archive.write(path, place, compress_type=zipfile.ZIP_STORED)
    return missing


def _plain(name: str) -> str:
    plain = re.sub(r"[^0-9A-Za-z_.-]", "_", name).lstrip(".-")[:100]
    return plain or "file"


# -- in ------------------------------------------------------------------------------------------------------------


def unpack_run(store: "HistoryStore", source: Path, *, again: bool = False) -> RunRecord:
    """Add the run of a zip file that `pack_run` wrote, with its files in the run's own folder.

    Args:
        again: add it under a new id if the history has it already, instead of refusing it.

    Raises:
        StudioError: if the file is no such archive, is damaged or not what it says, or the run is there already; the
            history and its folders are then as they were.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            _refuse_traps(archive, source)
            document = _json(archive, RECORD, source)
            points = _json(archive, METRICS, source)
            return _add(store, archive, source, document, points, again)
    except FileNotFoundError:
        raise StudioError(f"{source} does not exist: choose another file.") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, UnicodeDecodeError) as error:
        raise StudioError(f"{source.name} is no zip file of a run, or is damaged ({error}).") from error
    except OSError as error:
        raise StudioError(f"{source.name} could not be imported ({error.strerror or error}).") from error


def _refuse_traps(archive: zipfile.ZipFile, source: Path) -> None:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if RECORD not in names or METRICS not in names:
        raise StudioError(f"{source.name} is no archive of a run: it holds no {RECORD} or no {METRICS}.")
    if len(entries) > MOST_ENTRIES or len(set(names)) != len(names):
        raise StudioError(
            f"{source.name} holds too many files, or one name twice: it was not written by the studio."
        )
    for entry in entries:
        is_text = entry.filename in (RECORD, METRICS)
        if not is_text and not _FILE.fullmatch(entry.filename):
            raise StudioError(f"{source.name} holds “{entry.filename}”, which no archive of a run does.")
        mode = entry.external_attr >> 16
        if entry.flag_bits & 0x1 or (mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode)):
            raise StudioError(f"“{entry.filename}” in {source.name} is encrypted or no plain file.")
        if is_text:
            bomb = entry.file_size > LARGEST_TEXT or entry.file_size > LARGEST_RATIO * max(
                entry.compress_size, 1_000
            )
        else:
            bomb = entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size
        if bomb:
            raise StudioError(
                f"“{entry.filename}” in {source.name} would grow out of all proportion: it is refused."
            )
    if sum(entry.compress_size for entry in entries) > source.stat().st_size:
        raise StudioError(f"The files in {source.name} overlap: it is made to fill a disk, and refused.")


def _json(archive: zipfile.ZipFile, name: str, source: Path) -> Any:
    try:
        return json.loads(_read(archive, name))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise StudioError(f"{name} in {source.name} is not JSON ({error}).") from error


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    size = archive.getinfo(name).file_size
    with archive.open(name) as stream:
        # One byte more than it says would be a lie about its size.
        data = stream.read(size + 1)
    if len(data) != size:
        raise zipfile.BadZipFile(f"{name} has another size than the directory says")
    return data


def _add(
    store: "HistoryStore", archive: zipfile.ZipFile, source: Path, document: Any, points: Any, again: bool
) -> RunRecord:
    try:
        if document["format"] != FORMAT or not isinstance(document["version"], int):
            raise StudioError(f"{source.name} is no archive of a run.")
        if document["version"] > VERSION:
            raise StudioError(
                f"{source.name} was written by a newer version: update Compression Studio to import it."
            )
        run = document["run"]
        record, request = _record_of(run, source)
        listed = [_listed(entry, archive, source) for entry in document["files"]]
        layers = {
            stage: tuple(_layer(each) for each in document["layers"].get(stage, [])) for stage in _STAGES
        }
        findings = [
            Finding(
                "",
                _text(each["kind"], 64),
                _text(each["key"], 128),
                _text(each["title"]),
                _dict(each["data"]),
            )
            for each in document["findings"]
        ]
        curve = [_point(each) for each in points]
    except StudioError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        raise StudioError(
            f"{RECORD} or {METRICS} in {source.name} is not as the studio writes it ({type(error).__name__}: {error}).",
        ) from error
    known = store.number_of(record.run_id)
    if known is not None:
        if not again:
            raise StudioError(
                f"{source.name} holds run {known} of this history, which is there already: "
                "import it once more as a new run (--again) if you want it twice."
            )
        record = replace(record, run_id=uuid.uuid4().hex)
        request = replace(request, run_id=record.run_id)
    folder = store.run_folder(record.run_id) / "imported"
    if folder.exists():
        raise StudioError(f"{folder} exists already: move it away, then import the run.")
    with _staged(folder, store.run_folder(record.run_id)) as staging:
        artifacts = []
        for entry in listed:
            place = entry["path"]
            if entry["file"] is not None:
                place = str(folder / entry["file"].removeprefix("files/"))
                _extract(archive, entry, staging.path / entry["file"].removeprefix("files/"), source)
            artifacts.append(
                ArtifactWritten(record.run_id, entry["kind"], place, entry["size"], entry["sha256"])
            )
        events: list[Event] = [
            *([] if record.started is None else [_start(record)]),
            *(
                Measured(record.run_id, stage, measured)
                for stage, measured in (("before", record.before), ("after", record.after))
                if measured is not None
            ),
            *(LayersMeasured(record.run_id, stage, each) for stage, each in layers.items() if each),
            *(replace(point, run_id=record.run_id) for point in curve),
            *(replace(finding, run_id=record.run_id) for finding in findings),
            *(Notice(record.run_id, text) for text in record.notices),
            *artifacts,
        ]
        staging.keep()
        return store.add_finished(request, events, record)


class _staged:  # noqa: N801 - reads as a phrase
    """A temporary folder that becomes `folder` when it is kept, and vanishes when anything fails."""

    def __init__(self, folder: Path, parent: Path) -> None:
        self._folder = folder
        self._parent_was_there = parent.exists()
        self._parent = parent
        parent.mkdir(parents=True, exist_ok=True)
        self.path = Path(tempfile.mkdtemp(prefix=".import-", dir=parent))
        self._kept = False

    def keep(self) -> None:
        if any(self.path.iterdir()):
            self.path.rename(self._folder)
        self._kept = True

    def __enter__(self) -> "_staged":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        if kind is not None:
            if self._kept:
                shutil.rmtree(self._folder, ignore_errors=True)
            if not self._parent_was_there:
                shutil.rmtree(self._parent, ignore_errors=True)
        elif not any(self._parent.iterdir()):
            self._parent.rmdir()


def _extract(archive: zipfile.ZipFile, entry: Mapping[str, Any], target: Path, source: Path) -> None:
    digest = hashlib.sha256()
    left = int(entry["size"])
    with archive.open(entry["file"]) as stream, target.open("wb") as written:
        while chunk := stream.read(CHUNK):
            left -= len(chunk)
            if left < 0:
                break
            digest.update(chunk)
            written.write(chunk)
    if left != 0 or digest.hexdigest() != entry["sha256"]:
        raise StudioError(
            f"“{entry['file']}” in {source.name} is not what its SHA-256 says: get the archive anew."
        )


# -- reading what somebody else wrote ------------------------------------------------------------------------------


def _record_of(run: Mapping[str, Any], source: Path) -> tuple[RunRecord, RunRequest]:
    status = run["status"]
    if status not in get_args(Status):
        raise ValueError(f"status {status!r}")
    run_id = run["run_id"]
    if not isinstance(run_id, str) or not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,63}", run_id):
        raise ValueError("run_id")
    what = f"The recipe in {source.name}"
    request = RunRequest(
        recipe=recipe_from_data(run["recipe"], what),
        source=source_from_json(run["source"]),
        task=None if run["task"] is None else task_from_json(run["task"]),
        seed=_whole(run["seed"]),
        name=_text(run["name"]),
        device=_text(run["device"], 32),
        threads=None if run["threads"] is None else _whole(run["threads"]),
        measure_latency=bool(run["measure_latency"]),
        run_id=run_id,
    )
    moments = {name: _moment(run[name]) for name in ("created", "started", "ended", "active_seconds")}
    parent = run.get("parent_run_id")
    record = RunRecord(
        run_id=run_id,
        number=0,
        name=_text(run["name"]),
        status="interrupted" if status in ("queued", "running") else status,
        created=moments["created"] or time.time(),
        started=moments["started"],
        ended=moments["ended"],
        seed=request.seed,
        source=run["source"],
        source_title=_text(run["source_title"]),
        source_sha256=None if run["source_sha256"] is None else _text(run["source_sha256"], 64),
        task=run["task"],
        task_title=_text(run["task_title"]),
        recipe=run["recipe"],
        method=_text(run["method"]),
        environment={_text(key): _text(value) for key, value in _dict(run["environment"]).items()},
        before=_measurement(run["before"]),
        after=_measurement(run["after"]),
        error=_text(run["error"]),
        error_details=_text(run["error_details"]),
        stopped_early=bool(run["stopped_early"]),
        starred=bool(run["starred"]),
        tags=tuple(_text(tag) for tag in run["tags"]),
        note=_text(run["note"]),
        notices=tuple(_text(notice) for notice in run["notices"]),
        active_seconds=moments["active_seconds"],
        parent_run_id=None if parent is None else _text(parent, 64),
    )
    return record, request


def _start(record: RunRecord) -> RunStarted:
    environment = tuple(record.environment.items())
    return RunStarted(record.run_id, record.started or record.created, environment, record.source_sha256)


def _measurement(data: Any) -> Measurement | None:
    if data is None:
        return None
    measurement = measurement_from_json(_dict(data))
    for part in (measurement, measurement.accuracy, measurement.latency):
        if part is not None:
            _check_kinds(part)
    return measurement


def _layer(data: Mapping[str, Any]) -> LayerStatistics:
    known = {field.name for field in fields(LayerStatistics)}
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in data.items() if key in known
    }
    layer = LayerStatistics(**values)
    _check_kinds(layer)
    return layer


def _check_kinds(value: Any) -> None:
    """Numbers must be numbers and texts texts, as the dataclass says."""
    for field in fields(value):
        entry, kind = getattr(value, field.name), str(field.type)
        if entry is None and "None" in kind:
            continue
        wanted: tuple[type, ...] = ()
        if field.type is int or kind.startswith("int"):
            wanted = (int,)
        elif field.type is float or kind.startswith("float"):
            wanted = (int, float)
        elif field.type is str or kind.startswith("str"):
            wanted = (str,)
        if wanted and (not isinstance(entry, wanted) or isinstance(entry, bool)):
            raise ValueError(f"{field.name} is {entry!r}")


def _point(values: Any) -> MetricPoint:
    step, epoch, iteration, split, metric, value, seconds = values
    return MetricPoint(
        "",
        _whole(step),
        float(epoch),
        _whole(iteration),
        _text(split, 32),
        _text(metric, 64),
        math.nan if value is None else float(value),
        float(seconds),
    )


def _listed(entry: Mapping[str, Any], archive: zipfile.ZipFile, source: Path) -> dict[str, Any]:
    file = entry["file"]
    size, sha256 = _whole(entry["size"]), _text(entry["sha256"], 64)
    if file is not None:
        if not isinstance(file, str) or not _FILE.fullmatch(file) or file not in archive.namelist():
            raise StudioError(f"{RECORD} in {source.name} names the file “{file}”, which is not in it.")
        if archive.getinfo(file).file_size != size:
            raise StudioError(f"“{file}” in {source.name} has another size than {RECORD} says.")
    return {
        "kind": _text(entry["kind"], 64),
        "path": _text(entry["path"]),
        "size": size,
        "sha256": sha256,
        "file": file,
    }


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise ValueError(f"{value!r} is no whole number")
    return value


def _text(value: Any, longest: int = 1_000_000) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise ValueError(f"{str(value)[:40]!r} is no text of at most {longest} characters")
    return value


def _dict(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("an object is missing")
    return value


def _moment(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise ValueError(f"{value!r} is no time")
    return float(value)
