"""Lies: pairs of models that do not compute the same, a table for each thing that is lied about."""
