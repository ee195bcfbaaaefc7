"""The systems, by name. A new one is a file here and a line in `METHODS`."""

from __future__ import annotations

from common.errors import unknown_name
from configs.schema import Config, Section
from modeling.methods.aim import Aim
from modeling.methods.baseline import Baseline
from modeling.methods.cacenet import CaceNet
from modeling.methods.cail import Cail
from modeling.methods.cal import Cal
from modeling.methods.camc import Camc
from modeling.methods.hcga import Hcga
from modeling.methods.method import Embedder, Facts, Method

METHODS: dict[str, type[Method]] = {
    "baseline": Baseline,
    "cail": Cail,
    "cal": Cal,
    "aim": Aim,
    "camc": Camc,
    "cacenet": CaceNet,
    "hcga": Hcga,
}


def method_class(name: str) -> type[Method]:
    """The class of a method; an unknown name is an error that lists the known ones."""
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    return METHODS[name]


def options_of(name: str) -> type[Section]:
    """The schema of a method's `options:` (for `configs.loader.load`)."""
    return method_class(name).Options


def build_method(config: Config, facts: Facts) -> Method:
    """What `method:` asks for, to be trained."""
    return method_class(config.method).build(config, facts)


def build_embedder(config: Config) -> Embedder:
    """The evaluation network of `method:`, without what only training needs and without loading pretrained weights."""
    return method_class(config.method).build_embedder(without_pretrained(config))


def without_pretrained(config: Config) -> Config:
    """The configuration for a network whose weights come from elsewhere."""
    return config.changed(model={"pretrained": "none"})
