"""From what the user names to a raw frame: bundled data, a DataFrame, Parquet, npz; text goes to `text`.

Says what a file is by its first bytes, not by its name. Knows nothing of column types or classes."""

import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyarrow.lib import ArrowException

from whyloss.advise import text
from whyloss.advise.finding import Finding, InputError
from whyloss.advise.names import listing, nearest, resolve

BUNDLED = ("breast_cancer", "digits", "iris", "wine")
READABLE = "a CSV or TSV file (also .gz), a Parquet file, or an npz file with arrays X and y"
IMAGES = "images"
FEATURES = ("X", "x", IMAGES, "features", "embeddings")
LABELS = ("y", "labels", "label", "target")
PREDICTIONS = ("pred_probs", "p", "probs")
# What reading a damaged Parquet file raises: the first two for the file itself, the others where the damage is in the
# note on columns and index that pandas leaves in it. Found by damaging files; pyarrow promises no list.
DAMAGED = (
    OSError, ArrowException, ValueError, LookupError, TypeError, AttributeError, NotImplementedError, SyntaxError,
)  # fmt: skip

FOREIGN = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a single NumPy array (npy)",
    b"SQLite format 3": "an SQLite database",
    b"\x80\x04": "a Python pickle",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
}


@dataclass(frozen=True, eq=False)
class Raw:
    """A frame as it came, with the label among its columns."""

    name: str
    frame: pd.DataFrame
    label: str
    notes: list[Finding] = field(default_factory=list[Finding])


def load(source: str | Path | pd.DataFrame | None, label: str | None, group: str | None) -> Raw:
    if isinstance(source, pd.DataFrame):
        return _framed("DataFrame", source, label)
    if source is None or (str(source) in BUNDLED and not Path(source).exists()):
        return _bundled(str(source or BUNDLED[0]), label)
    path = Path(source)
    start = _first_bytes(path)
    name = path.name.removesuffix(".gz").rsplit(".", 1)[0] or path.name
    for magic, kind in FOREIGN.items():
        if start.startswith(magic):
            raise InputError(f"{path.name} is {kind}, not a table. Expected {READABLE}.")
    if path.suffix.lower() == ".py":
        raise InputError(
            f"{path.name} is a Python script. Racing losses around your own training function is not there yet in this "
            f"version of `whyloss advise`, which trains a small network of its own. Expected {READABLE}."
        )
    if start.startswith(b"PAR1"):
        return _parquet(path, name, label)
    if start.startswith(b"PK"):
        return _npz(path, name, label, group)
    for suffix, kind in ((".parquet", "a Parquet file"), (".pq", "a Parquet file"), (".npz", "an npz archive")):
        if path.suffix.lower() == suffix:
            raise InputError(
                f"{path.name} is called {suffix} but is not {kind}. It may be damaged or cut short; write it again."
            )
    frame, column, notes = text.read_text(path, label, zipped=start.startswith(b"\x1f\x8b"))
    return Raw(name, frame, column, notes)


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except FileNotFoundError:
        folder = path.parent
        near = nearest(path.name, sorted(file.name for file in folder.iterdir())) if folder.is_dir() else []
        if near:
            hint = f" In the same folder there is {' or '.join(repr(name) for name in near)}."
        elif not folder.is_dir():
            hint = f" The folder {str(folder)!r} does not exist either."
        else:
            hint = " Check the path; a relative path starts from the folder that you run the command in."
        raise InputError(f"There is no file {str(path)!r}.{hint}") from None
    except IsADirectoryError:
        raise InputError(f"{str(path)!r} is a folder. Expected {READABLE}.") from None
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be opened: {error.strerror or error}.") from None
    if not start:
        raise InputError(f"{path.name} is empty (0 bytes). Expected {READABLE}. Was the file written to its end?")
    return start


def _framed(name: str, frame: pd.DataFrame, label: str | None) -> Raw:
    columns = [str(column) for column in frame.columns]
    twice = (
        sorted({column for column in columns if columns.count(column) > 1}) if len(set(columns)) < len(columns) else []
    )
    if twice:
        raise InputError(f"Two columns share one name: {listing(twice)}. Rename one of them, or drop it.")
    if frame.empty:
        raise InputError(f"{name} holds no data: {len(frame)} rows and {len(columns)} columns.")
    frame = frame.set_axis(columns, axis=1).reset_index(drop=True)
    return Raw(name, frame, resolve(text.needed(label, columns), columns, "--label"))


