"""Cut: other outputs of a model, what only led to the old ones, and an axis of examples that is free."""
