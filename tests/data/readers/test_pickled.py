"""A pickle may build plain things; whatever else it asks for is refused by its name and never called."""

from __future__ import annotations

import collections
import os
import pickle
import subprocess
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import UserError
from data.readers.pickled import read_plain

PLAIN: dict[str, Any] = {
    "names": ["a.jpg", "b.jpg"],
    "labels": {7: 0, -1: 1, 2**61 - 2: 2},
    "set": {1, 2},
    "frozen": frozenset({"x"}),
    "pair": (1, "ü"),
    "nothing": [None, True, b"", b"q\xff"],
    "scalars": [np.int64(-3), np.str_("zoë"), np.uint8(255)],
    "ordered": collections.OrderedDict([("b", 1), ("a", 2)]),
}
ARRAYS: dict[str, Any] = {
    "numbers": np.arange(-2, 5),
    "strided": np.arange(8, dtype=np.int16)[::3],
    "turned": np.arange(3, dtype=">i4"),
    "texts": np.array(["ab", "zoë"]),
    "bytes": np.array([b"ab", b"c"]),
    "objects": np.array(["ab", "c"], dtype=object),
    "flags": np.array([True, False]),
    "empty": np.array([], dtype=np.int64),
}


def file_of(folder: Path, content: bytes) -> Path:
    (folder / "some.pkl").write_bytes(content)
    return folder / "some.pkl"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_things(tmp_path: Path, protocol: int) -> None:
    found = read_plain(file_of(tmp_path, pickle.dumps({**PLAIN, **ARRAYS}, protocol)))
    assert {key: found[key] for key in PLAIN} == PLAIN
    for key, array in ARRAYS.items():
        expected = [item.decode() if isinstance(item, bytes) else item for item in array.tolist()]
        assert found[key] == expected, key
    assert all(type(item) in (int, str, bool) for key in ARRAYS for item in found[key])


