"""Operators on text."""

from __future__ import annotations

import numpy as np

from helpers.probes.case import Case, case, flat

CASES: dict[str, list[Case]] = {}

PINNED = {"StringNormalizer"}
TEXT = "s = Cast<to=8>(h)"
WORDS = {"words": np.array(list("abcABC"), object)}
CASES["RegexFullMatch"] = [case(f'{TEXT} z = RegexFullMatch<pattern="-.*">(s)', 12, opset=20)]
CASES["StringConcat"] = [
    case("a = Floor(h) i = Cast<to=7>(a) s = Cast<to=8>(i) c = StringConcat(s, five) z = Cast<to=1>(c)", 12, opset=20,
         five=np.array(["5"], object)),
]
CASES["StringSplit"] = [
    case(f'{TEXT} p, n = StringSplit<delimiter=".">(s) z = RegexFullMatch<pattern="-?[0-3]*">(p)', 12, opset=20),
]
CASES["StringNormalizer"] = [
    case('n = StringNormalizer<case_change_action="UPPER", locale="C">(words) e = Equal(n, words) '
         "f = Cast<to=1>(e) z = Mul(h, f)", 12, opset=19, **WORDS),
]
CASES["TfIdfVectorizer"] = [
    flat('a = Mul(h, two) t = Transpose(a) i = Cast<to=6>(t) z = TfIdfVectorizer<mode="TF", min_gram_length=1, '
         "max_gram_length=1, max_skip_count=0, ngram_counts=[0], ngram_indexes=[0, 1, 2], pool_int64s=[0, 1, -1]>(i)",
         12, close=0, two=2.0),
    flat('a = Mul(h, two) i = Cast<to=6>(a) z = TfIdfVectorizer<mode="TF", min_gram_length=1, max_gram_length=1, '
         "max_skip_count=0, ngram_counts=[0], ngram_indexes=[0, 1, 2], pool_int64s=[0, 1, -1]>(i)", close=(), two=2.0),
]
