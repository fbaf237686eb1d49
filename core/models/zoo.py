"""The networks of the papers that the studio reproduces, and the small one of the built-in sample."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional


class ScaledTanh(nn.Module):
    """1.7159 · tanh(2/3 · x): ±1, the targets, lie where it bends most (LeCun et al. 1989)."""

    def forward(self, values: Tensor) -> Tensor:
        """Any shape."""
        return 1.7159 * torch.tanh(values * (2 / 3))


class Subsampling(nn.Module):
    """Averages of 2×2 pixels, times a weight and plus a bias that each map has of its own."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, maps: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H/2, W/2]."""
        pooled = functional.avg_pool2d(maps, 2)
        return pooled * self.scale[:, None, None] + self.shift[:, None, None]


class LeNet1(nn.Module):
    """The network of Optimal Brain Damage (LeCun et al. 1990, "LeNet-1"), [N, 1, 16, 16] -> [N, classes].

    2,578 free parameters, as the paper counts: 4 maps by 5×5 kernels (104), subsampling (8), 12 maps of which eight
    see two maps and four see one (512), subsampling (24), and the output layer (1,930). The 16×16 image stands in the
    middle of 28×28 pixels.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 4, 5)
        self.pool1 = Subsampling(4)
        # Each half of the first maps feeds four maps together and two maps alone.
        self.conv2_two = nn.Conv2d(4, 8, 5, groups=2)
        self.conv2_one = nn.Conv2d(4, 4, 5, groups=4)
        self.pool2 = Subsampling(12)
        self.fc = nn.Linear(12 * 4 * 4, num_classes)
        self.squash = ScaledTanh()

    def forward(self, images: Tensor) -> Tensor:
        """Scores of each class for images [N, C, 16, 16]."""
        maps = self.squash(self.conv1(functional.pad(images, (6, 6, 6, 6), mode="replicate")))
        maps = self.squash(self.pool1(maps))
        maps = self.squash(torch.cat([self.conv2_two(maps), self.conv2_one(maps)], 1))
        maps = self.squash(self.pool2(maps))
        return self.squash(self.fc(maps.flatten(1)))  # type: ignore[no-any-return]


class LeNet300(nn.Module):
    """LeNet-300-100 (LeCun et al. 1998): a perceptron on flattened images, [N, 1, 28, 28] -> [N, classes]."""

    def __init__(self, num_classes: int = 10, in_channels: int = 1) -> None:
        super().__init__()
        self.fc1 = nn.Linear(in_channels * 28 * 28, 300)
        self.fc2 = nn.Linear(300, 100)
        self.fc3 = nn.Linear(100, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Scores of each class for images [N, C, 28, 28]."""
        hidden = functional.relu(self.fc1(images.flatten(1)))
        hidden = functional.relu(self.fc2(hidden))
        return self.fc3(hidden)  # type: ignore[no-any-return]


