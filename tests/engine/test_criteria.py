"""Pruning criteria against what torch computes the slow way, and one sentence for every criterion that cannot."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, hessian, jacrev

from core.errors import StudioError
from core.pruning import curvature
from core.pruning.criteria import score_layers
from core.pruning.curvature import gauss_newton_diagonal, hessian_diagonal, loss_columns
from core.pruning.step import prune
from core.steps import PruneSettings
from core.training.losses import mean_loss

from .toys import Watcher, toy_network, toy_state

# What torch says to itself when its own Hessian is first used, and BackPACK's hooks.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated"),
    pytest.mark.filterwarnings("ignore:Full backward hook is firing"),
]

LOSSES = ["cross-entropy", "squared-error"]


class Residual(nn.Module):
    """A skip connection, an activation in place, a grouped and a strided convolution, and no bias."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.body = nn.Conv2d(4, 4, 3, padding="same", groups=2)
        self.norm = nn.BatchNorm2d(4)
        self.down = nn.Conv2d(4, 6, 2, stride=2, dilation=2)
        self.head = nn.Linear(24, 3)

    def forward(self, images: Tensor) -> Tensor:
        x = nn.functional.relu(self.stem(images), inplace=True)
        x = x + nn.functional.relu_(self.norm(self.body(x)))
        return self.head(self.down(x).flatten(1))


class Tokens(nn.Module):
    """Linear layers on sequences, one of them used twice."""

    def __init__(self, twice: bool) -> None:
        super().__init__()
        self.embed = nn.Linear(6, 4)
        self.mix = nn.Linear(4, 4)
        self.head = nn.Linear(4, 3)
        self.twice = twice

    def forward(self, images: Tensor) -> Tensor:
        tokens = torch.tanh(self.embed(images[:, 0]))
        tokens = torch.tanh(self.mix(tokens))
        if self.twice:
            tokens = torch.tanh(self.mix(tokens))
        return self.head(tokens.mean(1))


NETWORKS = {
    "relu": toy_network,
    "tanh": lambda: toy_network(nn.Tanh),
    "residual": Residual,
    "tokens": lambda: Tokens(False),
    "twice": lambda: Tokens(True),
}


def data(module: nn.Module, count: int = 7) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 1, 6, 6, generator=generator), torch.randint(
        0, 3, (count,), generator=generator
    )


def names_of(module: nn.Module) -> dict[str, str]:
    return {
        name: f"{name}.weight"
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    }


def slow_gauss_newton(module: nn.Module, x: Tensor, loss: str) -> dict[str, Tensor]:
    """Jᵀ H J of every example in full, H by torch's own Hessian of the loss by the outputs."""
    weights = {name: p.detach() for name, p in module.named_parameters()}
    totals = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for example in x:
        outputs = module(example[None]).detach()[0]
        label = torch.zeros(1, dtype=torch.int64)
        second = hessian(lambda o, label=label: mean_loss(loss)(o[None], label))(outputs)
        jacobian = jacrev(
            lambda w, example=example: functional_call(module, w, (example[None],), strict=False)[0]
        )(weights)
        for name in weights:
            j = jacobian[name].flatten(1)
            totals[name] += torch.einsum("ck,cd,dk->k", j, second, j).view_as(weights[name])
    return {name: total / len(x) for name, total in totals.items()}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_gauss_newton_diagonal_is_that_of_the_full_matrix(network: str, loss: str) -> None:
    torch.manual_seed(3)
    module = NETWORKS[network]().eval()
    x, y = data(module)
    names = names_of(module)
    found = gauss_newton_diagonal(module, names, [(x[:4], y[:4]), (x[4:], y[4:])], loss)
    expected = slow_gauss_newton(module, x, loss)
    for name, weight in names.items():
        torch.testing.assert_close(found[name], expected[weight], rtol=1e-4, atol=1e-6)
    assert not any(layer._forward_hooks for layer in module.modules())
    assert all(p.grad is None for p in module.parameters())


