"""Reading: formats, the options that name columns, public data sets, and every refusal by the words that help."""

import contextlib
import gzip
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whyloss.advise import text
from whyloss.advise.data import Table, encoder, read
from whyloss.advise.finding import InputError

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
ROWS = 60


def shared(path: str) -> Path:
    if not (SHARED / path).exists():
        pytest.skip(f"the public data set {path} is not beside the checkout")
    return SHARED / path


def frame(**columns: object) -> pd.DataFrame:
    random = np.random.default_rng(0)
    base = {
        "a": random.normal(size=ROWS),
        "b": random.choice(list("uvw"), ROWS),
        "y": random.choice(["no", "yes"], ROWS),
    }
    return pd.DataFrame(base | columns)


def encoded(table: Table) -> np.ndarray:
    return encoder(table).fit_transform(table.features)


# What can be read


@pytest.mark.parametrize("name", [None, "breast_cancer", "digits", "iris", "wine"])
def test_bundled_sets_need_no_label(name: str | None) -> None:
    table = read(name)
    assert table.name == (name or "breast_cancer")
    assert len(table.classes) == {"digits": 10, "iris": 3, "wine": 3}.get(table.name, 2)
    assert not table.categorical
    assert not table.notes


def test_bundled_names_are_the_real_ones() -> None:
    table = read()
    assert table.classes == ["benign", "malignant"]
    assert table.counts.tolist() == [357, 212]
    assert "mean radius" in table.numeric


@pytest.mark.parametrize(("suffix", "delimiter"), [("csv", ","), ("csv", ";"), ("tsv", "\t"), ("csv.gz", ",")])
def test_delimited_text_gives_back_the_frame(tmp_path: Path, suffix: str, delimiter: str) -> None:
    path, original = tmp_path / f"my.data.{suffix}", frame()
    original.to_csv(path, sep=delimiter, index=False)
    table = read(path, "y")
    assert table.name == "my.data"
    assert (table.numeric, table.categorical) == (["a"], ["b"])
    np.testing.assert_allclose(table.features["a"], original["a"])
    assert [table.classes[code] for code in table.label] == original["y"].tolist()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(frame(y=["schön", "übel"] * 30).to_csv(index=False).encode(encoding))
    assert read(path, "y").classes == ["schön", "übel"]


def test_an_accent_far_down_an_ascii_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,y\n" + b"1.5,no\n2.5,yes\n" * 10000 + "3.5,é\n4.5,é\n".encode("latin-1"))
    assert "é" in read(path, "y").classes


@pytest.mark.parametrize("label", [None, "label", "-1", "3", "c0"])
def test_without_header_columns_are_numbered(tmp_path: Path, label: str | None) -> None:
    path = tmp_path / "t.csv"
    frame(z=[1.5, 2] * 30)[["y", "a", "b", "z"]].to_csv(path, header=False, index=False)
    table = read(path, label)
    assert len(table) == ROWS
    assert table.label_column == (label if label == "c0" else "c3" if label in ("3", "-1") else "label")
    assert table.classes == (["no", "yes"] if label == "c0" else ["1.5", "2"])
    assert [note.id for note in table.notes] == ["no_header"]


@pytest.mark.parametrize(
    ("first", "rows", "header"),
    [
        ("size,kind", ["1,a", "2,b"], True),
        ("0,1,2,3,kind", ["5,6,7,8,a", "6,7,8,8,b"], True),  # what DataFrame.to_csv writes
        ("p,x", ["q,x", "p,y"], False),  # each word occurs below
        ("a,a", ["b,c", "c,d"], False),  # names do not repeat
        ("?,1,a", ["2,3,b", "4,5,a"], False),
        ("cap,odor", ["x,a", "y,b"], True),
    ],
)
def test_header_detection(tmp_path: Path, first: str, rows: list[str], header: bool) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\n".join([first, *(rows * 12)]))
    raw, _, notes = text.read_text(path, first.split(",")[-1] if header else None, zipped=False)
    assert len(raw) == 24 + (not header)
    assert bool(notes) is not header


