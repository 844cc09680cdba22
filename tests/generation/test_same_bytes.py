"""Workers, shares, kills and changes of the solver never change a byte of the shards."""

import json
import os
import re
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
from pdeflow.generation import Recipe, generate
from pdeflow.generation.drift import DriftWatch
from pdeflow.generation.plan import make_plan, read_plan, solver_of
from pdeflow.generation.workers import write
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

    with pytest.raises(KeyboardInterrupt) as interrupted:
        generate(Darcy(), tmp_path, progress=interrupt, **SETTINGS)
    made = digests(tmp_path)
    assert f"; {len(made)} of {CHAINS} chains are written; go on with pdeflow generate --resume --out {tmp_path}" in str(interrupted.value)
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


def test_the_example_of_the_guide_runs(capsys):
    guide = Path(__file__).resolve().parents[2] / "docs" / "methods" / "generation.md"
    (example,) = re.findall(r"```python\n(.*?)```", guide.read_text(), flags=re.S)
    assert example.count("assert") == 3
    exec(example, {})
    assert capsys.readouterr().out.strip()


UNGUARDED = """
from dataclasses import dataclass
import sys
import pdeflow
from pdeflow.problems import Darcy

@dataclass(frozen=True)
class Mine(Darcy):
    pass

print("above", flush=True)
problem = Mine() if sys.argv[1] == "mine" else Darcy()
made = pdeflow.generate(problem, sys.argv[2], count={"train": 6}, grid=[8, 8], chain_length=3, method="direct")
print("below", made["splits"]["train"]["count"])
"""


@pytest.mark.parametrize(("problem", "runs"), [("darcy", 1), ("mine", 2)])
def test_a_script_needs_no_guard_and_may_define_the_problem(problem, runs, tmp_path):
    """A worker runs what stands above the call only where that defines the problem, and never what stands below."""
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    done = subprocess.run(
        [sys.executable, str(script), problem, str(tmp_path / "out")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["above"] * runs + ["below", "6"]


def test_a_problem_defined_at_a_prompt_is_refused_in_one_line_before_anything_is_written(tmp_path):
    text = UNGUARDED.replace("sys.argv[1]", "'mine'").replace("sys.argv[2]", repr(str(tmp_path / "out")))
    done = subprocess.run([sys.executable, "-"], input=text, capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert "__main__.Mine is defined at a prompt or in a notebook" in last
    assert last.endswith("put the class into a file NAME.py and import it: from NAME import Mine")
    assert not list(tmp_path.iterdir())


SLOWER = [
    1,
    1,
    1,
    1,
    3,
    3,
    3,
    3,
    1,
    1,
]  # seconds a sample, by chain: the fifth is three times as slow as the first
RECIPE = Recipe.of(Darcy(), None, {"train": 20}, [8, 8], seed=1, method="auto", rtol=1e-8, chain_length=2)


class Machine:
    """Writes chains in this process and says how long they took; stops before a chain like a kill."""

    def __init__(self, root, seconds, stop=None):
        self.root, self.seconds, self.stop, self.races = root, seconds, stop, []

    def race(self, samples):
        self.races.append(list(samples))
        return {"solver": "cg", "seconds_per_sample": {"cg": 0.5, "direct": 2.0}, "reasons": {}}

    def run(self, plan):
        watch = DriftWatch(self.root, RECIPE, plan, self.race, window=2)
        for chain in RECIPE.chains():
            if chain.index == self.stop:
                return watch.plan
            if not (self.root / chain.sidecar).is_file():
                ids, solver = watch.assign(chain)
                assert solver == solver_of(read_plan(self.root), chain)  # written before the chain starts
                told = write(self.root, RECIPE, chain, ids, solver, lambda iterations: None)
                watch.finished(chain, told | {"processor_seconds": self.seconds[chain.index] * chain.count})
        return watch.plan


def begun(root):
    root.mkdir()
    return make_plan(
        root,
        RECIPE,
        list,
        lambda ids: {"solver": "direct", "seconds_per_sample": {"direct": 1.0}, "reasons": {}},
    )


@pytest.fixture(scope="module")
def drifted(tmp_path_factory):
    """A generation whose chains become slower, so that the fifth to sixth bring a new race."""
    root = tmp_path_factory.mktemp("drift") / "whole"
    machine = Machine(root, SLOWER)
    return root, machine, machine.run(begun(root))


def test_a_new_race_is_run_when_the_median_has_doubled_and_decides_from_the_next_chain_on(drifted):
    root, machine, plan = drifted
    assert plan["changes"] == [
        {"from_chain": 6, "solver": "cg", "seconds_per_sample": {"cg": 0.5, "direct": 2.0}}
    ]
    assert plan == read_plan(root)
    assert machine.races == [[12, 13]]  # the first samples of the chain that is next
    made = [json.loads((root / chain.sidecar).read_text())["solver"] for chain in RECIPE.chains()]
    assert made == ["direct"] * 6 + ["cg"] * 4


@pytest.mark.parametrize("stop", [7, 9])
def test_a_resumed_generation_repeats_the_change_whatever_its_own_speed(drifted, stop, tmp_path):
    root = tmp_path / "again"
    Machine(root, SLOWER, stop).run(begun(root))
    quick = Machine(root, [1] * 10)
    quick.run(read_plan(root))
    assert quick.races == []
    assert digests(root) == digests(drifted[0])


def test_an_even_speed_or_the_same_winner_changes_nothing(tmp_path):
    even = Machine(tmp_path / "even", [1, 1.9] * 5)
    assert even.run(begun(even.root))["changes"] == []
    assert even.races == []
    same = Machine(tmp_path / "same", SLOWER)
    same.race = lambda samples: same.races.append(samples) or {"solver": "direct", "seconds_per_sample": {}}
    assert same.run(begun(same.root))["changes"] == []
    assert len(same.races) == 1


def test_no_chain_that_an_earlier_start_wrote_gets_another_solver(tmp_path):
    """Chains 0 to 4 and 8 are there; the speed drops at once, but only chain 9 lies beyond all that is written."""
    root = tmp_path / "holes"
    machine = Machine(root, [1, 1, 1, 3, 3, 3, 3, 3, 3, 3])
    machine.run(begun(root))
    for index in (0, 1, 2, 3, 4, 5, 6, 7, 9):
        (root / RECIPE.chains()[index].sidecar).unlink()
    (root / "plan.json").unlink()
    plan = make_plan(
        root, RECIPE, list, lambda ids: {"solver": "direct", "seconds_per_sample": {}, "reasons": {}}
    )
    again = Machine(root, machine.seconds)
    assert [change["from_chain"] for change in again.run(plan)["changes"]] == [9]
