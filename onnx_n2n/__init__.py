"""Grow trained ONNX models without changing what they compute."""