def test_quoted_cells_hold_the_delimiter(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b,y\n" + "".join(f'{i * i}, "x, {i % 3}", "{"no" if i % 2 else "yes"}"\n' for i in range(20)))
    table = read(path, "y")
    assert set(table.features["b"]) == {"x, 0", "x, 1", "x, 2"}
    assert table.classes == ["no", "yes"]


def test_parquet_with_every_kind_of_column(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    frame(
        when=pd.date_range("2020-01-01", periods=ROWS, tz="Europe/Berlin"),
        kind=pd.Categorical(["u", "v", None] * 20),
        whole=pd.array([1, None, 5] * 20, dtype="Int64"),
        flag=pd.array([True, None, False] * 20, dtype="boolean"),
    ).to_parquet(path)
    table = read(path, "y")
    assert table.numeric == ["a", "when", "whole"]
    assert table.categorical == ["b", "kind", "flag"]
    assert table.features["whole"].isna().sum() == 20
    assert table.features["when"].diff().dropna().round(6).eq(1).all()  # in days, and no row number


def test_npz_images_are_flattened(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (20, 4, 3), dtype=np.uint8)
    np.savez(tmp_path / "t.npz", images=images, labels=np.arange(20, dtype=np.uint8) % 2)
    table = read(tmp_path / "t.npz")
    assert table.numeric == [f"p{i}" for i in range(12)]
    np.testing.assert_array_equal(table.features.to_numpy(), images.reshape(20, 12))
    assert table.classes == ["0", "1"]


def test_npz_with_named_label_and_group(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(20, 3))
    np.savez(tmp_path / "t.npz", X=x, kind=np.array(["u", "v"] * 10)[:, None], who=np.arange(20) // 4)
    table = read(tmp_path / "t.npz", "kind", group="who")
    assert table.label_column == "kind"
    assert table.groups is not None
    assert table.groups.tolist() == (np.arange(20) // 4).tolist()


# Options that name columns


@pytest.mark.parametrize(
    ("label", "group", "words"),
    [
        ("quality_", None, ["'quality_'", "Did you mean 'Quality'", "'a', 'b', 'y', 'Quality'"]),
        (None, None, ["--label y looks right"]),
        ("a,b", None, ["multi-label", "not there yet"]),
        ("y", "patient", ["'patient' (--group)"]),
        ("y", "y", ["cannot be the group"]),
    ],
)
def test_column_options_refused(label: str | None, group: str | None, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        read(frame(Quality=[1.5, 2] * 30), label, group)
    for word in words:
        assert word in str(caught.value)


def test_one_group_is_refused_and_unknown_groups_are_their_own() -> None:
    with pytest.raises(InputError, match="same --group"):
        read(frame(g=1), "y", group="g")
    groups = read(frame(g=["u", "v", None] * 20), "y", group="g").groups
    assert groups is not None
    assert len(np.unique(groups)) == 22


# Files


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.csv", b"", ["empty", "0 bytes"]),
        ("t.csv", b" \n\n", ["empty"]),
        ("t.csv", b"a,b,y\n", ["no data rows"]),
        ("t.csv", b"y\nyes\nno\n", ["not a table"]),
        ("t.csv", b"Dear all,\nplease find the table enclosed.\nYours\nA\n", ["not a table"]),
        ("t.csv", b"a,b,y\n" + b"1,2,0\n" * 300 + b"1,2,3,4\n", ["line 302", "double quotes"]),
        ("t.csv", b"\x89PNG\r\n\x1a\n" + bytes(50), ["PNG image", "Parquet"]),
        ("t.csv", bytes(range(256)), ["not text"]),
        ("t.csv", b"PK\x03\x04" + bytes(60), ["zip archive"]),
        ("t.csv.gz", gzip.compress(bytes(range(256)) * 9, mtime=0)[:90], ["unpacked"]),
        ("t.arff", b"@relation t\n@attribute a numeric\n@data\n1\n", ["ARFF"]),
        ("t.parquet", b"PAR1" + bytes(60), ["Parquet", "cannot be read"]),
        ("t.parquet", b"a,y\n1,2\n", ["not a Parquet file"]),
        ("t.npz", b"a,y\n1,2\n", ["not an npz"]),
    ],
)
def test_unreadable_files_are_refused(tmp_path: Path, name: str, content: bytes, words: list[str]) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(tmp_path / name, "y")
    for word in [name, *words]:
        assert word in str(caught.value)


def parquet(table: pd.DataFrame, note: bytes | None = None) -> bytes:
    """The bytes of a Parquet file; `note` stands where pandas describes its columns and index."""
    made = pa.Table.from_pandas(table)
    file = pa.BufferOutputStream()
    pq.write_table(made.replace_schema_metadata({b"pandas": note}) if note else made, file)
    return file.getvalue().to_pybytes()


@pytest.mark.parametrize(
    "content",
    [
        b"PAR1",
        b"PAR1" + bytes(8) + b"PAR1",
        parquet(frame())[:-100],  # cut short
        parquet(frame())[:4] + bytes(200) + parquet(frame())[204:],  # damaged pages
        parquet(frame())[:-300] + bytes(200) + parquet(frame())[-100:],  # a damaged footer
        *(parquet(frame(), note) for note in (b"{", b"{}", b"[]", b"\xff", b'{"index_columns": [[]], "columns": []}')),
        parquet(frame(), b'{"index_columns": [], "columns": [], "column_indexes": ["a"]}'),
    ],
)
def test_damaged_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"t.parquet starts like a Parquet file but cannot be read: ."):
        read(tmp_path / "t.parquet", "y")


@pytest.mark.parametrize("seed", range(3))
def test_parquet_with_random_damage_is_read_or_refused(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    whole = parquet(frame(when=pd.date_range("2020-01-01", periods=ROWS, tz="Europe/Berlin"), kind=list("uv") * 30))
    for _ in range(60):
        damaged = bytearray(whole)
        start = int(random.integers(4, len(whole)))
        end = min(len(whole), start + int(random.integers(1, 50)))
        damaged[start:end] = random.bytes(end - start)
        (tmp_path / "t.parquet").write_bytes(damaged)
        with contextlib.suppress(InputError):
            read(tmp_path / "t.parquet", "y")


def test_missing_file_offers_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "wines.csv").write_text("a,y\n")
    with pytest.raises(InputError, match=r"no file .*wine\.csv.* there is 'wines\.csv'"):
        read(tmp_path / "wine.csv", "y")
    with pytest.raises(InputError, match=r"folder .* does not exist"):
        read(tmp_path / "nowhere" / "wine.csv", "y")
    with pytest.raises(InputError, match="is a folder"):
        read(tmp_path, "y")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a": np.zeros(3)}, ["lacks the features", "'a (3,)'"]),
        ({"X": np.zeros((3, 2))}, ["lacks the labels"]),
        ({"X": np.array([{}, 1], dtype=object), "y": np.zeros(2)}, ["pickled"]),
        ({"X": np.zeros((3, 2)), "y": np.zeros(4)}, ["same number of rows"]),
        ({"X": np.array([["a"], ["b"]]), "y": np.zeros(2)}, ["not numbers"]),
        ({"X": np.ones((9, 3)), "y": np.ones((9, 4))}, ["multi-label", "not there yet", "argmax"]),
        ({"images": np.ones((5, 8, 8)), "y": np.ones((5, 8, 8))}, ["masks", "not there yet"]),
        ({"images": np.ones((5, 8, 8)), "cell_mask": np.ones((5, 8, 8))}, ["masks", "not there yet"]),
        ({"pred_probs": np.ones((5, 3)), "labels": np.ones(5)}, ["predictions", "not there yet"]),
    ],
)
def test_npz_refused(tmp_path: Path, arrays: dict[str, np.ndarray], words: list[str]) -> None:
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(InputError) as caught:
        read(tmp_path / "t.npz")
    for word in words:
        assert word in str(caught.value)


