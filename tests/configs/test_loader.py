"""What a user writes becomes a `Config`, or a list of everything that is wrong and where."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from common.errors import UserError, unknown_name
from configs.loader import differences, dump, load, parse, plain
from configs.schema import Config, Section, Term

REPOSITORY = Path(__file__).parents[2]
CONFIGS = sorted(path for path in (REPOSITORY / "configs").glob("*.yml") if path.name != "datasets.yml")


class Margin(Term):
    margin: float | None = 0.3


class Options(Section):
    """A method's own keys, with a section inside."""

    triplet: Margin = Margin()
    heads: int = 2


def options_of(name: str) -> type[Section]:
    schemas: dict[str, type[Section]] = {"baseline": Options, "plain": Section}
    if name not in schemas:
        raise unknown_name("method", name, schemas)
    return schemas[name]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def problems(path: Path, *overrides: str) -> list[str]:
    """The lines of the error in order of their text, the folder left out."""
    with pytest.raises(UserError) as error:
        load(path, overrides, options_of)
    first, *lines = str(error.value).replace(f"{path.parent}/", "").split("\n  ")
    assert first == f"{len(lines)} problem(s) in the configuration:"
    return sorted(lines)


def complaint(path: Path, *overrides: str) -> str:
    with pytest.raises(UserError) as error:
        load(path, overrides, options_of)
    return str(error.value).replace(f"{path.parent}/", "")


def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    for text in ("", "# nothing\n", "{}"):
        config = load(write(tmp_path / "my-run.yml", text), [], options_of)
        assert config == Config(name="my-run", options=Options())


def test_name_defaults_to_the_file(tmp_path: Path) -> None:
    assert load(write(tmp_path / "a.b.yml", "seed: 2"), [], options_of).name == "a.b"
    assert load(write(tmp_path / "a.yml", "name: other"), [], options_of).name == "other"
    assert load(tmp_path / "a.yml", ["name=third"], options_of).name == "third"


def test_values_arrive(tmp_path: Path) -> None:
    text = """
optimizer: {lr: 3e-4, weight_decay: "5e-4"}
schedule:
  milestones: [3, 9]
data: {root: ~, target: market, mean: [0, 0.5, 1]}
train: {fp16: yes, clip_norm: }
options: {triplet: {margin: null, from_epoch: 4}}
"""
    config = load(write(tmp_path / "a.yml", text), ["train.epochs=7", "data.augment.flip=0.25"], options_of)
    assert config.optimizer.lr == 3e-4
    assert config.optimizer.weight_decay == 5e-4
    assert config.schedule.milestones == (3, 9)
    assert config.data.root is None
    assert list(config.data.mean) == [0, 0.5, 1]
    assert config.train.fp16 is True
    assert config.train.clip_norm is None
    assert config.train.epochs == 7
    assert config.data.augment.flip == 0.25
    assert config.options == Options(triplet=Margin(margin=None, from_epoch=4))


def test_everything_wrong_at_once(tmp_path: Path) -> None:
    text = """\
model:
  last_strid: 1
  pooling: 3
train: {epochs: 12o,
        opt_level: O3}
schedule:
  milestones:
    - 40
    - x
trian: {epochs: 3}
batches: {size: 10, instances: 4}
"""
    assert problems(write(tmp_path / "typo.yml", text), "optimizer.lr=-1", "train.keeep=2") == [
        "command line 'optimizer.lr=-1': optimizer.lr: Input should be greater than 0 (got -1)",
        "command line 'train.keeep=2': train.keeep: unknown key, did you mean 'keep'?",
        "typo.yml:10: trian: unknown key, did you mean 'train'?",
        "typo.yml:11: batches: size 10 is not a multiple of instances 4",
        "typo.yml:2: model.last_strid: unknown key, did you mean 'last_stride'?",
        "typo.yml:3: model.pooling: Input should be a valid string (got 3)",
        "typo.yml:4: train.epochs: Input should be a valid integer, unable to parse string as an integer (got '12o')",
        "typo.yml:5: train.opt_level: Input should be 'O0', 'O1' or 'O2' (got 'O3')",
        "typo.yml:9: schedule.milestones.1: Input should be a valid integer,"
        " unable to parse string as an integer (got 'x')",
    ]


