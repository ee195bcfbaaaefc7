"""Features that other tools cached come back as they were saved, or one sentence says what is wrong with the file."""

from __future__ import annotations

import importlib.util
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import UserError
from retrieval.columns import Columns, Features
from retrieval.files.feature_writer import FeatureWriter, Rows
from retrieval.files.foreign import NAMES, Cache, read_cache, read_pair
from retrieval.files.matlab import write_mat

VECTORS = np.arange(12, dtype=np.float32).reshape(4, 3)
PIDS, CAMIDS, CLOTHES = [7, -1, 2**40, 0], [0, 6, -1, 3], [5, -1, 0, 9]
PATHS = ["a/0007_c1.jpg", "b.jpg", "ü/人.jpg", "d e.jpg"]
MANIFEST: dict[str, Any] = dict.fromkeys(
    ("dataset", "split", "fingerprint", "checkpoint", "preprocessing", "scorer", "flip"), "any"
)


def arrays(**changes: Any) -> dict[str, Any]:
    """What a file of one split holds; None takes an array away."""
    every = {"feat": VECTORS, "ids": np.array(PIDS), "cam_ids": np.array(CAMIDS)} | changes
    return {name: array for name, array in every.items() if array is not None}


def npz(folder: Path, /, name: str = "cache.npz", **changes: Any) -> Path:
    np.savez(folder / name, **arrays(**changes))
    return folder / name


def mat(folder: Path, /, name: str = "cache.mat", **changes: Any) -> Path:
    pytest.importorskip("scipy.io").savemat(folder / name, arrays(**changes))
    return folder / name


def npy(folder: Path, table: str | bytes, vectors: Any = VECTORS, name: str = "cache.v2") -> Path:
    np.save(folder / f"{name}.npy", vectors)
    (folder / f"{name}.csv").write_bytes(table.encode() if isinstance(table, str) else table)
    return folder / f"{name}.npy"


TABLE = "row,path,pid,camid,clothes\n0,a.jpg,7,0,5\n1,b.jpg,-1,6,\n2,c.jpg,1099511627776,,0\n3,d.jpg,0,3,9\n"


def own(folder: Path, vectors: np.ndarray[Any, Any] = VECTORS) -> Path:
    with FeatureWriter(folder, Rows(PATHS, Columns.of(PIDS, CAMIDS, CLOTHES)), MANIFEST) as writer:
        writer.write(range(4), vectors)
    return folder


def cells(*texts: object) -> np.ndarray[Any, Any]:
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array


def check(cache: Cache, paths: list[str] | None = None, clothes: list[int] | None = None) -> None:
    """The cache holds the constants above, in the types that evaluation takes."""
    assert cache.features.vectors.dtype == np.float32
    np.testing.assert_array_equal(cache.features.vectors, VECTORS)
    assert cache.features.columns.pids.tolist() == PIDS
    assert cache.features.columns.camids.tolist() == CAMIDS
    assert cache.features.columns.clothes.tolist() == (clothes or [-1] * 4)
    assert cache.paths == ([""] * 4 if paths is None else paths)


def refused(path: Path, *sentence: str, role: str = "") -> None:
    """`read_cache` refuses the file in one line that names it and holds every piece of `sentence`."""
    with pytest.raises(UserError) as caught:
        read_cache(path, role)
    said = str(caught.value)
    assert str(path.with_suffix("")) in said
    assert "\n" not in said
    assert "allow_pickle" not in said.replace("when allow_pickle=False", "")
    for piece in sentence:
        assert piece in said


# --- One split


@pytest.mark.parametrize("save", [npz, mat])
@pytest.mark.parametrize("shape", [(4,), (1, 4), (4, 1)])
def test_a_row_a_column_or_a_vector_of_labels(
    tmp_path: Path, save: Callable[..., Path], shape: tuple[int, ...]
) -> None:
    ids, cams, clothes = (np.array(values).reshape(shape) for values in (PIDS, CAMIDS, CLOTHES))
    path = save(tmp_path, ids=ids, cam_ids=cams, clothes_ids=clothes, img_path=np.array(PATHS))
    check(read_cache(path), PATHS, CLOTHES)
    check(read_cache(path, "gallery"), PATHS, CLOTHES)


