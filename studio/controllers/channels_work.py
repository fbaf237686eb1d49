"""What the Channels tab has done on worker threads: pure functions over a layer's weight, without Qt."""

import numpy as np

from core.analysis.channels import Spectrum, channel_norms, cosine_similarities, spectrum
from core.analysis.chunks import Array, Check
from core.analysis.colormaps import heatmap_colors, paint
from core.analysis.pictures import input_axis
from core.analysis.positions import columns_per_channel
from core.analysis.sparsity import HeatmapTile, as_matrix
from core.models.description import Layer
from studio.theme import Tokens
from studio.views.channel_findings import ChannelFindings


def by_output(layer: Layer, weight: Array) -> Array:
    """The weight as a matrix of output channels × input · kernel, also for transposed convolutions."""
    return as_matrix(np.swapaxes(weight, 0, 1) if input_axis(layer.kind, layer.shape) == 0 else weight)


def look_at_channels(layer: Layer, weight: Array, tokens: Tokens, check: Check) -> ChannelFindings:
    """Norms and similarities of a layer's channels, the latter painted in the colours of the scheme."""
    matrix = by_output(layer, weight)
    outputs, inputs = channel_norms(matrix, columns_per_channel(layer.shape), check)
    similarity = cosine_similarities(matrix, check=check)
    colors = heatmap_colors(
        dark=tokens.name == "dark", hole=tokens.hole, going=tokens.bad, invalid=tokens.series_color(5)
    )
    side = len(similarity.channels)
    unknown = np.isnan(similarity.cosines)
    tile = HeatmapTile(
        "signed",
        (0, side),
        (0, side),
        (1, 1),
        True,
        np.where(unknown, 0, similarity.cosines).astype(np.float32),
        unknown.astype(np.float32),
        None,
        None,
    )
    return ChannelFindings(
        layer.name,
        outputs,
        inputs,
        1 - input_axis(layer.kind, layer.shape),
        similarity,
        paint(tile, 1.0, colors),
        colors.signed,
        colors.hole,
        (matrix.shape[0], matrix.shape[1]),
    )


def look_at_spectrum(layer: Layer, weight: Array, check: Check) -> Spectrum | None:
    """Singular values of a layer; None where the matrix is too large."""
    return spectrum(by_output(layer, weight), check)
