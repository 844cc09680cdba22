"""A Dask cluster gives the bytes of the process pool, survives a killed worker, and says in one line what is wrong."""

import json
import os
import signal
import sys
import time

import pytest
from one_run import SETTINGS

from pdeflow.data import check
from pdeflow.data.hdf5 import sha256
from pdeflow.errors import DataError, UsageError
from pdeflow.generation import Recipe, generate
from pdeflow.generation.scheduler import _result, cluster, run_alone, write_once
from pdeflow.problems import Darcy

distributed = pytest.importorskip(
    "distributed", reason="needs the extra 'cluster': pip install 'pdeflow[cluster]'"
)


def digests(root):
    return {str(path.relative_to(root)): sha256(path) for path in sorted(root.glob("data/*/*.hdf5"))}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("whole")
    generate(Darcy(), root, workers=2, **SETTINGS)
    return root


@pytest.fixture(scope="module")
def two_workers():
    """Two worker processes with two BLAS threads, which must not matter, and memory limits off."""
    threads = {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=2, dashboard_address=None, env=threads, memory_limit=0
    ) as local:
        yield local


def test_a_cluster_gives_the_bytes_of_the_process_pool(whole, two_workers, tmp_path):
    states = []
    generate(Darcy(), tmp_path, scheduler=two_workers.scheduler_address, progress=states.append, **SETTINGS)
    assert digests(tmp_path) == digests(whole)
    assert check(tmp_path) == []
    assert (states[-1].done, states[-1].total, states[-1].workers) == (56, 56, 2)
    assert states[-1].iterations >= 56
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_killed_worker_loses_and_doubles_nothing(whole, two_workers, tmp_path):
    victim, killed = next(iter(two_workers.workers.values())).pid, []

    def kill(state):
        if not killed and any(tmp_path.glob("data/*/.*.tmp")) | bool(state.done):
            os.kill(victim, signal.SIGKILL)
            killed.append(state.done)

    generate(Darcy(), tmp_path, scheduler=two_workers.scheduler_address, progress=kill, **SETTINGS)
    assert killed
    assert killed[0] < 56
    assert digests(tmp_path) == digests(whole)
    assert not list(tmp_path.rglob("*.tmp"))


def test_an_unsolvable_sample_is_told_once_and_not_tried_again(two_workers, tmp_path):
    with pytest.raises(DataError, match=r"sample \d+ of darcy was not solved to rtol 2e-15"):
        generate(Darcy(), tmp_path, scheduler=two_workers.scheduler_address, **SETTINGS | {"rtol": 2e-15})


def test_an_interrupted_run_resumes_on_the_cluster_or_without_it(whole, two_workers, tmp_path):
    def interrupt(state):
        if state.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(Darcy(), tmp_path, scheduler=two_workers.scheduler_address, progress=interrupt, **SETTINGS)
    assert not (tmp_path / "manifest.json").exists()
    generate(Darcy(), tmp_path, resume=True, **SETTINGS)
    assert digests(tmp_path) == digests(whole)


def test_a_task_that_is_run_twice_writes_once(tmp_path):
    recipe = Recipe.of(
        Darcy(), None, {"train": 4}, [8, 8], seed=1, method="direct", rtol=1e-8, chain_length=4
    )
    chain = recipe.chains()[0]
    first = write_once(tmp_path, recipe, chain, range(4), "direct")
    stamp = (tmp_path / chain.file).stat().st_mtime_ns
    again = write_once(tmp_path, recipe, chain, range(4), "direct")
    assert again["sha256"] == first["sha256"]
    assert (tmp_path / chain.file).stat().st_mtime_ns == stamp
    assert json.loads((tmp_path / chain.sidecar).read_text()).items() <= first.items()


def test_a_worker_with_other_versions_is_named():
    with pytest.raises(UsageError, match=r"a worker has pdeflow .*, not 0; install the same versions"):
        _result(run_alone({"pdeflow": "0"}, len, []))


def test_nobody_at_the_address_is_one_line_in_time(tmp_path):
    start = time.perf_counter()
    message = r"no Dask scheduler answers at tcp://127\.0\.0\.1:9 within 1 s; start one with: dask scheduler"
    with pytest.raises(UsageError, match=message) as error, cluster("tcp://127.0.0.1:9", timeout=1.0):
        pass
    assert time.perf_counter() - start < 5
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"scheduler": "10.0.0.1"}, r"--scheduler must be like tcp://HOST:8786, got '10\.0\.0\.1'"),
     ({"scheduler": "tcp://10.0.0.1:1", "shard": "1/2"}, "either --scheduler, which divides the chains itself, or --shard")],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused_before_anything_is_written(settings, message, tmp_path):
    root = tmp_path / "new" / "folder"
    with pytest.raises(UsageError, match=message):
        generate(Darcy(), root, **SETTINGS, **settings)
    assert not root.parent.exists()


def test_a_missing_dask_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(
        UsageError, match=r"--scheduler needs Dask; install it with: pip install 'pdeflow\[cluster\]'"
    ):
        generate(Darcy(), tmp_path, scheduler="tcp://127.0.0.1:9", **SETTINGS)
    assert not list(tmp_path.iterdir())
