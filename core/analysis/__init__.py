"""Numbers behind the pictures: histograms, statistics, sparsity maps; numpy only."""
