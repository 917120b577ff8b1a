"""How large fresh channels can get, and so which groups may have them.

A fresh channel holds other numbers than the teacher's channels. Its outgoing weights are zero, but zero times infinity
is no number. So a group gets fresh channels only if what they reach is finite wherever the teacher's tensors are.
"""
