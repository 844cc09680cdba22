"""Kills, full disks and second writers: no sample lost or doubled, the bytes of an undisturbed run, one clear line."""

import errno
import json
import math
import os
import platform
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdeflow.data import check
from pdeflow.data.hdf5 import sha256
from pdeflow.data.reading import read_shard
from pdeflow.errors import UsageError
from pdeflow.generation import Recipe, generate, workers
from pdeflow.generation.lock import process_start, sole_writer
from pdeflow.problems import Burgers, Darcy

SCRIPT = Path(__file__).with_name("killed_run.py")
SAMPLES = 96


def digests(root):
    return {str(path.relative_to(root)): sha256(path) for path in sorted(root.glob("data/*/*.hdf5"))}


def start(root, count, *others):
    command = [sys.executable, str(SCRIPT), str(root), str(count), *others]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def children(pid):
    """Processes of a coordinator that wait for work or write: those that spawn made."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(word) for word in task.read_text().split()]
    return [child for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    root = tmp_path_factory.mktemp("undisturbed")
    begin = time.perf_counter()
    assert start(root, 1).wait() == 0
    return root, time.perf_counter() - begin


def killed_somewhere(root, count, chance, longest):
    """Kill the coordinator, or one of its workers, after a random time, and wait until nobody of them lives."""
    process, begin = start(root, count), time.monotonic()
    while not (root / "plan.json").is_file() and process.poll() is None:
        time.sleep(0.002)
    pause = chance.uniform(0, longest)
    while process.poll() is None and time.monotonic() < begin + 60 and pause > 0:
        pause -= 0.005
        time.sleep(0.005)
    family = children(process.pid) if process.poll() is None else []
    victim = chance.choice([process.pid, *family])
    if process.poll() is None:
        os.kill(victim, signal.SIGKILL)
    process.communicate()
    end = time.monotonic() + 20
    while any(process_start(child) for child in family) and time.monotonic() < end:
        time.sleep(0.01)
    assert not any(process_start(child) for child in family), "a worker outlived its coordinator"
    return process.returncode


def kill_and_resume(root, kills, chance, longest):
    """Kill a run several times, resume it, and return its digests, its sample numbers and what is left of temporary files."""
    for _ in range(kills):
        killed_somewhere(root, chance.choice([1, 2]), chance, longest)
    assert start(root, 2).wait() == 0
    seen = Counter(
        int(i) for path in root.glob("data/*/*.hdf5") for i in read_shard(path).samples["sample_id"]
    )
    return digests(root), seen, list(root.rglob(".*"))


def test_kills_at_random_times_lose_and_double_nothing(undisturbed, tmp_path):
    found = kill_and_resume(tmp_path, 2, random.Random(4), 0.3 * undisturbed[1])
    assert found == (digests(undisturbed[0]), Counter(range(SAMPLES)), [])


@pytest.mark.slow
def test_twenty_runs_killed_at_random_times_give_the_bytes_of_an_undisturbed_one(undisturbed, tmp_path):
    chance, expected = random.Random(), (digests(undisturbed[0]), Counter(range(SAMPLES)), [])
    for run in range(20):
        root = tmp_path / str(run)
        root.mkdir()
        assert kill_and_resume(root, 1, chance, undisturbed[1]) == expected


def test_a_killed_worker_is_told_in_one_line(tmp_path):
    process = start(tmp_path, 2)
    while not any(tmp_path.glob("data/*/*.json")) and process.poll() is None:
        time.sleep(0.002)
    os.kill(children(process.pid)[0], signal.SIGKILL)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 1
    last = text.strip().splitlines()[-1]
    assert last.startswith("RuntimeError: a worker process ended: killed, or out of memory")
    assert last.endswith("go on with --resume")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 400 kB; `grow` makes room."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)], capture_output=True
    )
    if made.returncode:
        pytest.skip("mounting a small file system is not permitted here")
    try:
        yield place, lambda: subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_one_clear_line_and_nothing_half_written(undisturbed, small_disk):
    place, grow = small_disk
    process = start(place / "out", 2)
    _, text = process.communicate(timeout=120)
    assert process.returncode == 1
    last = text.strip().splitlines()[-1]
    assert "UsageError: cannot write" in last
    assert last.endswith("; make room there, then go on with --resume")
    assert not list((place / "out").rglob(".*"))
    made = digests(place / "out")
    assert 0 < len(made) < 12
    assert made.items() <= digests(undisturbed[0]).items()
    grow()
    assert start(place / "out", 2).wait() == 0
    assert digests(place / "out") == digests(undisturbed[0])
    assert check(place / "out") == []


def test_a_write_that_fails_leaves_no_file_and_names_the_reason(tmp_path, monkeypatch):
    recipe = Recipe.of(
        Darcy(), None, {"train": 4}, [8, 8], seed=1, method="direct", rtol=1e-8, chain_length=4
    )
    chain = recipe.chains()[0]

    def full(root, *others):
        half = root / "data/train/.darcy-00000.hdf5.7.tmp"
        half.parent.mkdir(parents=True)
        half.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(workers, "write_chain", full)
    with pytest.raises(
        UsageError, match=r"cannot write .*darcy-00000\.hdf5 \(No space left on device\); make room there"
    ):
        workers.write(tmp_path, recipe, chain, range(4), "direct", lambda iterations: None)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_second_writer_gets_one_clear_line_and_the_first_finishes(undisturbed, tmp_path):
    first = start(tmp_path, 2)
    while not (tmp_path / "plan.json").is_file() and first.poll() is None:
        time.sleep(0.005)
    second = start(tmp_path, 2)
    _, text = second.communicate(timeout=60)
    assert second.returncode == 1
    assert (
        f"is being written by process {first.pid} on {platform.node()} since" in text.strip().splitlines()[-1]
    )
    assert first.wait() == 0
    assert digests(tmp_path) == digests(undisturbed[0])


def test_two_shares_at_once_make_one_dataset(undisturbed, tmp_path):
    shares = [start(tmp_path, 1, "--shard", f"{i}/2") for i in (1, 2)]
    assert [process.wait() for process in shares] == [0, 0]
    assert digests(tmp_path) == digests(undisturbed[0])
    assert check(tmp_path) == []


@given(st.integers(1, 6), st.integers(1, 6), st.data())
def test_shares_exclude_each_other_exactly_if_they_have_a_chain_in_common(tmp_path_factory, n, m, data):
    i, j = data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, m - 1))
    common = any(chain % n == i and chain % m == j for chain in range(math.lcm(n, m)))
    root = tmp_path_factory.mktemp("shares")
    with sole_writer(root, i, n):
        if common:
            with pytest.raises(UsageError, match="is being written by process"), sole_writer(root, j, m):
                pass
        else:
            with sole_writer(root, j, m):
                assert len(list(root.glob(".writer-*.lock"))) == 2
        assert len(list(root.glob(".writer-*.lock"))) == 1
    assert not list(root.iterdir())


HERE = {"host": platform.node(), "time": "2026-01-01 00:00:00", "share": 0, "shares": 1}


@pytest.mark.parametrize(
    ("owner", "age", "stale"),
    [({"pid": 2**22 + 1, "started": "1"}, 0, True),  # beyond the largest process number
     ({"pid": os.getpid(), "started": "1"}, 0, True),  # the number was given to another process
     ({"pid": os.getpid(), "started": process_start(os.getpid())}, 10_000, False),
     ({"pid": 1, "started": "1", "host": "elsewhere"}, 60, False),
     ({"pid": 1, "started": "1", "host": "elsewhere"}, 10_000, True)],
)  # fmt: skip
def test_a_lock_is_stale_when_its_writer_is_dead_or_silent_on_another_host(owner, age, stale, tmp_path):
    lock = tmp_path / ".writer-1-of-1.lock"
    lock.write_text(json.dumps(HERE | owner))
    os.utime(lock, (time.time() - age, time.time() - age))
    if not stale:
        with (
            pytest.raises(UsageError, match=r"since 2026-01-01.*remove .*\.writer-1-of-1\.lock"),
            sole_writer(tmp_path),
        ):
            pass
        assert json.loads(lock.read_text()) == HERE | owner
        return
    with sole_writer(tmp_path):
        assert json.loads(lock.read_text())["pid"] == os.getpid()
        assert [path.name for path in tmp_path.iterdir()] == [lock.name]
    assert not list(tmp_path.iterdir())


def test_a_folder_that_stayed_empty_is_removed_again(tmp_path):
    with pytest.raises(UsageError, match="grid must have at least 2"):
        generate(Darcy(), tmp_path / "a" / "b", count={"train": 2}, grid=[1, 1])
    with sole_writer(tmp_path / "a" / "b"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_grid_that_the_first_samples_refuse_leaves_the_folder_free_for_a_better_one(tmp_path):
    problem, root = Burgers(frames=2, final_time=0.1), tmp_path / "burgers"
    with pytest.raises(UsageError, match="take grid"):
        generate(problem, root, count={"train": 8}, grid=(6,), seed=0)
    assert not root.exists()
    assert generate(problem, root, count={"train": 1}, grid=(64,), seed=0)["fields"]
    with pytest.raises(UsageError, match="holds a dataset already"):
        generate(problem, root, count={"train": 8}, grid=(6,), seed=0)
    assert (root / "plan.json").is_file()