class WidePerceptron(nn.Module):
    """Two hidden layers of the same width with ReLU on flattened images (Hinton et al. 2015, section 3).

    Args:
        width: of both hidden layers: 1,200 for the paper's teacher, 800 for its student.
    """

    def __init__(self, width: int, num_classes: int = 10, in_channels: int = 1) -> None:
        super().__init__()
        self.fc1 = nn.Linear(in_channels * 28 * 28, width)
        self.fc2 = nn.Linear(width, width)
        self.fc3 = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Scores of each class for images [N, C, 28, 28]."""
        hidden = functional.relu(self.fc1(images.flatten(1)))
        hidden = functional.relu(self.fc2(hidden))
        return self.fc3(hidden)  # type: ignore[no-any-return]


class LeNet5(nn.Module):
    """LeNet-5 as Caffe has it and Deep Compression prunes it, [N, 1, 28, 28] -> [N, classes].

    There is no activation after the convolutions: Caffe's `lenet.prototxt` has a ReLU only between the two last layers.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.fc1 = nn.Linear(50 * 4 * 4, 500)
        self.fc2 = nn.Linear(500, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Scores of each class for images [N, C, 28, 28]."""
        maps = functional.max_pool2d(self.conv1(images), 2)
        maps = functional.max_pool2d(self.conv2(maps), 2)
        return self.fc2(functional.relu(self.fc1(maps.flatten(1))))  # type: ignore[no-any-return]


class ConvNet(nn.Module):
    """Conv-2, Conv-4 or Conv-6 (Frankle, Carbin 2019, figure 2): a small VGG, [N, 3, 32, 32] -> [N, classes].

    Args:
        depth: the number of convolutions, 3×3 with padding, two between poolings, with 64, 128 and 256 channels.
    """

    def __init__(self, depth: int, num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__()
        self.depth = depth
        channels = in_channels
        for index in range(depth):
            width = 64 << (index // 2)
            self.add_module(f"conv{index + 1}", nn.Conv2d(channels, width, 3, padding=1))
            channels = width
        side = 32 >> (depth // 2)
        self.fc1 = nn.Linear(channels * side * side, 256)
        self.fc2 = nn.Linear(256, 256)
        self.fc3 = nn.Linear(256, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Scores of each class for images [N, C, 32, 32]."""
        maps = images
        for index in range(self.depth):
            maps = functional.relu(self.get_submodule(f"conv{index + 1}")(maps))
            if index % 2:
                maps = functional.max_pool2d(maps, 2)
        hidden = functional.relu(self.fc1(maps.flatten(1)))
        hidden = functional.relu(self.fc2(hidden))
        return self.fc3(hidden)  # type: ignore[no-any-return]


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut without parameters (He et al. 2015, option A)."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.added_channels = channels - in_channels

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [N, C, H, W] -> [N, channels, H / stride, W / stride]."""
        shortcut = maps
        if self.stride != 1 or self.added_channels:
            before = self.added_channels // 2
            after = self.added_channels - before
            thinned = maps[:, :, :: self.stride, :: self.stride]
            shortcut = functional.pad(thinned, (0, 0, 0, 0, before, after))
        out = functional.relu(self.bn1(self.conv1(maps)))
        return functional.relu(self.bn2(self.conv2(out)) + shortcut)


class CifarResNet(nn.Module):
    """ResNet for CIFAR-10 (He et al. 2015, section 4.2), [N, 3, 32, 32] -> [N, classes].

    Args:
        depth: 6n + 2 layers: 20, 32, 44, 56, 110.
    """

    def __init__(self, depth: int, num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, 1, blocks)
        self.layer2 = _stage(16, 32, 2, blocks)
        self.layer3 = _stage(32, 64, 2, blocks)
        self.linear = nn.Linear(64, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Scores of each class for images [N, C, 32, 32]."""
        maps = functional.relu(self.bn1(self.conv1(images)))
        maps = self.layer3(self.layer2(self.layer1(maps)))
        return self.linear(maps.mean((2, 3)))  # type: ignore[no-any-return]


def _stage(in_channels: int, channels: int, stride: int, blocks: int) -> nn.Sequential:
    first = BasicBlock(in_channels, channels, stride)
    return nn.Sequential(first, *(BasicBlock(channels, channels, 1) for _ in range(blocks - 1)))


class DigitsCnn(nn.Module):
    """The built-in sample's network for 8×8 digits, [N, 1, 8, 8] -> [N, classes]."""

    def __init__(self, num_classes: int = 10, in_channels: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.conv3 = nn.Conv2d(32, 64, 3, padding=1)
        self.fc1 = nn.Linear(256, 128)
        self.fc2 = nn.Linear(128, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Scores of each class for images [N, C, 8, 8]."""
        maps = functional.relu(self.conv1(images))
        maps = functional.max_pool2d(functional.relu(self.conv2(maps)), 2)
        maps = functional.max_pool2d(functional.relu(self.conv3(maps)), 2)
        return self.fc2(functional.relu(self.fc1(maps.flatten(1))))  # type: ignore[no-any-return]


Fill = Callable[[Tensor, torch.Generator], None]


def glorot_normal(weight: Tensor, generator: torch.Generator) -> None:
    """Gaussian Glorot: N(0, 2 / (fan_in + fan_out)), as the lottery ticket paper initialises."""
    nn.init.xavier_normal_(weight, generator=generator)


def he_normal(weight: Tensor, generator: torch.Generator) -> None:
    """N(0, 2 / fan_in) (He et al. 2015)."""
    nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)


def lecun_uniform(weight: Tensor, generator: torch.Generator) -> None:
    """Uniform within ±2.4 / fan_in (LeCun et al. 1989)."""
    bound = 2.4 / weight[0].numel()
    nn.init.uniform_(weight, -bound, bound, generator=generator)


def caffe_xavier(weight: Tensor, generator: torch.Generator) -> None:
    """Caffe's "xavier" filler: uniform within ±√(3 / fan_in)."""
    bound = sqrt(3 / weight[0].numel())
    nn.init.uniform_(weight, -bound, bound, generator=generator)


class _Build(Protocol):
    def __call__(self, num_classes: int, in_channels: int) -> nn.Module: ...


@dataclass(frozen=True)
class ZooEntry:
    """A built-in network.

    Attributes:
        title: for people.
        build: makes the module from the number of classes and of input channels.
        input_shape: (C, H, W) of one example.
        fill: how its weights begin (biases begin at zero, normalisation at the identity).
        num_classes: what it usually tells apart.
    """

    title: str
    build: _Build
    input_shape: tuple[int, int, int]
    fill: Fill
    num_classes: int = 10


def _conv_net(depth: int) -> ZooEntry:
    def build(num_classes: int, in_channels: int) -> nn.Module:
        return ConvNet(depth, num_classes, in_channels)

    return ZooEntry(f"Conv-{depth}", build, (3, 32, 32), glorot_normal)


def _wide_perceptron(width: int) -> ZooEntry:
    def build(num_classes: int, in_channels: int) -> nn.Module:
        return WidePerceptron(width, num_classes, in_channels)

    return ZooEntry(f"Perceptron 2×{width}", build, (1, 28, 28), he_normal)


def _cifar_resnet(depth: int) -> ZooEntry:
    def build(num_classes: int, in_channels: int) -> nn.Module:
        return CifarResNet(depth, num_classes, in_channels)

    return ZooEntry(f"CIFAR ResNet-{depth}", build, (3, 32, 32), he_normal)


ZOO: Mapping[str, ZooEntry] = {
    "digits-cnn": ZooEntry("Digits CNN", DigitsCnn, (1, 8, 8), he_normal),
    "lenet-1": ZooEntry("LeNet-1 (Optimal Brain Damage)", LeNet1, (1, 16, 16), lecun_uniform),
    "lenet-300-100": ZooEntry("LeNet-300-100", LeNet300, (1, 28, 28), glorot_normal),
    "lenet-5": ZooEntry("LeNet-5 (Caffe)", LeNet5, (1, 28, 28), caffe_xavier),
    "conv-2": _conv_net(2),
    "conv-4": _conv_net(4),
    "conv-6": _conv_net(6),
    "resnet20": _cifar_resnet(20),
    "resnet32": _cifar_resnet(32),
    "resnet44": _cifar_resnet(44),
    "resnet56": _cifar_resnet(56),
    "resnet110": _cifar_resnet(110),
    "perceptron-800": _wide_perceptron(800),
    "perceptron-1200": _wide_perceptron(1200),
}


def initialise(module: nn.Module, fill: Fill, generator: torch.Generator) -> None:
    """Give a built-in network its initial values in place; the same generator state gives the same values."""
    with torch.no_grad():
        for child in module.modules():
            if isinstance(child, nn.Conv2d | nn.Linear):
                fill(child.weight, generator)
                if child.bias is not None:
                    child.bias.zero_()
            elif isinstance(child, nn.BatchNorm2d):
                child.reset_parameters()
            elif isinstance(child, Subsampling):
                nn.init.ones_(child.scale)
                nn.init.zeros_(child.shift)
