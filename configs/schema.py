"""Every key a configuration file may hold, with its type, its default and what it means.

`configs/loader.py` reads YAML into `Config`; a key that is not here is an error. A method's own keys stand in its file
(`modeling/methods/*.py`, class `Options`) and are read from the section `options:`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    TypeAdapter,
    field_validator,
    model_validator,
)

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Colour = Annotated[int, Field(ge=0, le=255)]


def _one_or_several(one: Any) -> Callable[[Any], Any]:
    """Read a value, or a list of them; a list of one is that one. An error names what is wrong, not both readings."""
    single: TypeAdapter[Any] = TypeAdapter(one)
    several: TypeAdapter[Any] = TypeAdapter(tuple[one, ...])

    def read(value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            return single.validate_python(value)
        values = several.validate_python(value)
        return values[0] if len(values) == 1 else values

    return read


Names = Annotated[str | tuple[str, ...], BeforeValidator(_one_or_several(str))]
Roots = Annotated[Path | tuple[Path | None, ...] | None, BeforeValidator(_one_or_several(Path | None))]


class Section(BaseModel):
    """A group of keys; unknown keys are refused and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Term(Section):
    """When and how strongly a loss counts: `weight` from epoch `from_epoch` to `until_epoch`, both included."""

    weight: float = Field(1.0, ge=0)
    from_epoch: int = Field(1, ge=1)
    until_epoch: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _some_epoch(self) -> Term:
        if self.until_epoch is not None and self.until_epoch < self.from_epoch:
            raise ValueError(f"until_epoch {self.until_epoch} is before from_epoch {self.from_epoch}")
        return self

    def at(self, epoch: int) -> float:
        """The weight in `epoch` (1-based); 0 outside the term's epochs."""
        over = self.until_epoch is not None and epoch > self.until_epoch
        return 0.0 if epoch < self.from_epoch or over else self.weight


class Augment(Section):
    """What training does to a picture, in this order; probabilities and sizes in pixels of the resized picture."""

    flip: Probability = 0.5  # left-right
    jitter: float = Field(0.0, ge=0, lt=1)  # brightness, contrast, saturation each x U(1−j, 1+j)
    enlarge: Probability = 0.0  # to 9/8 of the size, and a random crop back (CAL, AIM)
    pad: int = Field(10, ge=0)  # border added on all sides before a random crop back to size
    pad_fill: Colour = 0  # grey of that border; the CAIL recipe uses 127
    erase: Probability = 0.5  # random erasing (Zhong 2020)
    erase_fill: tuple[Colour, Colour, Colour] | None = None  # RGB; the mean colour when not given
    erase_area: tuple[Probability, Probability] = (0.02, 0.4)  # share of the picture
    erase_aspect: tuple[Positive, Positive] = (0.3, 3.3)  # height : width

    @model_validator(mode="after")
    def _ranges(self) -> Augment:
        for name in ("erase_area", "erase_aspect"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} is a range from low to high, got {low} to {high}")
        return self


class Poses(Section):
    """Where the maps of the joints come from that a network is given beside the pictures, when it asks for them."""

    source: Literal["hrnet", "cached", "keypoints", "zeros"] = "hrnet"
    input: Literal["clean", "augmented"] = "clean"  # of hrnet: the picture as it was, or as published the augmented one
    face: Literal["merged", "apart"] = "merged"  # 13 maps: nose, eyes and ears in one; or 17, COCO's joints
    file: Path = Path("joints.json")  # of keypoints; counts from each dataset's root
    folder: Path = Path("features/poses")  # of cached: what `python3 -m engine.pose` writes
    network: Literal["hrnet_w48", "hrnet_w32"] = "hrnet_w48"
    weights: Path | None = None  # of hrnet: a COCO checkpoint of that network
    shuffled: bool = False  # a control: every picture gets another picture's joints

    @property
    def channels(self) -> int:
        """J, how many maps a picture has."""
        return 13 if self.face == "merged" else 17