def test_frames_refused() -> None:
    with pytest.raises(InputError, match="share one name: 'a'"):
        read(pd.DataFrame([[1, 2]], columns=["a", "a"]), "a")
    with pytest.raises(InputError, match="holds no data"):
        read(frame()[:0], "y")


# Public data sets


@pytest.mark.parametrize(
    ("path", "rows", "numeric", "categorical", "counts"),
    [
        ("adult/adult-train.csv.gz", 32561, 6, 8, {"<=50K": 24720, ">50K": 7841}),
        ("adult/adult-test.csv.gz", 16281, 6, 8, {"<=50K.": 12435, ">50K.": 3846}),
        (
            "ecoli_glass/ecoli.csv",
            336,
            7,
            0,
            {"cp": 143, "im": 77, "imL": 2, "imS": 2, "imU": 35, "om": 20, "omL": 5, "pp": 52},
        ),
        ("ecoli_glass/glass.csv", 214, 9, 0, {"1": 70, "2": 76, "3": 17, "5": 13, "6": 9, "7": 29}),
        ("german_credit/german.csv.gz", 1000, 7, 13, {"1": 700, "2": 300}),
        ("mammography/mammography.csv.gz", 11183, 6, 0, {"-1": 10923, "1": 260}),
        ("phoneme/phoneme.csv.gz", 5404, 5, 0, {"0": 3818, "1": 1586}),
        ("wine_quality/winequality-red.csv.gz", 1599, 11, 0, {"3": 10, "4": 53, "5": 681, "6": 638, "7": 199, "8": 18}),
    ],
)
def test_public_tables(path: str, rows: int, numeric: int, categorical: int, counts: dict[str, int]) -> None:
    table = read(shared(path))
    assert (len(table), len(table.numeric), len(table.categorical)) == (rows, numeric, categorical)
    assert dict(zip(table.classes, table.counts.tolist(), strict=True)) == counts
    assert not [note for note in table.notes if note.id != "no_header"]
    assert np.isfinite(encoded(table.take(np.arange(0, rows, 7)))).all()