@pytest.mark.parametrize("save", [npz, mat])
@pytest.mark.parametrize("kind", [np.float64, np.int64, np.float32])
def test_whole_numbers_of_any_kind_become_labels(tmp_path: Path, save: Callable[..., Path], kind: type) -> None:
    check(read_cache(save(tmp_path, ids=np.array(PIDS, dtype=kind), cam_ids=np.array(CAMIDS, dtype=kind))))


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint64, np.float16])
def test_small_and_unsigned_labels(tmp_path: Path, kind: type) -> None:
    path = npz(tmp_path, ids=np.array([7, 0, 100, 1], dtype=kind))
    assert read_cache(path).features.columns.pids.tolist() == [7, 0, 100, 1]


@pytest.mark.parametrize("save", [npz, mat])
@pytest.mark.parametrize("kind", [np.float16, np.float64, np.int32, ">f4"])
def test_features_of_any_kind_become_float32(tmp_path: Path, save: Callable[..., Path], kind: Any) -> None:
    vectors = VECTORS.astype(kind)
    path = save(tmp_path, feat=vectors.astype(np.float64) if save is mat and kind is np.float16 else vectors)
    read = read_cache(path).features.vectors
    assert read.dtype == np.float32
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, VECTORS)


def test_too_large_for_float32_is_left_to_evaluation(tmp_path: Path) -> None:
    vectors = VECTORS.astype(np.float64)
    vectors[2, 1], vectors[3, 0] = 1e300, np.nan
    read = read_cache(npz(tmp_path, feat=vectors)).features.vectors
    assert np.isinf(read[2, 1])
    assert np.isnan(read[3, 0])


@pytest.mark.parametrize(("field", "name"), [(field, name) for field, names in NAMES.items() for name in names])
def test_every_name(tmp_path: Path, field: str, name: str) -> None:
    usual = {"features": "feat", "pids": "ids", "camids": "cam_ids"}
    values = {"features": VECTORS, "pids": PIDS, "camids": CAMIDS, "clothes": CLOTHES, "paths": PATHS}
    changes: dict[str, Any] = {usual[field]: None} if field in usual else {}
    path = npz(tmp_path, **{**changes, name: np.array(values[field])})
    check(read_cache(path), PATHS if field == "paths" else None, CLOTHES if field == "clothes" else None)


def test_the_names_that_are_promised() -> None:
    promised = {
        "features": "feat feats features embeddings vectors x",
        "pids": "ids pids pid labels y",
        "camids": "cam_ids camids cams camid",
        "clothes": "clothes clothes_ids cloth_ids",
        "paths": "img_path paths names",
    }
    for field, names in promised.items():
        assert set(names.split()) <= set(NAMES[field])


@pytest.mark.parametrize("save", [npz, mat])
@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        ({"features": VECTORS}, "each of feat, features could be the features"),
        ({"labels": np.array(PIDS)}, "each of ids, labels could be the pids"),
        ({"camids": np.array(CAMIDS)}, "each of cam_ids, camids could be the camids"),
        ({"clothes": np.array(CLOTHES), "cloth_ids": np.array(CLOTHES)}, "could be the clothes"),
        ({"paths": np.array(PATHS), "names": np.array(PATHS)}, "each of paths, names could be the paths"),
    ],
)
def test_two_arrays_for_one_thing(
    tmp_path: Path, save: Callable[..., Path], extra: dict[str, Any], sentence: str
) -> None:
    refused(save(tmp_path, **extra), sentence, "keep one and rename the others")


@pytest.mark.parametrize("save", [npz, mat])
@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("feat", "has no features: expected feat or feats or"),
        ("ids", "has no pids: expected ids or pids or"),
        ("cam_ids", "has no camids: expected cam_ids or camids or"),
    ],
)
def test_an_array_is_missing(tmp_path: Path, save: Callable[..., Path], missing: str, sentence: str) -> None:
    there = ", ".join(name for name in arrays() if name != missing)
    refused(save(tmp_path, **{missing: None}), sentence, f"found {there};")


def test_a_file_without_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "none.npz")
    refused(tmp_path / "none.npz", "has no features", "found nothing;")
    many: dict[str, Any] = {f"a{number}": np.zeros(1) for number in range(15)}
    np.savez(tmp_path / "many.npz", **many)
    refused(tmp_path / "many.npz", "a11 and 3 more;")


