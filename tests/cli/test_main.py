"""The first contact: help without heavy imports, suggestions, exit codes."""

import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from pdeflow.cli.main import COMMANDS, SYNONYMS, main, short_warnings

HEAVY = ("torch", "numpy", "scipy", "lightning", "jsonargparse", "yaml", "h5py", "matplotlib", "rich")
HELP = Path(__file__).parents[2] / "pdeflow" / "cli" / "help"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"], ["fit", "--help"], ["nonsense"]])
def test_help_and_typing_errors_import_nothing_heavy(arguments):
    code = f"import sys; from pdeflow.cli.main import main; main({arguments!r}); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stderr.split()}
    assert not loaded & set(HEAVY)
    assert len(loaded) < 150


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_page_with_an_example(command, capsys):
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"pdeflow {command}")
    assert all(len(line) <= 130 for line in text.splitlines())
    assert command == "doctor" or len(re.findall(rf"^(  )?pdeflow {command} ", text, re.M)) >= 2


def test_the_pages_name_only_options_that_exist(capsys):
    from pdeflow.cli import generate, solve

    special = {"--seed", "--resume", "--count", "--help-all", "--print_config", "-q"}
    for command, parser in (("generate", generate.parser()), ("solve", solve.parser(True))):
        known = {word for action in parser._actions for word in action.option_strings} | special
        named = set(re.findall(r"--[a-z_0-9-]+", (HELP / f"{command}.txt").read_text()))
        assert named <= known, named - known


def test_an_unknown_command_is_answered_with_the_nearest(capsys):
    assert main(["solv"]) == 2
    assert (
        capsys.readouterr().err
        == "pdeflow: unknown command 'solv', did you mean 'solve'?; see pdeflow --help\n"
    )


@pytest.mark.parametrize(("word", "command"), SYNONYMS.items())
def test_a_command_of_other_programs_is_answered_with_the_one_that_does_it(word, command, capsys):
    assert command in COMMANDS
    assert word not in COMMANDS
    assert main([word]) == 2
    assert capsys.readouterr().err == f"pdeflow: unknown command {word!r}, did you mean {command!r}?; see pdeflow --help\n"


def test_doctor_tests_the_installation(capsys):
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "self-test   cg + amg:rs: converged" in text
    for name in ("meshio", "gmsh", "igl", "warp", "kvxopt"):
        assert re.search(rf"^optional    {name}: (\d\S*|not installed \(pip install '.+'\)); \w", text, re.M)


def test_a_warning_is_one_line_of_the_command_and_only_while_it_runs():
    before = warnings.formatwarning
    with short_warnings("evaluate"):
        assert warnings.formatwarning("inputs leave the range", UserWarning, "file.py", 3) == "evaluate: warning: inputs leave the range\n"
    assert warnings.formatwarning is before


@pytest.mark.parametrize("shared", [False, True])
def test_a_process_that_shared_a_training_ends_with_its_code_and_is_not_taken_apart(tmp_path, shared):
    code = f"""
import atexit
from pdeflow.cli import main
class Kept:
    def __del__(self):
        print("taken apart")
def train():
    import torch.distributed
    if {shared}:
        torch.distributed.init_process_group("gloo", init_method="file://{tmp_path}/store", rank=0, world_size=1)
    atexit.register(print, "logger closed")
    globals()["kept"] = Kept()
    return 3
main.main = train
main.program()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert done.stdout.split("\n")[:-1] == ["logger closed", "taken apart"][: 1 if shared else 2]


def test_doctor_takes_no_arguments(capsys):
    assert main(["doctor", "--foo"]) == 2
    assert capsys.readouterr().err == "doctor: doctor takes no arguments, got --foo\n"


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (["solve", "--problem=pdeflow.problems.Darcy", "--rsh", "b.npy"], "'rsh', did you mean 'rhs'?"),
        (["generate", "--problem=pdeflow.problems.Darcy", "--cuont", "3"], "'cuont', did you mean 'count'?"),
        (["fit", "--model=pdeflow.tasks.OperatorLearning", "--trainer.max_epoch", "3"], "'trainer.max_epoch', did you mean 'trainer.max_epochs'?"),
        (["fit", "--model=pdeflow.tasks.OperatorLearning", "--zzzzzz", "3"], "'zzzzzz'; --help-all"),
    ],
)
def test_an_unknown_option_is_answered_with_the_nearest(arguments, near, capsys):
    assert main(arguments) == 2
    assert near in capsys.readouterr().err