def test_a_value_over_several_lines_is_told_by_the_line_of_its_key(tmp_path: Path) -> None:
    (line,) = problems(write(tmp_path / "a.yml", "schedule:\n  milestones:\n    - 40\n    - 30\n"))
    assert line == "a.yml:1: schedule: milestones must ascend, got [40, 30]"
    (line,) = problems(write(tmp_path / "a.yml", "seed:\n\n  x: 3\n"))
    assert line == "a.yml:1: seed: Input should be a valid integer"


def test_an_unknown_key_without_a_near_one_lists_the_known(tmp_path: Path) -> None:
    (line,) = problems(write(tmp_path / "a.yml", "test:\n  zzz: 3\n"))
    assert line == "a.yml:2: test.zzz: unknown key; known: batch_size, flip"


def test_keys_of_another_section_are_not_suggested(tmp_path: Path) -> None:
    (line,) = problems(write(tmp_path / "a.yml", "data: {augment: {heigt: 3, jiter: 0}}"), "data.augment.heigt=~")[:1]
    assert line.startswith("a.yml:1: data.augment.jiter: unknown key, did you mean 'jitter'?")
    (line,) = problems(write(tmp_path / "b.yml", "data: {augment: {heigt: 3}}"))
    assert line.startswith("b.yml:1: data.augment.heigt: unknown key; known: flip, jitter, enlarge, ")


