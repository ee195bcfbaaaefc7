"""Labels for body parts, found in the feature maps of all pictures of one person: tensors in, tensors out.

A new way is a file here, a line in `PARSERS` and its name in `ParsingOptions.by`.
"""

from __future__ import annotations

from collections.abc import Callable

from common.errors import unknown_name
from modeling.parsing.co_parsing import CoParser
from modeling.parsing.k_means import KMeansParser
from modeling.parsing.options import ParsingOptions
from modeling.parsing.parser import Parsed, Parser
from modeling.parsing.statistics import MaskStatistics
from modeling.parsing.stripes import StripesParser, stripes

__all__ = ["PARSERS", "MaskStatistics", "Parsed", "Parser", "ParsingOptions", "build_parser", "stripes"]

PARSERS: dict[str, Callable[[ParsingOptions], Parser]] = {
    "co-parsing": CoParser,
    "k-means": KMeansParser,
    "stripes": StripesParser,
}


def build_parser(options: ParsingOptions) -> Parser:
    """What `options.parsing.by` asks for; an unknown name is an error that lists the known ones."""
    if options.by not in PARSERS:
        raise unknown_name("parser", options.by, PARSERS)
    return PARSERS[options.by](options)
