"""Depth: where layers can be put into a model, and what they are made of."""
