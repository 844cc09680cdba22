"""Files: what was written is read back, and a missing file is told from a damaged one."""

import gzip

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

from pdeflow.errors import DataError, UsageError
from pdeflow.linalg.matrix_files import read_matrix, read_vector

A = sp.csr_array(np.array([[4.0, -1.0, 0.0], [-1.0, 4.0, -1.0], [0.0, -1.0, 4.0]]))
HEADER = "%%MatrixMarket matrix coordinate"


def write(folder, kind):
    path = folder / f"a{kind}"
    if kind.startswith(".mtx"):
        scipy.io.mmwrite(folder / "plain.mtx", A, symmetry="symmetric")
        text = (folder / "plain.mtx").read_bytes()
        path.write_bytes(gzip.compress(text) if kind.endswith(".gz") else text)
    elif kind == ".npz":
        sp.save_npz(path, A)
    else:
        np.save(path, A.toarray())
    return path


@pytest.mark.parametrize("kind", [".mtx", ".mtx.gz", ".npz", ".npy"])
def test_a_matrix_is_read_back_with_symmetric_storage_expanded(tmp_path, kind):
    found = read_matrix(write(tmp_path, kind))
    assert (found.format, found.dtype) == ("csr", np.float64)
    np.testing.assert_array_equal(found.toarray(), A.toarray())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{HEADER} pattern general\r\n% comment\r\n2 2 2\r\n1 1\r\n2 2\r\n", np.eye(2)),
        (f"{HEADER} integer general\n2 2 3\n1 1 2\n1 1 1\n2 2 3\n", 3 * np.eye(2)),  # duplicates are summed
        (f"{HEADER} complex hermitian\n2 2 3\n1 1 1 0\n2 1 0 1\n2 2 3 0\n", np.array([[1, -1j], [1j, 3]])),
    ],
)
def test_matrix_market_dialects(tmp_path, text, expected):
    (tmp_path / "a.mtx").write_bytes(text.encode())
    np.testing.assert_array_equal(read_matrix(tmp_path / "a.mtx").toarray(), expected)


DAMAGED = {
    "cut.mtx": f"{HEADER} real general\n3 3 5\n1 1 1.0\n".encode(),
    "nan.mtx": f"{HEADER} real general\n2 2 2\n1 1 nan\n2 2 1\n".encode(),
    "words.mtx": b"not a matrix",
    "zip.mtx.gz": b"xx",
    "zip.npz": b"PK no zip",
    "empty.npy": b"",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_are_data_errors_that_name_the_file(tmp_path, name):
    (tmp_path / name).write_bytes(DAMAGED[name])
    with pytest.raises(DataError, match=name):
        read_matrix(tmp_path / name)


@pytest.mark.parametrize("values", [np.ones(5), np.ones((2, 2, 2)), np.array([["a"]]), np.array([[np.inf]])])
def test_arrays_that_are_no_matrix_of_finite_numbers(tmp_path, values):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(DataError, match=r"a\.npy"):
        read_matrix(tmp_path / "a.npy")


def test_missing_and_unknown_files_are_usage_errors(tmp_path):
    with pytest.raises(UsageError, match="not found"):
        read_matrix(tmp_path / "none.mtx")
    (tmp_path / "a.txt").write_text("1")
    with pytest.raises(UsageError, match="unknown kind"):
        read_matrix(tmp_path / "a.txt")


def test_vectors(tmp_path):
    np.save(tmp_path / "b.npy", np.arange(3))
    scipy.io.mmwrite(tmp_path / "b.mtx", np.arange(3.0)[:, None])
    for name in ("b.npy", "b.mtx"):
        np.testing.assert_array_equal(read_vector(tmp_path / name, 3), [0.0, 1.0, 2.0])
    with pytest.raises(UsageError, match="4 entries"):
        read_vector(tmp_path / "b.npy", 4)
    np.save(tmp_path / "bad.npy", np.array([1.0, np.nan]))
    with pytest.raises(DataError, match=r"bad\.npy"):
        read_vector(tmp_path / "bad.npy", 2)
    np.save(tmp_path / "pickle.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"pickle\.npy"):
        read_vector(tmp_path / "pickle.npy", 1)
