"""Models: where they come from, what they consist of, how they are recognised."""
