"""The experiment file: sections, stages, layers."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pdeflow.cli import experiment
from pdeflow.cli.main import main
from pdeflow.errors import UsageError

from .conftest import inside

CONTENT = {
    "name": "n",
    "problem": {"class_path": "P"},
    "fit.a": {"x": 1},
    "fit.b": {"x": 2, "problem": {"init_args": {"k": 3}}},
    "solve": {},
}
trees = st.recursive(
    st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=8
)
mappings = st.dictionaries(st.sampled_from("abc"), trees, max_size=3)


def test_a_section_is_merged_over_the_shared_keys():
    assert experiment.section(CONTENT, "fit", "b") == {
        "name": "n",
        "problem": {"class_path": "P", "init_args": {"k": 3}},
        "x": 2,
    }
    assert experiment.section(CONTENT, "solve") == {"name": "n", "problem": {"class_path": "P"}}
    assert experiment.stages(CONTENT) == ["fit.a", "fit.b", "solve"]
    assert experiment.stage_of(CONTENT, "fit", "a") == "fit.a"


def test_a_file_without_sections_is_the_commands_own():
    assert experiment.section({"name": "n", "rtol": 1}, "solve") == {"name": "n", "rtol": 1}


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (CONTENT, ("fit",), "fit.a, fit.b; choose one with --stage a"),
        (CONTENT, ("evaluate",), "no section 'evaluate'"),
        (CONTENT, ("fit", "c"), "no section 'fit.c'"),
        ({"solve": {}, "slove": {}}, ("solve",), "did you mean 'solve'"),
        ({"solve": 3}, ("solve",), "must hold keys"),
    ],
)
def test_what_a_file_lacks_is_named(content, arguments, message):
    with pytest.raises(UsageError, match=message):
        experiment.section(content, *arguments)


@given(mappings, mappings, mappings)
def test_layers_are_associative_and_the_last_one_wins(a, b, c):
    merge = experiment.merge
    assert merge(a, {}) == a == merge({}, a)
    assert merge(merge(a, b), c) == merge(a, merge(b, c)) or any(_clash(a, b, c))
    assert all(merge(a, b)[key] == value for key, value in b.items() if not isinstance(value, dict))


def _clash(a, b, c):
    """A number between two mappings: there, layering cannot be associative."""
    yield from (
        isinstance(a.get(k), dict)
        and isinstance(c.get(k), dict)
        and not isinstance(b.get(k), dict)
        and k in b
        for k in "abc"
    )
    yield from (
        any(_clash(a[k], b[k], c[k])) for k in "abc" if all(isinstance(m.get(k), dict) for m in (a, b, c))
    )


def test_options_are_taken_out_of_the_arguments():
    words = ["--out", "x", "-c", "f.yaml", "--config=g.yaml", "--rtol", "1"]
    files, rest = experiment.split_files(words)
    assert (files, rest) == (["f.yaml", "g.yaml"], ["--out", "x", "--rtol", "1"])
    assert experiment.take(rest, "--out") == "x"
    assert rest == ["--rtol", "1"]
    with pytest.raises(UsageError, match="needs a value"):
        experiment.take(["--out"], "--out")


@pytest.mark.parametrize("words", [["--grid", "8,9"], ["--grid=8,9"], ["--grid", "[8,9]"], ["--grid=[8,9]"]])
def test_a_grid_needs_no_brackets(words):
    assert "=".join(experiment.bracketed(words, "--grid")) == "--grid=[8,9]"
    assert experiment.bracketed(["--rtol", "1"], "--grid") == ["--rtol", "1"]


def test_shipped_experiments_are_found_by_name():
    assert experiment.find("darcy-quickstart") == experiment.find("darcy_quickstart")
    with pytest.raises(UsageError, match="darcy_quickstart"):
        experiment.find("nothing")
    for path in experiment.configs().glob("*/*.yaml"):
        assert isinstance(yaml.safe_load(path.read_text()), dict)


def test_a_shipped_file_is_found_from_any_folder_by_the_name_that_the_help_gives_it_and_one_of_your_own_comes_first(tmp_path, capsys):
    with inside(tmp_path):
        settings, _ = experiment.settings(["configs/fit/darcy.yaml"], "fit")
        assert settings == experiment.read(experiment.configs() / "fit" / "darcy.yaml")
        assert capsys.readouterr().err.startswith("there is no configs/fit/darcy.yaml here; taking the one that ships with the package, /")
        own = tmp_path / "configs" / "fit" / "darcy.yaml"
        own.parent.mkdir(parents=True)
        own.write_text("trainer: {max_epochs: 1}")
        assert experiment.settings(["configs/fit/darcy.yaml"], "fit")[0] == {"trainer": {"max_epochs": 1}}
        assert capsys.readouterr().err == ""
        with pytest.raises(UsageError, match=r"configs/fit/darci\.yaml not found; did you mean configs/fit/darcy\.yaml\?"):
            experiment.settings(["configs/fit/darci.yaml"], "fit")
        with pytest.raises(UsageError, match=r"mine not found; those that ship with the package, such as configs/fit/darcy\.yaml, are in /"):
            experiment.settings(["mine"], "fit")


def test_the_printed_shipped_experiment_is_a_copy_of_it_to_change(tmp_path, capsys):
    with inside(tmp_path):
        assert main(["run", "darcy_quickstart", "--print_config"]) == 0
        (tmp_path / "mine.yaml").write_text(capsys.readouterr().out)
        assert experiment.read("mine.yaml") == experiment.read(experiment.find("darcy_quickstart"))
        assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]
        assert main(["info", "darcy_quickstart"]) == 0
        assert capsys.readouterr().out.startswith(f"settings    {experiment.find('darcy_quickstart')}\nsections    generate, fit.operator")
        assert main(["info", "nothing"]) == 2
        assert capsys.readouterr().err == "info: nothing not found\n"