def test_options_are_checked_by_the_method(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yml", "seed: -1\noptions:\n  triplet:\n    margn: 1\n  heads: many\n")
    assert problems(path, "options.triplet.weight=-2") == [
        "a.yml:1: seed: Input should be greater than or equal to 0 (got -1)",
        "a.yml:4: options.triplet.margn: unknown key, did you mean 'margin'?",
        "a.yml:5: options.heads: Input should be a valid integer, unable to parse string as an integer (got 'many')",
        "command line 'options.triplet.weight=-2': options.triplet.weight:"
        " Input should be greater than or equal to 0 (got -2)",
    ]
    assert problems(write(tmp_path / "b.yml", "options: {heads: 2}"), "method=plain")[0].startswith(
        "b.yml:1: options.heads: unknown key"
    )


def test_unknown_method(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yml", "method: basline\noptions: {heads: x}\n")
    assert complaint(path) == "unknown method 'basline', did you mean 'baseline'? known: baseline, plain"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed: 1\ndata: {}\nseed: 2\n", "a.yml:3: 'seed' stands twice, first in line 1; remove one"),
        ("train:\n  keep: 1\n  keep: 1\n", "a.yml:3: 'train.keep' stands twice, first in line 2; remove one"),
    ],
)
def test_a_key_that_stands_twice(tmp_path: Path, text: str, expected: str) -> None:
    assert complaint(write(tmp_path / "a.yml", text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed: 1\ndata: {source: market\n", "a.yml:3: not valid YAML: "),
        ("seed: 1\n\tname: x\n", "a.yml:2: not valid YAML: "),
        ("- seed\n", "a.yml:1: expected 'key: value' lines"),
        ("seed 1\n", "a.yml:1: expected 'key: value' lines"),
        ("name: a\nseed: !number 3\n", "a.yml:2: 'seed' is not a value: could not determine a constructor"),
        ("data:\n  source: 2020-99-99\n", "a.yml:2: 'data.source' is not a value: month must be in 1..12"),
        ('name: "\a"', "a.yml: cannot be read as a YAML file: unacceptable character"),
    ],
)
def test_what_is_no_configuration(tmp_path: Path, text: str, expected: str) -> None:
    assert complaint(write(tmp_path / "a.yml", text)).startswith(expected)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_bytes(b"name: \xff\xfe")
    assert complaint(tmp_path / "a.yml").startswith("a.yml: cannot be read as a YAML file: ")


def test_no_python_is_run(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yml", f"name: !!python/object/apply:os.mkdir ['{tmp_path}/made']\n")
    complaint(path)
    assert not (tmp_path / "made").exists()


GRAND = """\
seed: 5
data:
  source: duke
  height: 128
  augment: {flip: 0, pad: 3}
schedule: {milestones: [1, 2, 3]}
"""
PARENT = "base: ../grand.yml\ndata: {height: 64, augment: {pad: 4}}\ntrain: {epochs: 30}\n"
CHILD = (
    "# a comment\nbase: deeper/parent.yml\ntrain: {keep: 7}\nschedule: {milestones: [9]}\ndata: {augment: {pad: 5}}\n"
)


def family(folder: Path, grand: str = GRAND, parent: str = PARENT, child: str = CHILD) -> Path:
    write(folder / "grand.yml", grand)
    write(folder / "deeper" / "parent.yml", parent)
    return write(folder / "child.yml", child)


def test_inheritance_over_three_files(tmp_path: Path) -> None:
    config = load(family(tmp_path), [], options_of)
    expected = {
        "name": "child",
        "seed": 5,
        "data": {"source": "duke", "height": 64, "augment": {"flip": 0, "pad": 5}},
        "schedule": {"milestones": [9]},
        "train": {"epochs": 30, "keep": 7},
    }
    assert config == parse(expected, options_of)


def test_errors_name_the_file_of_the_family_they_stand_in(tmp_path: Path) -> None:
    path = family(
        tmp_path,
        GRAND.replace("seed: 5", "seed: -5").replace("[1, 2, 3]", "[1, x, y]").replace("flip: 0", "flip: 9"),
        PARENT.replace("64", "1").replace("pad: 4", "pad: -4"),
        CHILD.replace("7", "0").replace("[9]", "[8, z]").replace("pad: 5", "padd: 5"),
    )
    assert [line.split(": ")[:2] for line in problems(path)] == [
        ["child.yml:3", "train.keep"],
        ["child.yml:4", "schedule.milestones.1"],
        ["child.yml:5", "data.augment.padd"],
        ["deeper/../grand.yml:1", "seed"],
        ["deeper/../grand.yml:5", "data.augment.flip"],
        ["deeper/parent.yml:2", "data.augment.pad"],
        ["deeper/parent.yml:2", "data.height"],
    ]


def test_bases_that_go_round(tmp_path: Path) -> None:
    path = family(tmp_path, grand="base: child.yml\n")
    assert complaint(path) == "grand.yml: 'base: child.yml' leads back to itself"
    assert complaint(write(tmp_path / "a.yml", "base: a.yml")) == "a.yml: 'base: a.yml' leads back to itself"


def test_one_base_of_two_parents_is_no_round(tmp_path: Path) -> None:
    """Only the line of ancestors counts: a file may be read again for another child."""
    path = family(tmp_path)
    assert load(path, [], options_of) == load(path, [], options_of)


def test_a_base_that_is_missing(tmp_path: Path) -> None:
    path = family(tmp_path, parent="base: ../grandd.yml\n")
    assert complaint(path).startswith("there is no configuration deeper/../grandd.yml, did you mean deeper/../grand")


def test_unknown_file_suggests_a_near_one(tmp_path: Path) -> None:
    write(tmp_path / "duke2market.yml", "")
    write(tmp_path / "single_domain.yml", "")
    assert (
        complaint(tmp_path / "duk2market.yml")
        == "there is no configuration duk2market.yml, did you mean duke2market.yml?"
    )
    assert complaint(tmp_path / "single").endswith(", did you mean single_domain.yml?")
    assert complaint(tmp_path / "none" / "a.yml") == "there is no configuration a.yml"
    assert "did you mean" not in complaint(tmp_path)


def test_unknown_file_lists_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "configs" / "bb.yml", "")
    write(tmp_path / "configs" / "aa.yml", "")
    assert complaint(tmp_path / "configs" / "market.yml") == (
        "there is no configuration market.yml; there are: aa.yml, bb.yml"
    )
    monkeypatch.chdir(tmp_path)
    assert complaint(Path("configs/market")) == "there is no configuration market; there are: aa.yml, bb.yml"


def test_overrides_win_and_the_last_one_most(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yml", "train: {epochs: 5, keep: 4}\n")
    config = load(path, ["train.epochs=6", "train.epochs=7", "optimizer.lr=1e-2", "model.pretrained=a=b"], options_of)
    assert config.train.epochs == 7
    assert config.train.keep == 4
    assert config.optimizer.lr == 0.01
    assert config.model.pretrained == "a=b"
    assert load(path, ["schedule.milestones=[2, 4]", "data.root="], options_of).schedule.milestones == (2, 4)


def test_several_sources(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yml", "data:\n  source: [duke, msmt]\n  root: [/d, /m]\n  target: market\n")
    config = load(path, [], options_of)
    assert config.data.sources == (("duke", Path("/d")), ("msmt", Path("/m")))
    assert load(write(tmp_path / "again.yml", dump(config)), ["name=a"], options_of) == config
    assert parse(plain(config), options_of) == config
    other = load(path, ["data.source=[cuhk,msmt,prcc]", "data.root="], options_of)
    assert other.data.source == ("cuhk", "msmt", "prcc")
    assert other.target == "market"
    assert load(path, ["data.source=duke", "data.root=/d", "data.target="], options_of).target_root == Path("/d")
    assert differences(plain(config), plain(other)) == ["data.root", "data.source"]
    alone = complaint(path, "data.target=")
    assert "of several sources (duke, msmt) none is the target; say with data.target what is evaluated" in alone
    assert complaint(path, "data.source=[duke,3]").endswith(
        "command line 'data.source=[duke,3]': data.source.1: Input should be a valid string (got 3)"
    )


def test_a_single_source_is_written_as_ever(tmp_path: Path) -> None:
    """Checkpoints of before there were several sources hold texts, and are compared with what is written now."""
    config = load(write(tmp_path / "a.yml", "data: {source: duke, root: /d}\n"), [], options_of)
    written = plain(config)["data"]
    assert (written["source"], written["root"], written["target"]) == ("duke", "/d", None)
    assert (plain(Config())["data"]["source"], plain(Config())["data"]["root"]) == ("market", None)
    for value in ("3", "{a: 1}"):
        assert f"data.source={value}': data.source: Input should be a valid string" in complaint(
            tmp_path / "a.yml", f"data.source={value}"
        )


def test_an_override_replaces_the_origins_below_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yml", "schedule: {milestones: [1, 2]}\nmodel: {backbone: resnet18}\n")
    found = problems(path, "schedule.milestones=[x]", "model={backbone: 3}")
    assert [line.split(": ")[0] for line in found] == [
        "command line 'model={backbone",
        "command line 'schedule.milestones=[x]'",
    ]


@pytest.mark.parametrize("override", ["train.epochs", "=3", "--epochs"])
def test_what_is_no_override(tmp_path: Path, override: str) -> None:
    path = write(tmp_path / "a.yml", "")
    assert complaint(path, override).startswith(f"'{override}' is not an override; write section.key=value")


def test_an_override_through_a_value(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yml", "data: {source: market}\n")
    expected = "command line 'data.source.x.y=1': 'data.source' is a value, not a section"
    assert complaint(path, "data.source.x.y=1") == expected


def test_override_values_that_are_no_yaml_are_text(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yml", "")
    for text in ("[a", "@a", "2020-99-99"):
        assert load(path, [f"data.source={text}"], options_of).data.source == text


def test_dump_reads_back(tmp_path: Path) -> None:
    overrides = [
        "data.root=~/some where",
        "optimizer.lr=1e-5",
        "train.clip_norm=3",
        "data.augment.erase_aspect=[0.5, 2]",
        "options.triplet.margin=null",
        "options.heads=5",
        "model.pretrained='1e5'",
        "data.target='no'",
        "test.flip=true",
    ]
    config = load(family(tmp_path), overrides, options_of)
    again = load(write(tmp_path / "again.yml", dump(config)), [], options_of)
    assert again == config
    assert isinstance(again.options, Options)
    assert again.options.heads == 5
    assert again.model.pretrained == "1e5"
    assert parse(plain(config), options_of) == config
    assert yaml.safe_load(dump(config)) == plain(config)


def test_differences() -> None:
    old = plain(Config(options=Options()))
    assert differences(old, old) == []
    new = plain(
        parse({"seed": 3, "data": {"augment": {"pad": 1}}, "options": {"heads": 3}, "method": "baseline"}, options_of)
    )
    assert differences(old, new) == ["data.augment.pad", "options.heads", "seed"]
    assert differences(new, old) == differences(old, new)
    assert differences({"a": {"b": 1}, "c": 0}, {"a": 2, "d": None}) == ["a", "c"]
    assert differences({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}) == ["a.c"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_of_the_project_loads(path: Path, tmp_path: Path) -> None:
    methods = pytest.importorskip("modeling.methods")
    config = load(path, [], methods.options_of)
    assert config.name == {"demo": "street"}.get(path.stem, path.stem)
    assert load(write(tmp_path / "again.yml", dump(config)), [], methods.options_of) == config


def test_there_are_configurations() -> None:
    assert CONFIGS
