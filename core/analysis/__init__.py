"""Numbers behind the pictures: histograms, statistics, sparsity maps; numpy only."""

from core.analysis.histogram import Histogram, histogram
from core.analysis.sparsity import HeatmapTile, as_matrix, heatmap
from core.analysis.statistics import Statistics, statistics

__all__ = [
    "HeatmapTile",
    "Histogram",
    "Statistics",
    "as_matrix",
    "heatmap",
    "histogram",
    "statistics",
]