@pytest.mark.parametrize("limit", [1, 1 << 10])
def test_the_gauss_newton_diagonal_does_not_depend_on_its_chunks(
    monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    for module in (Residual().eval(), Tokens(True).eval()):
        x, y = data(module)
        whole = gauss_newton_diagonal(module, names_of(module), [(x, y)], "cross-entropy")
        with monkeypatch.context() as patch:
            patch.setattr(curvature, "_FLOATS_AT_ONCE", limit)
            parts = gauss_newton_diagonal(module, names_of(module), [(x, y)], "cross-entropy")
        for name in whole:
            torch.testing.assert_close(whole[name], parts[name])


def test_the_fast_way_is_taken_where_it_can_be() -> None:
    module = Residual().eval()
    x, _ = data(module)
    assert curvature._by_activations(module, names_of(module), x, "cross-entropy", None) is not None
    twice = Tokens(True).eval()
    assert curvature._by_activations(twice, names_of(twice), x, "cross-entropy", None) is None


def test_the_gauss_newton_diagonal_is_backpacks() -> None:
    backpack = pytest.importorskip("backpack")
    from backpack.extensions import DiagGGNExact

    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 8), nn.Tanh()
    )
    module.append(nn.Linear(8, 3)).eval()
    x, y = data(module, 20)
    ours = gauss_newton_diagonal(module, names_of(module), [(x, y)], "cross-entropy")
    loss = backpack.extend(nn.CrossEntropyLoss())
    extended = backpack.extend(module)
    with backpack.backpack(DiagGGNExact()):
        loss(extended(x), y).backward()
    for name, weight in names_of(module).items():
        torch.testing.assert_close(
            ours[name], module.get_parameter(weight).diag_ggn_exact, rtol=1e-5, atol=1e-7
        )


@pytest.mark.parametrize("loss", LOSSES)
def test_random_columns_give_the_exact_matrix_on_average(loss: str) -> None:
    outputs = torch.tensor([[0.5, -1.0, 2.0]]).expand(40_000, 3)
    exact = loss_columns(outputs[:1], loss)
    drawn = loss_columns(outputs, loss, torch.Generator().manual_seed(0))
    assert drawn.shape == (1, 40_000, 3)
    expected = torch.einsum("kbi,kbj->ij", exact, exact)
    found = torch.einsum("kbi,kbj->ij", drawn, drawn) / 40_000
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0.0)
    second = hessian(lambda o: mean_loss(loss)(o[None], torch.zeros(1, dtype=torch.int64)))(outputs[0])
    torch.testing.assert_close(expected, second)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_hessian_diagonal_is_torchs(loss: str) -> None:
    module = toy_network(nn.Tanh)
    x, y = data(module)
    names = names_of(module)
    found = hessian_diagonal(module, names, lambda: [(x[:3], y[:3]), (x[3:], y[3:])], loss)
    weights = {weight: module.get_parameter(weight).detach() for weight in names.values()}
    for name, weight in names.items():
        size = weights[weight].numel()

        def loss_of(w: Tensor, weight: str = weight) -> Tensor:
            return mean_loss(loss)(functional_call(module, {weight: w}, (x,), strict=False), y)

        full = hessian(loss_of)(weights[weight]).reshape(size, size)
        torch.testing.assert_close(found[name].flatten(), full.diagonal(), rtol=1e-4, atol=1e-5)
    gone = torch.ones_like(weights["3.weight"], dtype=torch.bool)
    gone[0] = False
    lives = {name: torch.ones_like(weights[w], dtype=torch.bool) for name, w in names.items()} | {"3": gone}
    partial = hessian_diagonal(module, names, lambda: [(x, y)], loss, lives)
    assert not partial["3"][0].any()
    torch.testing.assert_close(partial["3"][1:], found["3"][1:], rtol=1e-4, atol=1e-6)


def test_for_relu_networks_gauss_newton_is_the_hessian() -> None:
    module = toy_network()
    x, y = data(module)
    names = names_of(module)
    ours = gauss_newton_diagonal(module, names, [(x, y)], "cross-entropy")
    exact = hessian_diagonal(module, names, lambda: [(x, y)], "cross-entropy")
    for name in names:
        torch.testing.assert_close(ours[name], exact[name], rtol=1e-4, atol=1e-6)