class Data(Section):
    """Which pictures, of what size."""

    source: Names = "market"  # trained on: a name in configs/datasets.yml, or a reader with `root`; or a list of them
    root: Roots = None  # where it lies; overrides datasets.yml and REID_ROOT_<NAME>; of several sources a list, or none
    target: str | None = None  # evaluated on (and adapted to); the source itself when not given and there is one
    target_root: Path | None = None
    validation: float = Field(0.0, ge=0, lt=1)  # share of each source's people held out to choose checkpoints by
    height: int = Field(256, ge=16)
    width: int = Field(128, ge=16)
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)  # of RGB in [0, 1]
    std: tuple[Positive, Positive, Positive] = (0.229, 0.224, 0.225)
    decoder: Literal["pillow", "opencv"] = "pillow"  # opencv: faster where installed; pixels within one level
    workers: int = Field(4, ge=0)  # loader processes per rank; does not change what is loaded
    # Keeps decoded training pictures (not those of query and gallery); does not change what is loaded. Of `ram` every
    # process has its own, and of several each is given other pictures in the next epoch and decodes those; `disk` is
    # shared by all of a machine.
    cache: Literal["none", "ram", "disk"] = "none"
    cache_folder: Path = Path("cache")  # of `disk`; may be deleted whenever no run uses it
    augment: Augment = Augment()
    poses: Poses = Poses()  # used by networks that need them, and by no other

    @field_validator("source")
    @classmethod
    def _some_source(cls, source: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if source == ():
            raise ValueError("name at least one dataset to train on")
        return source

    @model_validator(mode="after")
    def _several_sources(self) -> Data:
        if isinstance(self.source, str):
            if isinstance(self.root, tuple):
                raise ValueError(f"root lists {len(self.root)} folders for the one source {self.source}; give one")
            return self
        names = ", ".join(self.source)
        if self.root is not None and (isinstance(self.root, Path) or len(self.root) != len(self.source)):
            given = 1 if isinstance(self.root, Path) else len(self.root)
            raise ValueError(
                f"root gives {given} folder(s) for {len(self.source)} sources ({names}); give a list of"
                f" {len(self.source)} (null where configs/datasets.yml knows), or none"
            )
        twice = next((name for name, root in self.sources if self.sources.count((name, root)) > 1), None)
        if twice is not None:
            raise ValueError(f"source lists {twice} twice with the same root; name each dataset once")
        if not self.target:
            raise ValueError(f"of several sources ({names}) none is the target; say with data.target what is evaluated")
        if self.source.count(self.target) > 1 and self.target_root is None:
            raise ValueError(
                f"source lists {self.target} more than once; say with data.target_root which one is evaluated"
            )
        return self

    @property
    def sources(self) -> tuple[tuple[str, Path | None], ...]:
        """Every dataset trained on with labels, and its folder where the configuration gives one."""
        if isinstance(self.source, str):
            root = None if isinstance(self.root, tuple) else self.root
            return ((self.source, root),)
        roots = self.root if isinstance(self.root, tuple) else (None,) * len(self.source)
        return tuple(zip(self.source, roots, strict=True))


class Batches(Section):
    """How pictures are grouped. `size` is global: it is divided over the processes.

    `identity`: P persons with K pictures each. `random`: all rows in random order. `domains`: half source and half
    target, for methods that adapt.
    """

    kind: Literal["identity", "random", "domains"] = "identity"
    size: int = Field(64, ge=2)
    instances: int = Field(4, ge=1)  # K

    @model_validator(mode="after")
    def _whole_identities(self) -> Batches:
        if self.kind == "identity" and self.size % self.instances:
            raise ValueError(f"size {self.size} is not a multiple of instances {self.instances}")
        if self.kind == "domains" and self.size % 2:
            raise ValueError(f"size {self.size} cannot be half source and half target; give an even number")
        return self


class Model(Section):
    """The network every method starts from."""

    backbone: str = "resnet50"  # resnet18 | 34 | 50 | 101, each also as ..._ibn_a; hrnet_w32 | hrnet_w48
    last_stride: Literal[1, 2] = 1  # 1 doubles the last feature map; hrnet knows only 1
    pooling: str = "average"  # average | gem | maxavg
    pretrained: str = "imagenet"  # imagenet (downloaded once) | a file | none


class Optimizer(Section):
    """One optimiser; new layers take `lr`, the backbone `backbone_lr`."""

    name: str = "adam"  # adam | adamw | sgd
    lr: float = Field(3.5e-4, gt=0)
    backbone_lr: float | None = Field(None, gt=0)  # `lr` when not given
    weight_decay: float = Field(5e-4, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)  # sgd only
    nesterov: bool = False  # sgd only

    @model_validator(mode="after")
    def _momentum(self) -> Optimizer:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        return self


class Schedule(Section):
    """The factor on every learning rate: a linear warm-up, then `kind`."""

    kind: Literal["multistep", "cosine", "constant"] = "multistep"
    milestones: tuple[int, ...] = (40, 70)  # multistep: epochs after which the rate drops
    gamma: float = Field(0.1, gt=0, le=1)  # multistep: by this factor
    final: float = Field(0.0, ge=0, le=1)  # cosine: factor at the end
    warmup_epochs: float = Field(10, ge=0)
    warmup_factor: float = Field(0.01, ge=0, le=1)  # factor at the very start
    by: Literal["epoch", "iteration"] = "epoch"  # how often it moves

    @model_validator(mode="after")
    def _ascending(self) -> Schedule:
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones must ascend, got {list(self.milestones)}")
        return self


class Train(Section):
    """How long, how exact, and what is kept."""

    epochs: int = Field(120, ge=1)
    opt_level: Literal["O0", "O1", "O2"] = "O0"  # Apex's names: fp32 | mixed | half weights with fp32 masters
    fp16: bool = False  # short for O1 in float16 (bfloat16 on CPU)
    amp_dtype: Literal["auto", "float16", "bfloat16"] = "auto"
    clip_norm: float | None = Field(None, gt=0)  # gradient norm above which gradients are scaled down
    accumulate: int = Field(1, ge=1)  # batches per optimiser step
    ema: float | None = Field(None, gt=0, lt=1)  # decay of averaged weights (0.999); they are evaluated and kept
    evaluate_every: int = Field(10, ge=0)  # epochs; 0: only before the first and after the last
    checkpoint_every: int = Field(10, ge=1)  # epochs
    keep: int = Field(2, ge=1)  # last checkpoints kept, beside the best
    best: str = "mAP"  # the score that decides which is best
    log_every: int = Field(50, ge=1)  # iterations between lines
    restart: bool = False  # true: start anew over a run of the same name


class Test(Section):
    """How features are extracted and compared."""

    batch_size: int = Field(128, ge=1)
    flip: bool | None = None  # add the mirrored picture's feature; the method's habit when not given


class Retrieval(Section):
    """How features are compared by `eval.py`; in training they are compared as they are."""

    index: Literal["exact", "flat", "ivf", "hnsw"] = "exact"  # what finds near pictures for what follows; last 3: faiss
    expand: Literal["none", "aqe", "alpha-qe", "dba"] = "none"  # query expansion, or database augmentation
    rerank: bool = False  # k-reciprocal re-ranking (Zhong et al., CVPR 2017)
    k1: int = Field(20, ge=1)  # its neighbours
    k2: int = Field(6, ge=1)  # its own query expansion; 1: none
    lam: Probability = 0.3  # share of the original distance


class Output(Section):
    """Where a run leaves its files: a folder of the run's name in each."""

    checkpoints: Path = Path("checkpoints")
    logs: Path = Path("logs")
    features: Path = Path("features")


class Config(Section):
    """A whole run."""

    name: str = Field("run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")  # the config file's name when not given
    seed: int = Field(1, ge=0)
    method: str = "baseline"
    options: SerializeAsAny[Section] = Section()  # the method's own keys
    data: Data = Data()
    batches: Batches = Batches()
    model: Model = Model()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    train: Train = Train()
    test: Test = Test()
    retrieval: Retrieval = Retrieval()
    output: Output = Output()

    def changed(self, **sections: Mapping[str, Any]) -> Config:
        """A copy with some keys of some sections set; the values are taken as they are."""
        copies = {name: getattr(self, name).model_copy(update=dict(values)) for name, values in sections.items()}
        return self.model_copy(update=copies)

    @property
    def target(self) -> str:
        """The dataset that is evaluated."""
        return self.data.target or self.data.sources[0][0]

    @property
    def target_root(self) -> Path | None:
        """Its folder, when the configuration gives one."""
        return self.data.target_root or dict(self.data.sources).get(self.target)
