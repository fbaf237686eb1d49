"""Probabilities at a temperature; numpy alone, so that a window can follow a slider."""

import numpy as np
from numpy.typing import NDArray


def soft_targets(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """softmax(logits / temperature) along the last axis, in float64."""
    scaled = logits.astype(np.float64) / temperature
    exponentials: NDArray[np.float64] = np.exp(scaled - scaled.max(-1, keepdims=True))
    shares: NDArray[np.float64] = exponentials / exponentials.sum(-1, keepdims=True)
    return shares