def scores_by(criterion: str, tmp_path: Path, module: nn.Module | None = None, **more: object):
    settings = PruneSettings(criterion=criterion, examples=50, **more)
    state = toy_state(settings, module=module)
    before = {name: t.clone() for name, t in state.module.state_dict().items()}
    scores, examples = score_layers(settings, state, state.description.layers, Watcher(tmp_path))
    for name, tensor in state.module.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all(scores[layer.name].shape == layer.shape for layer in state.description.layers)
    return state, scores, examples


def test_gradient_is_weight_times_gradient(tmp_path: Path) -> None:
    state, scores, examples = scores_by("gradient", tmp_path)
    x, y = examples.split.batch(examples.chosen)
    nn.functional.cross_entropy(state.module(x), y).backward()
    for layer in state.description.layers:
        weight = state.module.get_parameter(layer.weight_name)
        torch.testing.assert_close(
            scores[layer.name], (weight * weight.grad).abs().detach(), rtol=1e-4, atol=1e-7
        )


def test_obd_is_half_the_curvature_times_the_square(tmp_path: Path) -> None:
    state, scores, examples = scores_by("obd", tmp_path)
    x, _ = examples.split.batch(examples.chosen)
    expected = slow_gauss_newton(state.module, x, "cross-entropy")
    for layer in state.description.layers:
        weight = state.module.get_parameter(layer.weight_name).detach()
        torch.testing.assert_close(
            scores[layer.name], 0.5 * expected[layer.weight_name] * weight**2, rtol=1e-4, atol=1e-7
        )
    _, by_hessian, _ = scores_by("obd", tmp_path, curvature="hessian")
    torch.testing.assert_close(scores["5"], by_hessian["5"], rtol=1e-4, atol=1e-7)
    _, sampled, _ = scores_by("obd", tmp_path, curvature="gauss-newton-sampled")
    assert 0.3 < float(sampled["3"].sum() / scores["3"].sum()) < 3


def test_wanda_is_magnitude_times_input_norm(tmp_path: Path) -> None:
    state, scores, examples = scores_by("wanda", tmp_path)
    x, _ = examples.split.batch(examples.chosen)
    patches = nn.functional.unfold(x, 3)
    norms = patches.square().sum((0, 2)).sqrt().reshape(1, 1, 3, 3)
    torch.testing.assert_close(scores["0"], (state.module[0].weight.abs() * norms).detach())
    hidden = state.module[:3](x)
    torch.testing.assert_close(scores["3"], (state.module[3].weight.abs() * hidden.norm(dim=0)).detach())


