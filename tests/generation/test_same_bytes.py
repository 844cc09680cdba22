"""Workers, shares and kills never change a byte of the shards."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from one_run import COUNT, SETTINGS

from pdeflow.data import check
from pdeflow.data.hdf5 import sha256
from pdeflow.errors import UsageError
from pdeflow.generation import generate
from pdeflow.problems import Darcy

SCRIPT = Path(__file__).with_name("one_run.py")
CHAINS = 7


def digests(root):
    return {str(path.relative_to(root)): sha256(path) for path in sorted(root.glob("data/*/*.hdf5"))}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The dataset made in one go, by one worker."""
    root, states = tmp_path_factory.mktemp("whole"), []
    generate(Darcy(), root, progress=states.append, **SETTINGS)
    assert (states[-1].done, states[-1].total) == (56, 56)
    assert states[-1].iterations >= 56
    assert [s.done for s in states] == sorted(s.done for s in states)
    return root


def start(root, workers, resume):
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}  # must not matter
    command = [sys.executable, str(SCRIPT), str(root), str(workers), resume]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("workers", [1, 2])
def test_kill_and_resume_give_the_bytes_of_one_go(whole, tmp_path, workers):
    process = start(tmp_path, workers, "fresh")
    while not any(tmp_path.glob("data/*/*.json")) and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = list(tmp_path.glob("data/*/*.json"))
    assert 0 < len(finished) < CHAINS
    assert not (tmp_path / "manifest.json").exists()
    before = {path: path.stat().st_mtime_ns for path in finished}
    half = tmp_path / "data/test/.darcy-00000.hdf5.1.tmp"
    half.parent.mkdir(parents=True, exist_ok=True)
    half.write_bytes(b"half")
    assert start(tmp_path, workers, "resume").wait() == 0
    assert digests(tmp_path) == digests(whole)
    assert check(tmp_path) == []
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())  # not made twice
    assert not list(tmp_path.rglob("*.tmp"))


def test_shares_make_the_same_dataset_and_the_last_one_writes_the_manifest(whole, tmp_path):
    assert generate(Darcy(), tmp_path, shard="2/2", workers=2, **SETTINGS) == {
        "incomplete": 4, "chains": CHAINS, "name": "darcy",
    }  # fmt: skip
    assert not (tmp_path / "manifest.json").exists()
    made = sorted(json.loads(path.read_text())["first_id"] for path in tmp_path.glob("data/*/*.json"))
    assert made == [8, 24, 40]
    manifest = generate(Darcy(), tmp_path, shard="1/2", workers=2, **SETTINGS)
    assert {name: split["count"] for name, split in manifest["splits"].items()} == COUNT
    assert digests(tmp_path) == digests(whole)


def test_an_interrupted_run_keeps_its_finished_shards_and_no_others(whole, tmp_path):
    def interrupt(state):
        if any(tmp_path.glob("data/*/*.json")):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(Darcy(), tmp_path, progress=interrupt, **SETTINGS)
    made = digests(tmp_path)
    assert 0 < len(made) < CHAINS
    assert made.items() <= digests(whole).items()
    assert not list(tmp_path.rglob("*.tmp"))


def test_resume_replaces_a_damaged_shard_only(whole, tmp_path):
    import shutil

    root = shutil.copytree(whole, tmp_path / "copy")
    expected, shard = digests(root), root / "data/train/darcy-00002.hdf5"
    stamps = {path: path.stat().st_mtime_ns for path in root.glob("data/*/*.hdf5") if path != shard}
    shard.write_bytes(shard.read_bytes()[:-1])
    generate(Darcy(), root, resume=True, **SETTINGS)
    assert digests(root) == expected
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())


def test_a_finished_dataset_resumes_to_itself(whole):
    stamp = (whole / "manifest.json").stat().st_mtime_ns
    assert generate(Darcy(), whole, resume=True, **SETTINGS)["splits"]["train"]["count"] == 40
    assert (whole / "manifest.json").stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    ("change", "message"),
    [({"seed": 4}, "seed = 3, now it is 4"), ({"grid": [40, 41]}, r"grid = \[40, 40\]"), ({"rtol": 1e-9}, "rtol"),
     ({"count": {"train": 41}}, r"count\.train = 40, now it is 41"), ({"method": "direct"}, "method = cg")],
)  # fmt: skip
def test_resume_with_other_settings_names_the_difference(whole, change, message):
    with pytest.raises(UsageError, match=f"was started with {message}.*--out"):
        generate(Darcy(), whole, resume=True, **(SETTINGS | change))
    with pytest.raises(UsageError, match=r"problem\.init_args\.low = 3\.0, now it is 2\.0"):
        generate(Darcy(low=2.0), whole, resume=True, **SETTINGS)


def test_an_existing_dataset_is_never_overwritten(whole, tmp_path):
    with pytest.raises(
        UsageError, match="holds a dataset already; continue it with --resume, or choose another --out"
    ):
        generate(Darcy(), whole, **SETTINGS)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(UsageError, match=r"without plan\.json; choose another --out"):
        generate(Darcy(), tmp_path, resume=True, **SETTINGS)


def test_no_seconds_dates_or_hosts_in_the_shards_but_in_the_sidecars(whole):
    sidecar = json.loads((whole / "data/test/darcy-00000.json").read_text())
    assert {"seconds", "written", "machine", "sha256"} <= sidecar.keys()
    content = (whole / "data/test/darcy-00000.hdf5").read_bytes()
    assert sidecar["written"][:10].encode() not in content
    assert b"seconds" not in content
