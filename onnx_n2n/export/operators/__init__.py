"""Operators as functions, one family per file, written once for all frameworks over the namespace in ``arrays``."""
