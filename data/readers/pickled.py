"""What a pickle holds when it holds plain things only: nothing that a file asks for is ever called.

A pickle is a program. This one may build containers, texts and numbers, and NumPy's arrays of texts and numbers; those
are put together here from their bytes, because NumPy's own functions believe what a file says of its memory. Neither
may a few bytes cost hours or gigabytes:

- A tuple of two equal tuples of two equal tuples … takes a step for each of its 2ⁿ ends where it is a key, and whole
  numbers from 2⁶¹ − 1 on can be chosen so that all are looked for in the same place. So keys are texts and smaller
  numbers.
- What a file names again costs it two bytes, however long it is, and could be copied each time. So all that is copied
  counts, and the sum may not be much more than the file.
"""

from __future__ import annotations

import io
import pickle
import re
import struct
from collections.abc import Callable, Iterable, Sized
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from common.errors import UserError

_ITEM = re.compile(r"[<>|=]?(?P<code>[iu][1248]|b1|[SU][1-9][0-9]{0,5}|O8?)")
_FAULTS = (
    pickle.UnpicklingError,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ImportError,
    ArithmeticError,
    MemoryError,
    RecursionError,
)


def read_plain(file: Path) -> dict[str, Any]:
    """The dictionary in a pickle, with lists for the arrays that are its values; Python 2 may have written it.

    Raises:
        UserError: the file asks for anything but plain things (it says for what), is damaged, or holds no dictionary.
    """
    try:
        value = _Plain(file).load()
    except _FAULTS as error:
        what = str(error) or "it ends too early"
        told = " ".join(f"{type(error).__name__}: {what}".split())[:200]
        raise UserError(f"{file} cannot be read as a pickle ({told}); copy it again or write it anew") from None
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise UserError(f"{file} holds a {type(value).__name__}, not a dictionary with names as keys; write it anew")
    return {key: entry.items if isinstance(entry, _Array) else entry for key, entry in value.items()}


_SCALAR = (str, bytes, int, type(None))
_LARGEST = 2**61 - 1
"""Python looks for a whole number in a dictionary by its remainder after this."""
_COPIES = 4
"""How many items may be copied for each byte of the file. What NumPy and Python write needs two: a byte of an array may
stand there as a text that is made bytes, and these items."""
_HASHED = {
    pickle.SETITEM: slice(-2, None, 2),
    pickle.SETITEMS: slice(0, None, 2),
    pickle.DICT: slice(0, None, 2),
    pickle.ADDITEMS: slice(None),
    pickle.FROZENSET: slice(None),
}
"""Which entries of the stack, after the last mark, an instruction uses as keys."""


def _keys(keys: Iterable[object]) -> None:
    for key in keys:
        if not isinstance(key, _SCALAR):
            raise ValueError(f"a {type(key).__name__} as a key, not a text or number")
        if isinstance(key, int) and abs(key) >= _LARGEST:
            raise ValueError("a number beyond 2**61 as a key")


def _minding(instruction: bytes, keys: slice) -> Callable[[Any], None]:
    """The instruction, done once its keys are seen to be plain."""
    usual = pickle._Unpickler.dispatch[instruction[0]]

    def load(reader: Any) -> None:
        _keys(reader.stack[keys])
        usual(reader)

    return load


def _byte_array(reader: Any) -> None:
    """As many bytes as there are; usually there is room for as many as the file says."""
    (length,) = struct.unpack("<Q", reader.read(8))
    reader.append(bytearray(reader.read(length)))


def _build(reader: Any) -> None:
    """The state of an array, counted before it is copied."""
    state = reader.stack[-1]
    reader.copies.count([state])
    if isinstance(state, list | tuple):
        reader.copies.count(state)
    pickle._Unpickler.dispatch[pickle.BUILD[0]](reader)


class _Copies:
    """How many items may still be copied, for a file of so many bytes."""

    def __init__(self, size: int) -> None:
        self._left = _COPIES * size

    def count(self, things: Iterable[object]) -> None:
        """Raise `ValueError` when copying these, one level deep, is more than a file of this size has to ask for."""
        self._left -= sum(len(one) for one in things if isinstance(one, Sized))
        if self._left < 0:
            raise ValueError("it copies the same things again and again")