@pytest.mark.parametrize("save", [npz, mat])
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"feat": VECTORS[None]}, "'feat': expected numbers of shape (N, D), one row a picture, found float32"),
        ({"feat": np.zeros((0, 3))}, "there are no pictures in it, shape (0, 3)"),
        ({"feat": np.array(["a", "b"])}, "'feat': expected numbers of shape (N, D)"),
        ({"feat": VECTORS.astype(complex)}, "found complex128"),
        ({"feat": VECTORS.T.copy()}, "'ids': expected 3 values, one for each row of the features (N, D)"),
        ({"ids": np.array(PIDS[:3])}, "'ids': expected 4 values"),
        ({"ids": np.array(PIDS).reshape(2, 2)}, "'ids': expected 4 values"),
        ({"cam_ids": np.array([*CAMIDS, 1])}, "'cam_ids': expected 4 values"),
        ({"clothes": np.array(CLOTHES[1:])}, "'clothes': expected 4 values"),
        ({"img_path": np.array(PATHS[:3])}, "'img_path': expected 4 values"),
        ({"img_path": np.array(PIDS)}, "'img_path': row 0 is not a text"),
        ({"ids": np.array(["a", "b", "c", "d"])}, "'ids': expected whole numbers, found <U1; number the names"),
        ({"ids": np.array([1, 2.5, 3, 4])}, "'ids': row 1 is 2.5, expected a whole number"),
        ({"cam_ids": np.array([1, 2, 3, np.nan])}, "'cam_ids': row 3 is nan"),
        ({"cam_ids": np.array([1, np.inf, 3, 4])}, "'cam_ids': row 1 is inf"),
        ({"ids": np.array([1, 2, 2.0**60, 4])}, "'ids': row 2 is 1.15"),
        ({"ids": np.array([1, 2, 3, 2**63], dtype=np.uint64)}, f"'ids': row 3 is {2**63}"),
        ({"ids": np.array([1, -2, 3, 4])}, "'ids': row 1 is -2, expected a whole number (-1: unknown)"),
        ({"ids": np.array([1, 2, -2.0, 4])}, "'ids': row 2 is -2.0, expected a whole number (-1: unknown)"),
        ({"clothes": np.array([1, 2, 3, -3])}, "'clothes': row 3 is -3"),
        ({"ids": np.array([1j, 2, 3, 4])}, "'ids': expected whole numbers, found complex128"),
    ],
)
def test_an_array_of_another_kind(
    tmp_path: Path, save: Callable[..., Path], changes: dict[str, Any], sentence: str
) -> None:
    refused(save(tmp_path, **changes), sentence)


def test_features_of_one_dimension(tmp_path: Path) -> None:
    refused(npz(tmp_path, feat=np.zeros(4)), "'feat': expected numbers of shape (N, D)", "found float64 of shape (4,)")
    refused(npz(tmp_path, feat=np.zeros((4, 0))), "of shape (4, 0)")
    refused(npz(tmp_path, feat=np.ones((4, 3), dtype=bool)), "found bool")


def test_cameras_as_they_are(tmp_path: Path) -> None:
    path = npz(tmp_path, cam_ids=np.array([-2, 1, 0, -1]))
    assert read_cache(path).features.columns.camids.tolist() == [-2, 1, 0, -1]


def test_one_row(tmp_path: Path) -> None:
    one: dict[str, Any] = {
        "feat": VECTORS[:1],
        "ids": np.array([3]),
        "cam_ids": np.array([1]),
        "img_path": np.array(["a.jpg"]),
    }
    for path in (
        npz(tmp_path, **one),
        mat(tmp_path, **one),
        mat(tmp_path, "c.mat", **one | {"img_path": cells("a.jpg")}),
    ):
        cache = read_cache(path)
        assert cache.features.vectors.shape == (1, 3)
        assert cache.features.columns.pids.tolist() == [3]
        assert cache.paths == ["a.jpg"]


def test_paths_in_bytes(tmp_path: Path) -> None:
    check(read_cache(npz(tmp_path, names=np.array([path.encode() for path in PATHS]))), PATHS)
    names = np.array([b"a", b"\xff", b"c", b"d"])
    assert read_cache(npz(tmp_path, names=names)).paths == ["a", "\udcff", "c", "d"]


