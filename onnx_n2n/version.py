"""The version, stated here only."""

VERSION = "0.1.0"