class _Plain(pickle._Unpickler):
    """Calls what stands in `_NAMED`, and nothing else.

    The one that is written in Python lets its steps be changed, and keeps what it remembers in a dictionary: a memo
    numbered 2³² − 1 costs nothing. From memory nothing can be read that is longer than the file.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **pickle._Unpickler.dispatch,
        pickle.BYTEARRAY8[0]: _byte_array,
        pickle.BUILD[0]: _build,
        **{code[0]: _minding(code, keys) for code, keys in _HASHED.items()},
    }

    def __init__(self, file: Path) -> None:
        # Python 2 wrote bytes and texts alike; Latin-1 gives every byte back.
        content = file.read_bytes()
        super().__init__(io.BytesIO(content), encoding="latin1")
        self._file = file
        self.copies = _Copies(len(content))

    def find_class(self, module: str, name: str) -> Any:
        function = _NAMED.get(f"{module}.{name}")
        if function is None:
            asked = repr(f"{module}.{name}"[:80])[1:-1]
            raise UserError(
                f"{self._file} asks for {asked}, which is refused: lists, dictionaries, texts, whole numbers "
                "and NumPy's arrays of these are read; write the file anew with nothing else in it"
            )
        return _Allowed(function, self.copies)


class _Allowed:
    """A function a pickle may call, and not change: pickles may set attributes of what they name."""

    __slots__ = ("_copies", "_function")

    def __init__(self, function: Callable[..., object], copies: _Copies) -> None:
        self._function, self._copies = function, copies

    def __call__(self, *arguments: object) -> object:
        self._copies.count([arguments, *arguments])
        return self._function(*arguments)

    def __setstate__(self, state: object) -> None:
        raise ValueError("it would change a function")


class _Kind:
    """What kind of items an array has: `numpy.dtype`'s stand-in."""

    def __init__(self, code: object, *_: object) -> None:
        found = _ITEM.fullmatch(code) if isinstance(code, str) else None
        if found is None:
            told = code[:20] if isinstance(code, str) else type(code).__name__
            raise ValueError(f"an array of kind {told}, not of texts or whole numbers")
        self.code, self.order = found["code"], "<"

    def __setstate__(self, state: tuple[object, ...]) -> None:
        _, order, parts, names, fields = state[:5]
        if (parts, names, fields) != (None, None, None) or order not in ("<", ">", "|", "="):
            raise ValueError("an array of records, not of texts or whole numbers")
        self.order = str(order)

    def items(self, data: object) -> list[Any]:
        """The items in the bytes of an array; objects come as a list."""
        if self.code.startswith("O"):
            if not isinstance(data, list):
                raise ValueError("an array of objects without a list of them")
            return data
        raw = data.encode("latin1") if isinstance(data, str) else data
        if not isinstance(raw, bytes | bytearray):
            raise ValueError("an array without its bytes")
        items: list[Any] = np.frombuffer(raw, np.dtype(self.order + self.code)).tolist()
        return [item.decode("latin1") if isinstance(item, bytes) else item for item in items]


class _Array:
    """An array of one dimension: `numpy.ndarray`'s stand-in."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    def __setstate__(self, state: tuple[object, tuple[int], _Kind, object, object]) -> None:
        _, shape, kind, _, data = state
        self.fill(kind, shape, data)

    def fill(self, kind: _Kind, shape: tuple[int], data: object) -> None:
        (length,) = shape
        self.items = kind.items(data)
        if length != len(self.items):
            raise ValueError(f"an array that should have other than its {len(self.items):,} items")


def _empty_array(*_: object) -> _Array:
    return _Array()


def _scalar(kind: _Kind, data: object) -> object:
    (item,) = kind.items(data)
    return item


def _from_buffer(data: object, kind: _Kind, shape: tuple[int], *_: object) -> _Array:
    array = _Array()
    array.fill(kind, shape, data)
    return array


def _encoded(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise ValueError("bytes in another encoding than Latin-1")
    return text.encode("latin1")


def _of_keys(kind: Callable[[list[Any]], object]) -> Callable[..., object]:
    """A set, or another thing of items that are keys."""

    def made(items: Iterable[Any] = ()) -> object:
        listed = list(items)
        _keys(listed)
        return kind(listed)

    return made


def _dictionary(pairs: Iterable[Any] = ()) -> dict[Any, Any]:
    listed = list(pairs.items() if isinstance(pairs, dict) else pairs)
    _keys(key for key, _ in listed)
    return dict(listed)


def _no_bytes() -> bytes:
    return b""


def _text(text: object = "") -> str:
    if not isinstance(text, str):
        raise ValueError("something else told as a text")
    return text


def _number(number: object = 0) -> int:
    if not isinstance(number, int):
        raise ValueError("something else told as a number")
    return number


def _no_array(*_: object) -> None:
    raise ValueError("an array that is made otherwise than NumPy writes it")


_BUILTINS: dict[str, Callable[..., object]] = {
    "list": list,
    "tuple": tuple,
    "dict": _dictionary,
    "set": _of_keys(set),
    "frozenset": _of_keys(frozenset),
    "str": _text,
    "unicode": _text,
    "int": _number,
    "long": _number,
    "bytes": _no_bytes,
}
_NUMPY: dict[str, Callable[..., object]] = {
    "multiarray._reconstruct": _empty_array,
    "multiarray.scalar": _scalar,
    "numeric._frombuffer": _from_buffer,
}
_NAMED: dict[str, Callable[..., object]] = {
    **{f"{module}.{name}": kind for module in ("builtins", "__builtin__") for name, kind in _BUILTINS.items()},
    **{f"numpy.{core}.{name}": kind for core in ("core", "_core") for name, kind in _NUMPY.items()},
    "numpy.dtype": _Kind,
    "numpy.ndarray": _no_array,
    "collections.OrderedDict": _dictionary,
    "_codecs.encode": _encoded,
}
"""What Python 2 and 3 and NumPy 1 and 2 write into such files, by the names they write."""