# --- MATLAB


def test_what_write_mat_wrote(tmp_path: Path) -> None:
    pytest.importorskip("scipy.io")
    features = Features(VECTORS, Columns.of(PIDS, CAMIDS, CLOTHES))
    write_mat(tmp_path / "cache.MAT", features, PATHS)
    check(read_cache(tmp_path / "cache.MAT"), PATHS)
    write_mat(tmp_path / "nameless.mat", features, [""] * 4)
    check(read_cache(tmp_path / "nameless.mat"))


def test_char_matrix_loses_its_padding_only(tmp_path: Path) -> None:
    texts = ["  a", "b\tc", "", "a longer one"]
    assert read_cache(mat(tmp_path, img_path=np.array(texts))).paths == texts


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_cell_array_of_paths(tmp_path: Path, shape: tuple[int, ...]) -> None:
    check(read_cache(mat(tmp_path, img_path=cells(*PATHS).reshape(shape))), PATHS)
    texts = ["a", "", "c ", "d"]
    assert read_cache(mat(tmp_path, img_path=cells(*texts))).paths == ["a", "", "c", "d"]


@pytest.mark.parametrize("odd", [2.5, np.array(["two", "texts"]), cells("x"), {"field": "x"}])
def test_cell_array_of_other_things(tmp_path: Path, odd: object) -> None:
    refused(mat(tmp_path, img_path=cells("a", odd, "c", "d")), "'img_path': row 1 is not a text")
    refused(mat(tmp_path, ids=cells(1, odd, 3, 4)), "'ids': expected whole numbers, found object")


def test_mat_in_other_formats(tmp_path: Path) -> None:
    io = pytest.importorskip("scipy.io")
    every = arrays(ids=np.array([7.0, -1, 2.0**40, 0]), cam_ids=np.array(CAMIDS, dtype=float))
    io.savemat(tmp_path / "old.mat", every | {"img_path": np.array(["a", "bb", "c", "d"])}, format="4")
    check(read_cache(tmp_path / "old.mat"), ["a", "bb", "c", "d"])
    io.savemat(tmp_path / "small.mat", every, do_compression=True)
    check(read_cache(tmp_path / "small.mat"))


def test_sparse_features(tmp_path: Path) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    refused(mat(tmp_path, feat=sparse.csc_matrix(VECTORS)), "'feat': expected a full array, found csc_matrix")


def test_one_name_twice_in_a_mat_file(tmp_path: Path) -> None:
    path = mat(tmp_path)
    path.write_bytes(path.read_bytes() + mat(tmp_path, "other.mat", feat=VECTORS + 1).read_bytes()[128:])
    refused(path, "each of feat, feat could be the features")


@pytest.mark.parametrize("before", [0, 512])
def test_hdf5_is_named(tmp_path: Path, before: int) -> None:
    path = tmp_path / "cache.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(512)[:before] + b"\x89HDF\r\n\x1a\n" + bytes(600))
    refused(path, "is an HDF5 file (MATLAB v7.3)", "save it with -v7 or convert to .npz")


def test_mat_needs_scipy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = mat(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    refused(path, "-m pip install scipy")
    check(read_cache(npz(tmp_path)))


# --- A table beside an array


def test_array_beside_table(tmp_path: Path) -> None:
    cache = read_cache(npy(tmp_path, TABLE))
    check(cache, ["a.jpg", "b.jpg", "c.jpg", "d.jpg"], CLOTHES)
    assert isinstance(cache.features.vectors, np.memmap)
    assert cache.features.vectors.mode == "r"


@pytest.mark.parametrize("kind", [np.float16, np.float64, ">f4", np.uint8])
def test_array_of_another_kind_is_converted(tmp_path: Path, kind: Any) -> None:
    read = read_cache(npy(tmp_path, TABLE, VECTORS.astype(kind))).features.vectors
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, VECTORS)


def test_table_of_people_only(tmp_path: Path) -> None:
    cache = read_cache(
        npy(tmp_path, b"\xef\xbb\xbfPID , Score \r\n7,0.5\r\n\r\n -1,?\r\n1099511627776,\r\n0.0,0.1\r\n")
    )
    assert cache.features.columns.pids.tolist() == PIDS
    assert cache.features.columns.camids.tolist() == [-1] * 4
    assert cache.features.columns.clothes.tolist() == [-1] * 4
    assert cache.paths == [""] * 4


