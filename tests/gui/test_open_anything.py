"""The real window opens what people have: a real checkpoint, gigabytes, shards, and files that are no models."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PySide6.QtWidgets import QLabel, QTableView

from core.analysis.statistics import Statistics
from core.analysis.summary import LayerSummary
from studio.views.inspector import HISTOGRAM, Inspector
from studio.views.layer_panel import LayerPanel

from ..engine.broken_files import BAD
from ..engine.large_files import write_sparse
from .user import User

TENSORS, SHARDS = 300, 4
SHAPE = (1000, 3333)
"""Of each of 300 tensors: 4 GB in fp32."""

MOST_MEGABYTES = 300
"""That looking through gigabytes may add to the window."""

# These ask whether the file's code may run (`test_shell_trust`); a folder is offered as images.
ASKING = {"whole module", "whole module, legacy", "exported program", "TorchScript", "folder"}


def notice(user: User) -> str:
    return user.see(QLabel, "noticeBarText").text()


def anonymous_megabytes() -> float:
    """Memory of this process that is no cache of files."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("RssAnon"))


def counted(user: User) -> bool:
    return not user.see(LayerPanel, "layerPanel").model.missing()


def figures(user: User, layer: int) -> Statistics:
    found = user.see(LayerPanel, "layerPanel").model.summary(layer)
    assert isinstance(found, LayerSummary)
    return found.statistics


def test_broken_files_get_a_sentence_each_and_the_model_stays(user: User, tmp_path: Path) -> None:
    model = user.studio.state.model
    kinds = [kind for kind in BAD if kind not in ASKING]
    assert len(kinds) >= 20
    for number, kind in enumerate(kinds):
        make, expected = BAD[kind]
        path = tmp_path / f"broken-{number}.pt"
        make(path)
        user.drop(path)
        user.until(lambda name=path.name: name in notice(user))  # type: ignore[misc]
        text = notice(user)
        assert re.search(expected, text), f"{kind}: {text}"
        assert text.endswith(".")
        assert "Traceback" not in text
        assert user.studio.state.model is model
    assert not (tmp_path / "trace").exists()
    # The window is as usable as before.
    user.row(user.see(QTableView, "layerTable"), 2)
    user.until(lambda: "conv3" in user.see(QLabel, "inspectorHeading").text())


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
@pytest.mark.parametrize("sharded", [False, True])
def test_four_gigabytes_open_at_once_and_are_counted_in_little_memory(
    user: User, tmp_path: Path, sharded: bool
) -> None:
    names = [f"blocks.{place:03}.weight" for place in range(TENSORS)]
    path = tmp_path / "large.safetensors"
    if sharded:
        placed = {}
        for shard in range(SHARDS):
            part = f"model-{shard + 1:05}-of-{SHARDS:05}.safetensors"
            write_sparse(tmp_path / part, names[shard::SHARDS], SHAPE)
            placed |= dict.fromkeys(names[shard::SHARDS], part)
        path = tmp_path / "model.safetensors.index.json"
        path.write_text(json.dumps({"weight_map": placed}))
    else:
        write_sparse(path, names, SHAPE)
    user.until(lambda: counted(user))
    before = anonymous_megabytes()
    user.drop(path)
    table = user.see(QTableView, "layerTable")
    user.until(lambda: table.model().rowCount() == TENSORS)
    state, inspector = user.studio.state, user.see(Inspector, "inspector")
    assert inspector.tab == HISTOGRAM
    # A layer that was clicked is shown while all others are still being counted.
    user.row(table, 1)
    name = state.layers[0]
    user.until(lambda: name in user.see(QLabel, "inspectorHeading").text())
    user.until(lambda: inspector.notice.state == "ready")
    if sharded:
        # Once through everything is enough for both.
        user.until(lambda: 0 not in user.see(LayerPanel, "layerPanel").model.missing())
    else:
        user.until(lambda: counted(user), timeout=120_000)
    assert anonymous_megabytes() - before < MOST_MEGABYTES
    assert state.model is not None
    values = np.random.default_rng(0).standard_normal((16 << 20) // 4, dtype=np.float32)[
        : SHAPE[0] * SHAPE[1]
    ]
    first = figures(user, 0)
    assert first.minimum == values.min()
    assert first.maximum == values.max()
    assert first.mean == pytest.approx(values.mean(dtype=np.float64), rel=1e-6)
    assert first.zeros == np.count_nonzero(values == 0)


@pytest.mark.skipif("COMPRESSION_STUDIO_DATA" not in os.environ, reason="needs COMPRESSION_STUDIO_DATA")
def test_a_real_checkpoint_is_recognised_and_its_figures_are_numpys(user: User) -> None:
    path = Path(os.environ["COMPRESSION_STUDIO_DATA"]) / "checkpoints" / "resnet20-12fca82f.th"
    user.drop(path)
    state = user.studio.state
    user.until(lambda: state.model is not None and state.model.description.source.kind == "file")
    assert state.model is not None
    assert state.model.description.architecture == "zoo:resnet20"
    user.until(lambda: counted(user))
    weights = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    layers = state.model.description.layers
    assert len(layers) == 20
    for place, layer in enumerate(layers):
        summary = figures(user, place)
        values = weights[f"module.{layer.weight_name}"].numpy().astype(np.float64)
        assert summary.minimum == values.min()
        assert summary.maximum == values.max()
        assert summary.mean == pytest.approx(values.mean(), rel=1e-9, abs=1e-12)
        assert summary.std == pytest.approx(values.std(), rel=1e-9)
        assert summary.zeros == np.count_nonzero(values == 0)
