"""Weight pruning: masks, criteria and the step that applies them."""