def test_paths_of_a_table(tmp_path: Path) -> None:
    paths = read_cache(npy(tmp_path, b'path,pid\n"a,b.jpg",1\n\xff.jpg,2\n,3\n"c""d",4\n')).paths
    assert paths == ["a,b.jpg", "\udcff.jpg", "", 'c"d']


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("pid", "person", "line 1: expected the column pid and"),
        (
            "path",
            "pid",
            "line 1: expected the column pid and, where they are known, camid, clothes, path, row, each once",
        ),
        (TABLE, "", "line 1: expected the column pid"),
        ("3,d.jpg,0,3,9\n", "", "column 'pid': expected 4 values, one for each row of the features (N, D)"),
        ("3,d.jpg,0,3,9\n", "3,d.jpg,0,3,9\n4,e.jpg,0,3,9\n", "column 'pid': expected 4 values"),
        (
            "a.jpg,7,0,5",
            "a.jpg,7,0",
            "line 2: expected row 0 with 5 values (row,path,pid,camid,clothes), found 0,a.jpg,7,0;",
        ),
        ("a.jpg,7,0,5", "a.jpg,7,0,5,", "line 2: expected row 0 with 5 values"),
        ("\n1,", "\n2,", "line 3: expected row 1 with 5 values"),
        ("\n0,", "\n1,", "line 2: expected row 0 with 5 values"),
        (",7,0,5", ",seven,0,5", "line 2: pid is 'seven', expected a whole number (-1: unknown)"),
        (",7,0,5", ",,0,5", "line 2: pid is '', expected a whole number"),
        (",7,0,5", ",7,0_1,5", "line 2: camid is '0_1'"),
        (",7,0,5", ",7,0,5.5", "line 2: clothes is '5.5'"),
        (",7,0,5", ",7,nan,5", "line 2: camid is 'nan'"),
        (",7,0,5", f",{10**18},0,5", f"line 2: pid is '{10**18}'"),
        (",7,0,5", ",-2,0,5", "column 'pid': row 0 is -2"),
        (",7,0,5", ',"7,0,5', "the table of cache.v2.npy, cannot be read (unexpected end of data)"),
    ],
)
def test_a_table_that_is_wrong(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    assert old in TABLE
    refused(npy(tmp_path, TABLE.replace(old, new, 1)), "cache.v2.csv", sentence)


def test_array_without_table(tmp_path: Path) -> None:
    path = npy(tmp_path, TABLE)
    path.with_suffix(".csv").unlink()
    refused(path, "cache.v2.csv, the table of cache.v2.npy, cannot be read", "save it beside it")


@pytest.mark.parametrize("vectors", [np.zeros(4), np.zeros((4, 3, 1)), np.zeros((4, 3), dtype="U1")])
def test_array_of_another_shape(tmp_path: Path, vectors: np.ndarray[Any, Any]) -> None:
    refused(npy(tmp_path, TABLE, vectors), "cache.v2.npy: expected numbers of shape (N, D)", str(vectors.shape))


# --- Damage


@pytest.mark.parametrize("suffix", [".mat", ".npz", ".npy"])
@pytest.mark.parametrize("content", [b"", b"this is a text, whatever it is called\n" * 40, b"\x80\x04N."])
def test_foreign_files(tmp_path: Path, suffix: str, content: bytes) -> None:
    pytest.importorskip("scipy.io")
    path = tmp_path / f"cache{suffix}"
    path.write_bytes(content)
    refused(path, "save it again")


def test_empty_files_are_called_so(tmp_path: Path) -> None:
    for suffix in (".mat", ".npz", ".npy"):
        path = tmp_path / f"cache{suffix}"
        path.touch()
        refused(path, f"is empty, not a {suffix} file")
        if suffix != ".mat":
            path.write_bytes(b"text")
            refused(path, f"is not a {suffix} file")


@pytest.mark.parametrize("kind", ["mat", "npz", "npy"])
def test_truncated_files(tmp_path: Path, kind: str) -> None:
    saved = {"mat": lambda: mat(tmp_path), "npz": lambda: npz(tmp_path), "npy": lambda: npy(tmp_path, TABLE)}[kind]()
    whole = saved.read_bytes()
    for size in range(10, len(whole), 23):
        saved.write_bytes(whole[:size])
        refused(saved)
    os.truncate(saved, len(whole) - 24)
    refused(saved, "cannot be read (", "copy the file again")


def test_damage_within_an_array_is_named(tmp_path: Path) -> None:
    path = npz(tmp_path)
    content = bytearray(path.read_bytes())
    content[content.index(VECTORS.tobytes()) + 5] ^= 1
    path.write_bytes(bytes(content))
    refused(path, "array 'feat' cannot be read (Bad CRC-32")


def test_python_objects_are_never_loaded(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "exploded",))

    objects = cells(*[Bomb()] * 4)
    for name in ("feat", "ids", "img_path"):
        changes: dict[str, Any] = {name: objects}
        refused(npz(tmp_path, **changes), f"array '{name}' cannot be read", "Python objects are never loaded")
    np.save(tmp_path / "o.npy", objects, allow_pickle=True)
    refused(tmp_path / "o.npy", "Python objects are never loaded")
    objects.dump(tmp_path / "plain.npy")
    refused(tmp_path / "plain.npy", "is not a .npy file")
    check(read_cache(npz(tmp_path, unrelated=objects)))
    assert not (tmp_path / "exploded").exists()


