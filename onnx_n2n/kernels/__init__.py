"""Kernels of convolutions: where these are, what must follow when one grows, and how it is done."""
