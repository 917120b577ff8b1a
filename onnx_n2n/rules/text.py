"""Operators on text."""

from onnx_n2n.rules.registry import declare

declare("RegexFullMatch", "*p -> *p")
declare("StringConcat", "~*p, ~*p -> *p")
declare("StringSplit", "*p -> *p _, *p", why="it has one place for every part of a text")
declare("StringNormalizer", "*_ -> *_", why="words are left out of it")
declare("TfIdfVectorizer", "*n _ -> *n _", why="n-grams are counted along it")