def test_what_python_2_and_an_old_numpy_wrote(tmp_path: Path) -> None:
    """Texts as bytes, and an array by the names modules had then."""
    content = (
        b"\x80\x02}q\x00(U\x05namesq\x01]q\x02U\x05a.jpgq\x03aU\x05marksq\x04cnumpy.core.multiarray\n_reconstruct\n"
        b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02\x85cnumpy\ndtype\nU\x02i8K\x00K\x01\x87R(K\x03U\x01<NNNJ"
        b"\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x10\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00"
        b"\x00\x00tbu."
    )
    assert read_plain(file_of(tmp_path, content)) == {"names": ["a.jpg"], "marks": [1, 2]}


class Asking:
    """Pickled as a call of something."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, pickle.HIGHEST_PROTOCOL])
@pytest.mark.parametrize(
    ("asking", "name"),
    [
        (lambda file: Asking(os.system, f"touch {file}"), r"\.system"),
        (lambda file: Asking(eval, f"open({str(file)!r}, 'w')"), r"\.eval"),
        (lambda file: Asking(exec, f"open({str(file)!r}, 'w')"), r"\.exec"),
        (lambda file: Asking(subprocess.call, ["touch", str(file)]), r"\.call"),
        (lambda file: Asking(getattr, [], "append"), r"\.getattr"),
        (lambda file: Asking(np.save, str(file), 1), r"numpy\.save"),
        (lambda file: Path("/etc"), r"pathlib[\w.]*\."),
        (lambda file: collections.defaultdict(int), r"collections\.defaultdict"),
    ],
    ids=["system", "eval", "exec", "call", "getattr", "save", "Path", "defaultdict"],
)
def test_anything_else_is_refused_by_name(tmp_path: Path, asking: Any, name: str, protocol: int) -> None:
    touched = tmp_path / "touched"
    content = pickle.dumps({"names": [], "more": [asking(touched)]}, protocol)
    with pytest.raises(UserError, match=rf"some.pkl asks for [\w.]*{name}.*, which is refused: lists, dictionaries"):
        read_plain(file_of(tmp_path, content))
    assert not touched.exists()


DAMAGED = {
    "empty": b"",
    "no pickle": b"no pickle",
    "cut in a text": b"\x80\x02}q\x00(U\x05names",
    "cut": pickle.dumps(PLAIN)[:-7],
    "sets an attribute of numpy.dtype": b"\x80\x02cnumpy\ndtype\n}(U\x05_codeK\x01ub.",
    "sets a slot of encode": b"\x80\x02c_codecs\nencode\nN}(U\x0c__defaults__(K\x01ttutb.",
    "calls ndarray": b"\x80\x02}U\x01acnumpy\nndarray\n)Rs.",
    "makes an ndarray": b"\x80\x02}U\x01acnumpy\nndarray\n)\x81s.",
    "floats": b"\x80\x02}U\x01acnumpy\ndtype\nU\x02f8K\x00K\x01\x87Rs.",
    "raw memory": b"\x80\x02}U\x01acnumpy\ndtype\nU\x02V8K\x00K\x01\x87Rs.",
    "records": b"\x80\x02}U\x01acnumpy\ndtype\nU\x02i8K\x00K\x01\x87R(K\x03U\x01<NK\x01Ntbs.",
    "another codec": b"\x80\x02}U\x01ac_codecs\nencode\nU\x03abcU\x05rot13\x86Rs.",
    "two gigabytes": b"\x80\x02}U\x01ac__builtin__\nbytes\nJ\xff\xff\xff\x7f\x85Rs.",
    "a text of a list": b"\x80\x02}U\x01ac__builtin__\nstr\n]\x85Rs.",
    "a number of a text": b"\x80\x02}U\x01ac__builtin__\nint\nU\x0219\x85Rs.",
    "extension registry": b"\x80\x02}U\x01a\x82\x01s.",
    "persistent id": b"\x80\x02}U\x01aU\x01xQs.",
    "a number that is too large as a key": b"\x80\x02}\x8a\x08" + (2**61 - 1).to_bytes(8, "little") + b"K\x01s.",
    "a number that is too small as a key": pickle.dumps({"a": {1 - 2**61: 1}}, 2),
    "too few bytes": b"\x80\x02}U\x01acnumpy.core.multiarray\nscalar\n"
    b"cnumpy\ndtype\nU\x02i8K\x00K\x01\x87RU\x03abc\x86Rs.",
}


DOUBLED = b"2\x86" * 20
"""What is on the stack, in a pair with itself, that in a pair with itself …: 2²⁰ ends here."""
COSTLY = {
    "a key": b"\x80\x02})" + DOUBLED + b"K\x01s.",
    "keys": b"\x80\x02}()" + DOUBLED + b"K\x01u.",
    "keys of a new dictionary": b"\x80\x02()" + DOUBLED + b"K\x01d.",
    "items of a set": b"\x80\x04\x8f()" + DOUBLED + b"\x90.",
    "items of a frozen set": b"\x80\x04()" + DOUBLED + b"\x91.",
    "given to set": b"\x80\x02c__builtin__\nset\n])" + DOUBLED + b"a\x85R.",
    "given to frozenset": b"\x80\x02c__builtin__\nfrozenset\n])" + DOUBLED + b"a\x85R.",
    "given to dict": b"\x80\x02c__builtin__\ndict\n])" + DOUBLED + b"K\x01\x86a\x85R.",
    "given to OrderedDict": b"\x80\x02ccollections\nOrderedDict\n])" + DOUBLED + b"K\x01\x86a\x85R.",
    "in one pair of brackets after the other": b"\x80\x02})" + b"\x85" * 10**4 + b"K\x01s.",
}


@pytest.mark.parametrize("content", COSTLY.values(), ids=COSTLY)
def test_keys_that_would_take_for_ever(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UserError, match=r"\(ValueError: a tuple as a key, not a text or number\)"):
        read_plain(file_of(tmp_path, content))


LONG, AGAIN = 20_000, 500
LENGTH = b"J" + LONG.to_bytes(4, "little")
NULLS = b"X" + LENGTH[1:] + bytes(LONG)
NUMBERS = b"".join(b"J" + number.to_bytes(4, "little") + b"N" for number in range(LONG // 5))
KIND = b"cnumpy\ndtype\nU\x02i1\x85R"


def again(function: str, arguments: bytes, long: bytes, before: bytes = b"", first: bytes = b"") -> bytes:
    """Something long, memo 1, and a function, memo 2, called with arguments many times."""
    return b"\x80\x02" + long + b"q\x010" + before + f"c{function}\nq\x02(".encode() + first + arguments * AGAIN + b"t."


COPIED = {
    **{
        f"given to {name}": again(f"builtins\n{name}", b"h\x02h\x01\x85R", b"](" + b"N" * LONG + b"e")
        for name in ("list", "tuple", "set", "frozenset")
    },
    "given to dict": again("__builtin__\ndict", b"h\x02h\x01\x85R", b"}(" + NUMBERS + b"u"),
    "encoded": again("_codecs\nencode", b"h\x02h\x01h\x03\x86R", NULLS, b"U\x06latin1q\x030"),
    "given to a scalar": again(
        "numpy.core.multiarray\nscalar", b"h\x02h\x03h\x01\x86R", NULLS, b"cnumpy\ndtype\nU\x06S20000\x85Rq\x030"
    ),
    "a buffer": again(
        "numpy.core.numeric\n_frombuffer",
        b"h\x02h\x03R",
        NULLS,
        b"(h\x01" + KIND + LENGTH + b"\x85U\x01Ctq\x030",
    ),
    "the state of an array": again(
        "numpy.core.multiarray\n_reconstruct",
        b"h\x02h\x04Rh\x03b",
        NULLS,
        b"(K\x01" + LENGTH + b"\x85" + KIND + b"\x89h\x01tq\x030)q\x040",
    ),
    "as many arguments": again("numpy.core.multiarray\n_reconstruct", b"h\x02h\x01R", b"(" + b"N" * LONG + b"t"),
    "a long state": again(
        "numpy\ndtype", b"h\x01b", b"(K\x03U\x01<NNN" + b"N" * LONG + b"t", KIND + b"q\x030", b"h\x03"
    ),
}


@pytest.mark.parametrize("content", COPIED.values(), ids=COPIED)
def test_what_is_named_again_and_again_is_not_copied_each_time(tmp_path: Path, content: bytes) -> None:
    file = file_of(tmp_path, content)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"\(ValueError: it copies the same things again and again\)"):
            read_plain(file)
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < 200 * len(content)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_much_that_is_written_by_python_and_numpy(tmp_path: Path, protocol: int) -> None:
    """In files of which nearly all is told by what is called."""
    for content in (
        [bytes([number % 256]) * (number % 3) for number in range(2000)],
        [np.uint8(number % 256) for number in range(2000)],
        [np.str_("ab"[number % 2 :]) for number in range(2000)],
        [set(range(number % 3)) for number in range(2000)],
        [np.arange(number % 3, dtype=np.int8) for number in range(2, 2000, 3)],
        np.zeros(20_000, dtype=np.int8),
        np.array(["ü"] * 5000),
        frozenset(range(5000)),
    ):
        read_plain(file_of(tmp_path, pickle.dumps({"a": content}, protocol)))


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02}r\xff\xff\xff\xff.",  # remembered as the last of 2³² things
        b"\x80\x02}T\xff\xff\xff\x7f.",
        b"\x80\x04}\x8e" + (2**40).to_bytes(8, "little") + b".",
        b"\x80\x05}\x96" + (2**40).to_bytes(8, "little") + b".",
        b"\x80\x04\x95" + (2**40).to_bytes(8, "little") + b"}.",
    ],
    ids=["memo", "text", "bytes", "bytearray", "frame"],
)
def test_what_a_file_says_of_its_size_costs_no_memory(tmp_path: Path, content: bytes) -> None:
    tracemalloc.start()
    try:
        found = read_plain(file_of(tmp_path, content))
    except UserError as refusal:
        assert "cannot be read as a pickle" in str(refusal)  # noqa: PT017
    else:
        assert found == {}
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < 2**20


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_pickle_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UserError, match=r"some.pkl cannot be read as a pickle \(\w+: .*\); copy it again") as told:
        read_plain(file_of(tmp_path, content))
    assert "\n" not in str(told.value)


def test_an_array_that_is_not_what_it_says(tmp_path: Path) -> None:
    for array in (np.zeros((2, 2), dtype=np.int64), np.zeros(2, dtype=[("a", np.int64)]), np.zeros(2)):
        with pytest.raises(UserError, match=r"cannot be read as a pickle \(ValueError: "):
            read_plain(file_of(tmp_path, pickle.dumps({"a": array}, 2)))
    content = pickle.dumps({"a": np.arange(3)}, 2).replace(b"K\x01K\x03\x85", b"K\x01K\x09\x85")
    with pytest.raises(UserError, match=r"an array that should have other than its 3 items"):
        read_plain(file_of(tmp_path, content))


def test_not_a_dictionary(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds a list, not a dictionary"):
        read_plain(file_of(tmp_path, pickle.dumps([])))
    with pytest.raises(UserError, match=r"holds a dict, not a dictionary with names as keys"):
        read_plain(file_of(tmp_path, pickle.dumps({1: 2})))
