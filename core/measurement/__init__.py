"""Measuring a model: accuracy, size, cost, latency, each with how it was obtained."""
