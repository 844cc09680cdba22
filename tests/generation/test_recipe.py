import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdeflow.data.manifest import SPLITS
from pdeflow.errors import DataError, UsageError
from pdeflow.generation import Recipe, generate
from pdeflow.generation.ordering import sorted_samples
from pdeflow.generation.plan import ids_of, make_plan, open_folder, read_plan
from pdeflow.generation.recipe import parse_share
from pdeflow.problems import Darcy, LogNormalDarcy
from pdeflow.problems.problem import problem_from


def recipe(count=None, grid=(8, 8), problem=None, **changes):
    settings = {"seed": 0, "method": "auto", "rtol": 1e-8, "chain_length": 4} | changes
    return Recipe.of(problem or Darcy(), None, {"train": 4} if count is None else count, grid, **settings)


@given(
    count=st.dictionaries(st.sampled_from(SPLITS), st.integers(1, 300), min_size=1),
    length=st.integers(1, 130),
)
def test_chains_divide_the_samples_in_the_order_of_the_splits(count, length):
    chains = recipe(count, chain_length=length).chains()
    ids = [i for chain in chains for i in range(chain.start, chain.start + chain.count)]
    assert ids == list(range(sum(count.values())))
    assert [chain.index for chain in chains] == list(range(len(chains)))
    assert len({chain.file for chain in chains}) == len(chains)
    for split in count:
        own = [chain for chain in chains if chain.split == split]
        assert sum(chain.count for chain in own) == count[split]
        assert all(chain.count == length for chain in own[:-1])
        assert all(chain.file.startswith(f"data/{split}/darcy-") for chain in own)
    order = [SPLITS.index(chain.split) for chain in chains]
    assert order == sorted(order)


@given(n=st.integers(1, 9), chains=st.integers(1, 40))
def test_shares_are_a_partition(n, chains):
    shares = [parse_share(f"{k + 1}/{n}") for k in range(n)]
    assert sorted(i for k, m in shares for i in range(chains) if i % m == k) == list(range(chains))


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3", ""])
def test_a_malformed_share_is_refused(text):
    with pytest.raises(UsageError, match="--shard must be i/n"):
        parse_share(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": {"train": 0}}, "count must map train, valid, test to positive whole numbers"),
        ({"count": {"validation": 3}}, "count must map"),
        ({"count": {}}, "count must map"),
        ({"grid": [8]}, "2-D but the grid has 1 axes"),
        ({"grid": [8, 1]}, "at least 2 cells"),
        ({"grid": [8, 8.5]}, "at least 2 cells"),
        ({"method": "jacobi"}, "one of auto, direct, cg, .*gcro_dr_ilu, got 'jacobi'"),
        ({"rtol": -1.0}, "rtol must lie between"),
        ({"rtol": float("nan")}, "rtol must lie between"),
        ({"seed": -1}, "seed >= 0"),
        ({"chain_length": 0}, "chain_length must be >= 1"),
    ],
)
def test_wrong_settings_are_refused_at_the_door(tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        generate(Darcy(), tmp_path / "out", **({"count": {"train": 4}, "grid": [8, 8]} | changes))
    with pytest.raises(UsageError, match="workers must be at least 1"):
        generate(Darcy(), tmp_path / "out", count={"train": 4}, grid=[8, 8], workers=0)
    with pytest.raises(UsageError, match="name must consist of"):
        generate(Darcy(), tmp_path / "out", count={"train": 4}, grid=[8, 8], name="../x")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("problem", [Darcy(low=2.0, high=5.0, tau=4.0), LogNormalDarcy(sigma=2.0)])
def test_settings_give_the_problem_back(problem):
    settings = json.loads(json.dumps(problem.settings()))
    assert settings["class_path"] == f"pdeflow.problems.{type(problem).__name__}"
    assert problem_from(settings) == problem


@pytest.mark.parametrize(
    "settings",
    [
        {"class_path": "nowhere.Darcy"},
        {"class_path": "pdeflow.problems.Unknown"},
        {"class_path": "Darcy"},
        {"class_path": "builtins.dict"},
        {"class_path": "pdeflow.problems.Darcy", "init_args": {"unknown": 1}},
        {"class_path": "pdeflow.problems.Darcy", "init_args": {"low": -1.0}},
        {},
    ],
)
def test_settings_of_no_problem_are_refused(settings):
    with pytest.raises(DataError, match="cannot be built"):
        problem_from(settings)


def no_sort():
    pytest.fail("sorted")


def winner(ids):
    return {"solver": "cg", "seconds_per_sample": {"cg": 1.0, "direct": 2.0}, "reasons": {"GMRES": "slower"}}


def test_the_race_is_run_once_and_its_winner_kept(tmp_path):
    first = make_plan(tmp_path, recipe(), no_sort, winner)
    assert first["solver"] == "cg"
    assert open_folder(tmp_path, recipe(), resume=True)["solver"] == "cg"
    late = make_plan(tmp_path, recipe(), no_sort, lambda ids: winner(ids) | {"solver": "direct"})  # another process, at the same time
    assert late["solver"] == "cg"
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


def test_similar_samples_follow_each_other_inside_their_split(tmp_path):
    plan = recipe(count={"train": 40, "test": 9}, order="similar", chain_length=16)
    order = sorted_samples(plan)
    assert sorted(order[:40]) == list(range(40))
    assert sorted(order[40:]) == list(range(40, 49))
    kept = make_plan(tmp_path, plan, lambda: order, winner)
    assert [i for chain in plan.chains() for i in ids_of(kept, chain)] == order


def test_a_named_method_needs_no_race(tmp_path):
    assert make_plan(tmp_path, recipe(method="direct"), no_sort, lambda ids: pytest.fail("raced"))["solver"] == "direct"


def test_a_damaged_plan_is_a_data_error_and_other_versions_are_refused(tmp_path):
    make_plan(tmp_path, recipe(method="cg"), no_sort, winner)
    path = tmp_path / "plan.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"versions": content["versions"] | {"numpy": "1.0"}}))
    with pytest.raises(UsageError, match=r"numpy = 1\.0, now it is"):
        open_folder(tmp_path, recipe(method="cg"), resume=True)
    path.write_text('{"recipe": {}}')
    with pytest.raises(DataError, match="damaged"):
        read_plan(tmp_path)
