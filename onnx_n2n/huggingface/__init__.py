"""Hugging Face folders: a model that is its config and its weights, in and out."""
