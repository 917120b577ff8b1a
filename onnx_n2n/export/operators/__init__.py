"""Operators as functions, written once for all frameworks, by family; ``arrays`` says what they are written in."""
