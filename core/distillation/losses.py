"""The losses of distillation, each a mean over the batch, as their papers define them."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def soft_probabilities(teacher_logits: Sequence[Tensor], temperature: float) -> Tensor:
    """The mean over the teachers of softmax(logits / temperature), [B, C]."""
    found = [torch.softmax(logits / temperature, 1) for logits in teacher_logits]
    return found[0] if len(found) == 1 else torch.stack(found).mean(0)


def soft_target_loss(student_logits: Tensor, probabilities: Tensor, temperature: float) -> Tensor:
    """T² · KL(teacher ‖ student) at temperature T (Hinton et al. 2015, section 2).

    The factor keeps the gradients as large as those on hard labels, whatever the temperature.

    Args:
        student_logits: [B, C].
        probabilities: the teacher's at the same temperature, [B, C].
    """
    cross_entropy = functional.cross_entropy(student_logits / temperature, probabilities)
    # A constant for the student: only so is the loss zero where both agree.
    entropy = torch.special.entr(probabilities).sum() / probabilities.shape[0]
    loss: Tensor = (cross_entropy - entropy) * (temperature * temperature)
    return loss


def logit_loss(student_logits: Tensor, teacher_logits: Sequence[Tensor]) -> Tensor:
    """Mean squared difference to the teachers' mean logits, over batch and classes (Ba and Caruana 2014, eq. 1)."""
    wanted = teacher_logits[0] if len(teacher_logits) == 1 else torch.stack(list(teacher_logits)).mean(0)
    return functional.mse_loss(student_logits, wanted)


def hint_loss(projected: Tensor, hint: Tensor) -> Tensor:
    """Half the mean squared difference between the projected student and the teacher's layer (FitNets, eq. 3)."""
    return 0.5 * functional.mse_loss(projected, hint)


def attention_map(maps: Tensor) -> Tensor:
    """Mean over the channels of squared activations, as a unit vector for each example: [B, C, …] to [B, positions].

    Zagoruyko and Komodakis 2017, section 3.1, with p = 2.
    """
    return functional.normalize(maps.square().mean(1).flatten(1), dim=1)


def attention_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over the batch of half the squared distance between the attention maps of [B, C, …] and [B, C', …].

    Zagoruyko and Komodakis 2017, eq. 2, with the squared distance that their program takes.
    """
    return 0.5 * (attention_map(student) - attention_map(teacher)).square().sum(1).mean()


def relational_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Relational distillation of vectors [B, D] and [B, D']: distances plus twice the angles (Park et al. 2019).

    Equations 4 to 8; the weights 1 : 2 are those of the paper (25 and 50), a common factor apart.
    """
    return distance_loss(student, teacher) + 2 * angle_loss(student, teacher)


def distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Huber loss between all distances within the batch, each divided by their mean."""
    with torch.no_grad():
        wanted = _relative_distances(teacher)
    return functional.smooth_l1_loss(_relative_distances(student), wanted)


def angle_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Huber loss between the cosines of the angles of all triplets of the batch; B³ numbers."""
    with torch.no_grad():
        wanted = _cosines(teacher)
    return functional.smooth_l1_loss(_cosines(student), wanted)


def _relative_distances(vectors: Tensor) -> Tensor:
    squares = vectors.square().sum(1)
    products = vectors @ vectors.T
    squared = (squares[:, None] + squares[None, :] - 2 * products).clamp(min=1e-12)
    # The distance of an example to itself is no relation, and the root has no gradient there.
    off = ~torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    distances = torch.where(off, squared, 1.0).sqrt() * off
    count = max(1, len(vectors) * (len(vectors) - 1))
    return distances / (distances.sum() / count).clamp(min=1e-12)


def _cosines(vectors: Tensor) -> Tensor:
    # [i, j, :] points from example i to example j; the product over it is the cosine at the corner i.
    differences = functional.normalize(vectors[None, :, :] - vectors[:, None, :], dim=2)
    return torch.bmm(differences, differences.transpose(1, 2))
