"""The experiment file: shared keys, and one section per command or per COMMAND.STAGE.

Design: `name`, `problem` and `seed_everything` are shared; a section is merged over them; a file without sections is the
settings of the one command that reads it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pdeflow.cli.main import suggestion
from pdeflow.cli.shipped import configs, located, shipped_hint
from pdeflow.errors import UsageError

SHARED = ("name", "problem", "seed_everything")
OWN_KEYS = {
    "fit": ("model", "trainer", "optimizer", "lr_scheduler"),
    "generate": ("count", "workers", "chain_length"),
    "solve": ("compare", "preconditioner", "unseen", "guard"),
}
"""Keys that one command alone reads, in a settings file without sections."""
SECTIONS = ("generate", "fit", "evaluate", "solve", "report")


def find(name: str) -> Path:
    """Locate an experiment by path or by the name of one that ships with the package.

    Args:
        name: "my.yaml", or "darcy_quickstart".

    Returns:
        The file.

    Raises:
        UsageError: If there is no such file; the message lists the shipped ones.
    """
    if located(name).is_file():
        return located(name, say=True)
    shipped = {path.stem: path for path in sorted(configs().glob("experiments/*.yaml"))}
    if name.replace("-", "_") in shipped:
        return shipped[name.replace("-", "_")]
    raise UsageError(f"file {name} not found; give a path, or one of: {', '.join(shipped) or 'none shipped'}")


def read(path: str | Path) -> dict[str, Any]:
    """Read a settings file.

    Args:
        path: YAML file.

    Returns:
        Its top-level mapping.

    Raises:
        UsageError: If the file is missing, empty, not YAML or not a mapping.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"settings file {path} not found; {shipped_hint(path)}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"settings file {path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not content:
        raise UsageError(f"settings file {path} is empty; start from a copy of {configs() / 'experiments'}")
    if not isinstance(content, dict):
        raise UsageError(f"settings file {path} must hold keys and values, found a {type(content).__name__}")
    return content


def stages(content: Mapping[str, Any]) -> list[str]:
    """Return the sections of an experiment in file order, such as "fit.operator".

    Raises:
        UsageError: If a top-level key is neither shared nor a section.
    """
    found = [key for key in content if key.split(".")[0] in SECTIONS]
    for key in content:
        if key not in SHARED and key not in found:
            raise UsageError(
                f"top-level key {key!r} of the experiment is neither shared ({', '.join(SHARED)}) nor a section "
                f"({', '.join(SECTIONS)}, or fit.NAME){suggestion(key)}"
            )
    return found


def is_experiment(content: Mapping[str, Any]) -> bool:
    """Whether a settings file has sections, instead of being the settings of one command."""
    return any(key.split(".")[0] in SECTIONS for key in content)


def command_of(content: Mapping[str, Any]) -> str | None:
    """Return the command whose settings a file without sections holds, by a key that only it has; None where several fit."""
    return next((command for command, keys in OWN_KEYS.items() if any(key in content for key in keys)), None)


def refuse_other_command(file: str | Path, content: Mapping[str, Any], command: str) -> None:
    """Refuse a settings file that was written for another command.

    Args:
        file: Its path.
        content: What `read` returned.
        command: The command that was given the file.

    Raises:
        UsageError: If only another command reads it.
    """
    other = None if is_experiment(content) else command_of(content)
    if other not in (None, command):
        raise UsageError(f"{file} is a settings file of `pdeflow {other}`, not of {command}; use it with: pdeflow {other} -c {file}")


def section(content: Mapping[str, Any], command: str, stage: str | None = None) -> dict[str, Any]:
    """Return the settings of one command: the shared keys, then its section.

    Args:
        content: What `read` returned.
        command: For example "fit".
        stage: Name of the stage when the command has several sections, "operator" for fit.operator.

    Returns:
        Settings of the command.

    Raises:
        UsageError: If the file has no such section, or several and no stage was named.
    """
    if not is_experiment(content):
        return dict(content)
    names = [key for key in stages(content) if key.split(".")[0] == command]
    wanted = f"{command}.{stage}" if stage else None
    if wanted is None and len(names) > 1:
        raise UsageError(
            f"the file has the sections {', '.join(names)}; choose one with --stage {names[0].split('.')[1]}"
        )
    name = wanted or (names[0] if names else command)
    if name not in content and not (wanted and names == [command]):
        raise UsageError(f"the file has no section {name!r}; it has {', '.join(stages(content))}")
    body = content.get(name, content.get(command)) or {}
    if not isinstance(body, Mapping):
        raise UsageError(f"section {name!r} must hold keys and values, found {body!r}")
    return merge({key: content[key] for key in SHARED if key in content}, body)


def stage_of(content: Mapping[str, Any], command: str, stage: str | None) -> str:
    """Return the name of the folder of a stage: the section's name, or the command's."""
    if stage:
        return f"{command}.{stage}"
    names = [key for key in content if key.split(".")[0] == command] if is_experiment(content) else []
    return names[0] if len(names) == 1 else command


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two nested mappings; the second one wins."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merge(result[key], value) if both else value
    return result


def split_files(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate the settings files (-c FILE, --config FILE, --config=FILE) from the other arguments.

    Args:
        argv: Arguments of a command.

    Returns:
        (files, the rest).

    Raises:
        UsageError: If -c has no file after it.
    """
    files, rest, words = [], [], iter(argv)
    for word in words:
        if word in ("-c", "--config"):
            file = next(words, None)
            if file is None:
                raise UsageError(f"{word} needs a file after it")
            files.append(file)
        elif word.startswith("--config="):
            files.append(word.partition("=")[2])
        else:
            rest.append(word)
    return files, rest


def take(argv: list[str], option: str) -> str | None:
    """Remove `--option VALUE` or `--option=VALUE` from the arguments and return the value.

    Args:
        argv: Arguments, changed in place.
        option: Name with dashes.

    Returns:
        The last value given, or None.

    Raises:
        UsageError: If the option has no value.
    """
    value = None
    for index in reversed(range(len(argv))):
        word = argv[index]
        if word.startswith(f"{option}="):
            value = value if value is not None else word.partition("=")[2]
            del argv[index]
        elif word == option:
            if index + 1 >= len(argv):
                raise UsageError(f"{option} needs a value after it")
            value = value if value is not None else argv[index + 1]
            del argv[index : index + 2]
    return value


def one_resolution(config: dict[str, Any], rest: Sequence[str]) -> dict[str, Any]:
    """Let --h on the command line replace the grid of a settings file, and --grid its h.

    Args:
        config: Settings of the file.
        rest: Options of the command line.

    Returns:
        The settings without the one that is replaced.
    """
    given = {word.partition("=")[0] for word in rest}
    replaced = {other for option, other in (("--h", "grid"), ("--grid", "h")) if option in given}
    return {key: value for key, value in config.items() if key not in replaced}


def bracketed(argv: Sequence[str], option: str) -> list[str]:
    """Let a list be given without brackets: --grid 64,64 and --grid=64,64 become --grid [64,64].

    Args:
        argv: Arguments.
        option: Name with dashes.

    Returns:
        The arguments.

    Raises:
        UsageError: If the numbers are joined by an x, or by spaces.
    """
    if other := re.search(rf"(?:^| ){option}[ =](\d+(?:[ x×*]\d+)+)(?: |$)", " ".join(argv), re.I):
        commas = re.sub(r"\D", ",", other.group(1))
        raise UsageError(f"expected numbers with commas between, got {option} {other.group(1)}; write {option} {commas}")

    def wrapped(before: str, word: str) -> str:
        name, equals, value = word.partition("=")
        if name == option and equals and "[" not in value:
            return f"{option}=[{value}]"
        return f"[{word}]" if before == option and "[" not in word else word

    return [wrapped(before, word) for before, word in zip(["", *argv], argv, strict=False)]


def settings(
    files: Sequence[str], command: str, stage: str | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read several settings files over each other.

    Args:
        files: Paths, the later ones win.
        command: Command whose section is wanted.
        stage: Its stage.

    Returns:
        (settings of the command, the whole merged content).

    Raises:
        UsageError: If a file is missing, not a settings file, or that of another command.
    """
    content: dict[str, Any] = {}
    for name in files:
        file = located(name, say=True)
        found = read(file)
        refuse_other_command(file, found, command)
        content = merge(content, found)
    return (section(content, command, stage) if content else {}), content