def test_the_reason_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = npy(tmp_path, TABLE)
    path.write_bytes(b"\x93NUMPY\x02\x00" + (20000).to_bytes(4, "little") + b"{" + b" " * 19998 + b"\n")
    refused(path, "cannot be read (Header info length (20000) is large")

    def failing(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(np, "load", failing)
    refused(path, "cannot be read (MemoryError)")


def test_something_else_in_the_archive(tmp_path: Path) -> None:
    path = npz(tmp_path, feat=None)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("feat.npy", "no array")
    refused(path, "'feat': expected a full array, found bytes")
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as file:
        file.writestr("feat.npy", "again")
    refused(path, "each of feat, feat could be the features")


def test_other_suffixes(tmp_path: Path) -> None:
    for name in ("cache.pt", "cache.csv", "cache"):
        (tmp_path / name).write_bytes(npz(tmp_path).read_bytes())
        refused(tmp_path / name, "expected features in a .mat or .npz file, or in .npy beside .csv")
    refused(tmp_path / "nowhere.npz", "cannot read", "No such file")
    (tmp_path / "folder.npz").mkdir()
    refused(tmp_path / "folder.npz", "is not a feature folder")


def test_roles() -> None:
    with pytest.raises(ValueError, match="role must be query, gallery or empty, got 'train'"):
        read_cache(Path("any.npz"), "train")


# --- Both splits

STYLES = {
    "ours": (
        "query_feat query_ids query_cam_ids query_img_path",
        "gallery_feat gallery_ids gallery_cam_ids gallery_names",
    ),
    "torchreid": ("qf q_pids q_camids q_paths", "gf g_pids g_camids g_paths"),
    "layumi": ("query_f query_label query_cam query_paths", "gallery_f gallery_label gallery_cam gallery_paths"),
}


def both(style: str) -> dict[str, Any]:
    query, gallery = (names.split() for names in STYLES[style])
    return {
        **dict(zip(query, (VECTORS, np.array(PIDS), np.array(CAMIDS), np.array(PATHS)), strict=True)),
        **dict(zip(gallery, (VECTORS[:2] + 1, np.array([1, 2]), np.array([3, 4]), np.array(["g", "h"])), strict=True)),
    }


NONE = {"feat": None, "ids": None, "cam_ids": None}


def check_pair(pair: tuple[Cache, Cache]) -> None:
    check(pair[0], PATHS)
    np.testing.assert_array_equal(pair[1].features.vectors, VECTORS[:2] + 1)
    assert pair[1].features.columns.pids.tolist() == [1, 2]
    assert pair[1].features.columns.camids.tolist() == [3, 4]
    assert pair[1].paths == ["g", "h"]


@pytest.mark.parametrize("save", [npz, mat])
@pytest.mark.parametrize("style", STYLES)
def test_both_splits_in_one_file(tmp_path: Path, save: Callable[..., Path], style: str) -> None:
    path = save(tmp_path, **NONE, **both(style), mquery_f=np.zeros((2, 3)))
    check_pair(read_pair(path))
    check_pair((read_cache(path, "query"), read_cache(path, "gallery")))
    refused(path, "holds both query and gallery", "say which of the two to read")


@pytest.mark.parametrize("role", ["query", "gallery"])
def test_both_splits_that_cannot_be_told_apart(tmp_path: Path, role: str) -> None:
    halves = both("ours") | NONE
    for broken, sentence in (
        ({**halves, f"{role}_ids": None}, f"has no pids: expected {role}_ids or {role}_pids or"),
        ({**halves, f"{role}_feat": None}, f"has no features: expected {role}_feat or {role}_feats or"),
        ({**halves, f"{role[0]}_feat": VECTORS}, f"{role[0]}_feat could be the features"),
        ({**halves, "x": VECTORS}, "x stands beside features of query or gallery"),
    ):
        path = npz(tmp_path, **broken)
        refused(path, sentence, role=role)
        with pytest.raises(UserError):
            read_pair(path)


def test_one_split_is_no_pair(tmp_path: Path) -> None:
    for path, found in ((npz(tmp_path), "feat, ids, cam_ids"), (npy(tmp_path, TABLE), "one array")):
        with pytest.raises(
            UserError, match=rf"does not hold both query and gallery: expected .*; found {found}$"
        ) as error:
            read_pair(path)
        assert str(path) in str(error.value)
    with pytest.raises(UserError, match="cannot read"):
        read_pair(tmp_path / "nowhere.npz")
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(UserError, match=r"is not a \.npz file"):
        read_pair(tmp_path / "text.npz")


def test_pair_of_our_own_folders(tmp_path: Path) -> None:
    own(tmp_path / "query")
    own(tmp_path / "gallery", VECTORS + 1)
    query, gallery = read_pair(tmp_path)
    check(query, PATHS, CLOTHES)
    assert isinstance(query.features.vectors, np.memmap)
    assert isinstance(gallery.features.vectors, np.memmap)
    np.testing.assert_array_equal(gallery.features.vectors, VECTORS + 1)
    check(read_cache(tmp_path / "query", "query"), PATHS, CLOTHES)


@pytest.mark.parametrize("kind", ["mat", "npz", "npy"])
def test_pair_of_files(tmp_path: Path, kind: str) -> None:
    {"mat": lambda: mat(tmp_path, "query.mat"), "npz": lambda: npz(tmp_path, "query.npz")}.get(
        kind, lambda: npy(tmp_path, "pid,camid\n7,0\n-1,6\n1099511627776,\n0,3\n", name="query")
    )()
    npz(tmp_path, "gallery.npz", feat=VECTORS + 1)
    query, gallery = read_pair(tmp_path)
    check(query)
    np.testing.assert_array_equal(gallery.features.vectors, VECTORS + 1)


def test_folder_without_a_pair(tmp_path: Path) -> None:
    npz(tmp_path, "query.npz")
    (tmp_path / "gallery").mkdir()
    for name in ("notes.txt", "b", "d", "a", "c"):
        (tmp_path / name).touch()
    expected = (
        r"holds no gallery features: expected gallery\.mat, gallery\.npz, gallery\.npy beside gallery\.csv, or a "
        r"feature folder gallery with its manifest\.json; found a, b, c, d, gallery, notes\.txt, query\.npz$"
    )
    with pytest.raises(UserError, match=expected):
        read_pair(tmp_path)
    own(tmp_path / "gallery2").rename(tmp_path / "gallery3")
    (tmp_path / "gallery").rmdir()
    (tmp_path / "gallery3").rename(tmp_path / "gallery")
    check(read_pair(tmp_path)[1], PATHS, CLOTHES)
    npz(tmp_path, "gallery.npz")
    check(read_pair(tmp_path)[1], PATHS, CLOTHES)  # the folder says more of itself than a copy beside it
    (tmp_path / "twice").mkdir()
    for name in ("query.mat", "query.npz"):
        (tmp_path / "twice" / name).touch()
    with pytest.raises(UserError, match=r"holds the query more than once: query\.mat, query\.npz; keep one"):
        read_pair(tmp_path / "twice")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no query features: .*found nothing$"):
        read_pair(tmp_path / "empty")