def test_adult_halves_together_are_spelled_two_ways(tmp_path: Path) -> None:
    both = b"".join(gzip.decompress(shared(f"adult/adult-{part}.csv.gz").read_bytes()) for part in ("train", "test"))
    (tmp_path / "adult.csv").write_bytes(both)
    with pytest.raises(InputError, match=r"' >50K' \(7841 rows\) and ' >50K\.' \(3846 rows\)"):
        read(tmp_path / "adult.csv")


def test_adult_reads_in_about_a_second() -> None:
    path = shared("adult/adult-train.csv.gz")
    start = time.perf_counter()
    read(path)
    assert time.perf_counter() - start < 3  # 0.2 s on an idle machine; room for a busy one


def test_fashion_images() -> None:
    table = read(shared("fashion_mnist_part/t10k_first_part.npz"))
    assert len(table) == 4443
    assert table.counts.tolist() == [452, 429, 470, 437, 458, 428, 435, 452, 467, 415]
    assert 700 < len(table.numeric) <= 784


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("em_membrane/em_membrane.npz", ["masks", "not there yet"]),
        ("mnist_test_label_errors/mnist_test.npz", ["lacks the labels", "given_label"]),
        ("multilabel_emotions/emotions-train.arff.gz", ["ARFF"]),
    ],
)
def test_public_files_that_come_later(path: str, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        read(shared(path))
    for word in words:
        assert word in str(caught.value)
