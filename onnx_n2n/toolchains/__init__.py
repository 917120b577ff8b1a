"""Passes and loaders for other tools, which are extras: Olive and polygraphy."""