def _bundled(name: str, label: str | None) -> Raw:
    from sklearn import datasets

    bunch: Any = getattr(datasets, f"load_{name}")(as_frame=True)
    frame: pd.DataFrame = bunch.frame
    column = "target" if label is None else resolve(label, list(frame.columns), "--label")
    if column == "target":
        frame = frame.assign(target=np.asarray(bunch.target_names)[bunch.target.to_numpy()])
    return Raw(name, frame, column)


def _parquet(path: Path, name: str, label: str | None) -> Raw:
    try:
        frame = pd.read_parquet(path)
    except DAMAGED as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path.name} starts like a Parquet file but cannot be read: {reason}.") from None
    return _framed(name, frame.reset_index() if frame.index.name else frame, label)


def _npz(path: Path, name: str, label: str | None, group: str | None) -> Raw:
    arrays = _arrays(path)
    keys = list(arrays)
    there = f"It holds {listing([f'{key} {array.shape}' for key, array in arrays.items()])}."
    x_key = next((key for key in FEATURES if key in arrays), None)
    y_key = resolve(label, keys, "--label") if label else next((key for key in LABELS if key in arrays), None)
    if x_key is None and any(key in arrays for key in PREDICTIONS):
        raise InputError(
            f"{path.name} holds predictions but no features. A diagnosis from predictions alone is not there yet in "
            "this version of `whyloss advise`: add the features as an array X (rows x features)."
        )
    if y_key is None and any("mask" in key.lower() for key in keys):
        raise _masks(path)
    if x_key is None or y_key is None:
        raise InputError(
            f"{path.name} lacks {'the features' if x_key is None else 'the labels'}. Expected an array X (or images) "
            f"with one row per example and an array y (or labels, or what --label names) with one class each. {there}"
        )
    x, y = arrays[x_key], arrays[y_key]
    if y.ndim > 1 and y.size == len(y):
        y = y.reshape(len(y))
    if y.ndim > 1 and x.ndim > 2 and len(x) == len(y) and y.shape[1] == x.shape[1]:
        raise _masks(path)
    if y.ndim > 1:
        raise InputError(
            f"{y_key} in {path.name} has the shape {y.shape}: several labels per row (multi-label) are not there yet "
            f"in this version of `whyloss advise`. If the rows are one-hot, save {y_key}.argmax(1) instead."
        )
    if y.ndim == 0 or x.ndim == 0 or len(x) != len(y) or not x.size:
        raise InputError(
            f"{x_key} and {y_key} in {path.name} should have the same number of rows, at least one. {there}"
        )
    if x.dtype.kind not in "biuf":
        raise InputError(
            f"{x_key} in {path.name} holds {x.dtype}, not numbers. Save text columns as CSV or Parquet instead."
        )
    stem = "p" if x_key == IMAGES else "c"
    flat = x.reshape(len(x), -1)
    frame = pd.DataFrame(flat.astype(np.uint8) if x.dtype.kind == "b" else flat)
    frame.columns = [f"{stem}{i}" for i in range(frame.shape[1])]
    extra: dict[str, Any] = {y_key: y.astype(str) if y.dtype.kind == "S" else y}
    if group is not None:
        column = resolve(group, keys, "--group")
        if arrays[column].shape != (len(x),):
            raise InputError(f"{column} (--group) should have one entry per row, {len(x)}. {there}")
        extra[column] = arrays[column]
    return Raw(name, pd.concat([frame, pd.DataFrame(extra)], axis=1), y_key)


def _arrays(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except ValueError:
        raise InputError(
            f"{path.name} holds pickled Python objects, which can run code when loaded and are not read. "
            "Save plain arrays: numbers for X, numbers or text (not dtype=object) for y."
        ) from None
    except (OSError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(
            f"{path.name} is a zip archive, as npz files are, but cannot be read: {error}. Is it cut short?"
        ) from None
    found = {key: array for key, array in arrays.items() if isinstance(array, np.ndarray)}
    if not found:
        raise InputError(
            f"{path.name} is a zip archive without arrays in it (an Excel workbook is one too). Expected {READABLE}. "
            "From Excel, save the sheet as CSV."
        )
    return found


def _masks(path: Path) -> InputError:
    return InputError(
        f"{path.name} holds masks: a label for every pixel. Segmentation is not there yet in this version of "
        "`whyloss advise`, which takes one class per row."
    )
