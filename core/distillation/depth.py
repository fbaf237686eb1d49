"""Families of networks that differ in depth alone, and the member of a wanted depth."""

from core.errors import StudioError

FAMILIES: tuple[tuple[str, ...], ...] = (
    ("zoo:resnet20", "zoo:resnet32", "zoo:resnet44", "zoo:resnet56", "zoo:resnet110"),
    ("torchvision:resnet18", "torchvision:resnet34"),
    ("torchvision:resnet50", "torchvision:resnet101", "torchvision:resnet152"),
    ("torchvision:vgg11", "torchvision:vgg13", "torchvision:vgg16", "torchvision:vgg19"),
    ("torchvision:vgg11_bn", "torchvision:vgg13_bn", "torchvision:vgg16_bn", "torchvision:vgg19_bn"),
    ("torchvision:densenet121", "torchvision:densenet169", "torchvision:densenet201"),
)
"""Each from shallow to deep; a member's name ends in the number of its layers (before any suffix)."""


def layers_of(architecture: str) -> int:
    """The number of layers in a name such as `zoo:resnet56`."""
    return int("".join(sign for sign in architecture.partition(":")[2].partition("_")[0] if sign.isdecimal()))


def shallower(architecture: str, depth: float) -> str:
    """The member of the same family whose number of layers is nearest to `depth` (in (0, 1)) of this one's.

    Args:
        architecture: as descriptions name it; a weights' name behind `@` is ignored.

    Raises:
        StudioError: if the network has no shallower relative.
    """
    plain = architecture.partition("@")[0]
    family = next((members for members in FAMILIES if plain in members), ())
    shorter = family[: family.index(plain)] if family else ()
    if not shorter:
        known = ", ".join(
            f"{members[0].partition(':')[2]} to {members[-1].partition(':')[2]}" for members in FAMILIES
        )
        raise StudioError(
            f"There is no shallower network of the kind of {plain.partition(':')[2] or plain}: depths can be chosen "
            f"among {known}. Give the student's architecture, or scale its width."
        )
    wanted = depth * layers_of(plain)
    return min(shorter, key=lambda member: abs(layers_of(member) - wanted))