def test_wanda_knows_groups_and_one_dimension(tmp_path: Path) -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.line = nn.Conv1d(6, 4, 3, padding=1, groups=2)
            self.head = nn.Linear(24, 3)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(self.line(images[:, 0]).flatten(1))

    state, scores, examples = scores_by("wanda", tmp_path, Mixed().eval())
    x, _ = examples.split.batch(examples.chosen)
    padded = nn.functional.pad(x[:, 0], (1, 1))
    for output in range(4):
        for feature in range(3):
            row = padded[:, output // 2 * 3 + feature]
            for offset in range(3):
                expected = (
                    state.module.line.weight[output, feature, offset].abs()
                    * row[:, offset : offset + 6].norm()
                )
                assert float(scores["line"][output, feature, offset]) == pytest.approx(
                    expected.item(), rel=1e-4
                )


def test_movement_is_what_a_short_training_accumulates(tmp_path: Path) -> None:
    _state, scores, examples = scores_by("movement", tmp_path, learning_rate=0.05)
    module = toy_network().train()
    expected = torch.zeros(5, 64)
    for chosen in examples.chosen.split(32):
        x, y = examples.split.batch(chosen)
        module.zero_grad()
        nn.functional.cross_entropy(module(x), y).backward()
        with torch.no_grad():
            expected -= module[3].weight * module[3].weight.grad
            for parameter in module.parameters():
                parameter -= 0.05 * parameter.grad
    torch.testing.assert_close(scores["3"], expected, rtol=1e-4, atol=1e-6)
    assert (scores["3"] < 0).any()


def test_random_depends_on_the_seed_alone(tmp_path: Path) -> None:
    settings = PruneSettings(criterion="random")
    results = []
    for seed in (1, 1, 2):
        state = toy_state(settings, task=False, seed=seed)
        results.append(score_layers(settings, state, state.description.layers, Watcher(tmp_path))[0]["3"])
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_examples_come_from_the_training_split_alone(tmp_path: Path) -> None:
    state, _, examples = scores_by("wanda", tmp_path)
    assert examples.split is state.task.train
    assert len(examples) == 50
    assert len(set(examples.chosen.tolist())) == 50


def test_obd_foretells_the_loss(tmp_path: Path) -> None:
    """Few deletions of a trained network: the prediction has the measured increase's size, and the points say so."""
    from core.steps import FineTuneSettings
    from core.training.step import fine_tune

    tune = FineTuneSettings(epochs=30, learning_rate=0.02)
    state = toy_state(tune)
    fine_tune(tune, state, Watcher(tmp_path))
    predictions, measured = [], []
    for sparsity in (0.3, 0.5, 0.6):
        context = Watcher(tmp_path)
        prune(PruneSettings(criterion="obd", sparsity=sparsity, examples=100), state, context)
        predictions += context.values("saliency", "predicted loss increase")
        measured += context.values("saliency", "measured loss increase")
        assert any("foretold" in getattr(event, "text", "") for event in context.events)
        assert context.values("model", "sparsity")[0] == pytest.approx(sparsity, abs=2e-3)
    assert all(a < b for a, b in pairwise(predictions))
    assert 0 < predictions[0] < 0.01
    assert abs(measured[0]) < 0.05


@pytest.mark.parametrize("criterion", ["gradient", "obd", "wanda", "movement"])
def test_a_criterion_without_data_is_one_sentence(tmp_path: Path, criterion: str) -> None:
    settings = PruneSettings(criterion=criterion)
    assert settings.needs_data
    for task in (True, False):
        state = toy_state(settings, task=task)
        if state.task is not None:
            object.__setattr__(state.task, "train", None)
        with pytest.raises(StudioError, match=f"“{criterion}”.*magnitude"):
            prune(settings, state, Watcher(tmp_path))
        assert len(state.masks) == 0


def test_what_cannot_be_ranked_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = PruneSettings(criterion="obd", curvature="hessian")
    monkeypatch.setattr(curvature, "MOST_HESSIAN_WEIGHTS", 100)
    with pytest.raises(StudioError, match=r"371 weights would take hours.*gauss-newton"):
        prune(settings, toy_state(settings), Watcher(tmp_path))

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.ConvTranspose2d(1, 2, 2)
            self.head = nn.Linear(98, 3)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(self.up(images).flatten(1))

    wanda = PruneSettings(criterion="wanda")
    with pytest.raises(StudioError, match=r"inputs of layer “up” \(conv_transpose2d\)"):
        prune(wanda, toy_state(wanda, module=Odd().eval()), Watcher(tmp_path))
    movement = PruneSettings(criterion="movement", learning_rate=10.0)
    state = toy_state(movement)
    with torch.no_grad():
        state.module[5].weight.fill_(1e30)
    with pytest.raises(StudioError, match=r"diverged.*learning rate"):
        prune(movement, state, Watcher(tmp_path))


def test_attention_is_differentiated_example_by_example(tmp_path: Path) -> None:
    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
            self.head = nn.Linear(6, 3)

        def forward(self, images: Tensor) -> Tensor:
            tokens = images[:, 0]
            return self.head(self.attention(tokens, tokens, tokens, need_weights=False)[0].mean(1))

    torch.manual_seed(0)
    module = Attending().eval()
    x, y = data(module, 3)
    names = {"attention": "attention.in_proj_weight", "head": "head.weight"}
    found = gauss_newton_diagonal(module, names, [(x, y)], "cross-entropy")
    with curvature._plain_attention():
        expected = slow_gauss_newton(module, x, "cross-entropy")
    assert torch.backends.mha.get_fastpath_enabled()
    for name, weight in names.items():
        torch.testing.assert_close(found[name], expected[weight], rtol=1e-4, atol=1e-6)
