"""From an exception to one line for people and an exit code."""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
import traceback
from collections.abc import Sequence
from pathlib import Path

from pdeflow.cli.exit_codes import BAD_DATA, INTERNAL, USAGE
from pdeflow.errors import DataError, UsageError

NOISE = (
    "Does not validate against any of the", "Subtypes", "Parser key", "Problem with given class_path", "Given value",
    "Errors:", "Expected a <class 'NoneType'>", "Expected a path but",
)  # fmt: skip

HOMES = {
    "optimizer": ("pdeflow.optim", "torch.optim"), "lr_scheduler": ("pdeflow.optim",), "problem": ("pdeflow.problems",),
    "network": ("pdeflow.models",), "model": ("pdeflow.tasks",), "loss": ("pdeflow.losses",), "data": ("pdeflow.data",),
}  # fmt: skip
"""Modules whose classes a setting takes, the package's own first."""


def exit_code(error: BaseException) -> int:
    """Return the exit code of an error: 4 for bad data, 2 for usage and settings, 1 for everything else."""
    for kind in _chain(error):
        if isinstance(kind, DataError):
            return BAD_DATA
        if isinstance(kind, UsageError | FileNotFoundError):
            return USAGE
    usage = _from_parser(error) or _raised_at_a_door(error) or _refused(error) or _makes_a_folder(error)
    return USAGE if usage else INTERNAL


def one_line(error: BaseException) -> str:
    """Return the message of an error without line breaks, parser jargon or machine noise."""
    for kind in _chain(error):
        if isinstance(kind, DataError | UsageError):
            return " ".join(str(kind).split())
    if isinstance(error, OSError) and _makes_a_folder(error):
        return f"folder {error.filename} cannot be created ({error.strerror}); name another, in a folder that exists and can be written to"
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"file {error.filename} not found"
    text = str(error)
    if _refused(error):
        return constructor_message(text)
    if _from_parser(error):
        return settings_message(text, _options(error))
    if _raised_at_a_door(error):
        return " ".join(text.split())
    return " ".join(f"{type(error).__name__}: {text}; run again with --debug for the traceback".split())


def _from_parser(error: BaseException) -> bool:
    return type(error).__name__ in ("ArgumentError", "ArgumentTypeError")


def _makes_a_folder(error: BaseException) -> bool:
    """Whether the system refused to make a folder."""
    return isinstance(error, OSError) and any(frame.name in ("mkdir", "makedirs") for frame in traceback.extract_tb(error.__traceback__))


def _raised_at_a_door(error: BaseException) -> bool:
    """Whether a ValueError or TypeError was raised by a check of this package, and not inside a library it calls."""
    frames = traceback.extract_tb(error.__traceback__)
    here = Path(__file__).resolve().parents[1]
    return (
        isinstance(error, ValueError | TypeError)
        and bool(frames)
        and here in Path(frames[-1].filename).parents
    )


def _refused(error: BaseException) -> bool:
    """Whether a class named in the settings refused its options when it was built."""
    return str(error).startswith("Does not validate against any of the Union subtypes")


def constructor_message(text: str) -> str:
    """Take what a constructor said out of the parser's list of all that it tried.

    Args:
        text: Message of the parser, one "- …" for each attempt.
    """
    said = re.search(r"Errors:\s*- (.*?)(?:\s+- Expected a |\s+Given value)", text, re.S)
    return "settings: " + " ".join((said.group(1) if said else text).split())


def _options(error: BaseException) -> list[str]:
    """Return the options of the parser that refused a command line, without dashes: the parser is where the error was raised."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if actions := getattr(frame.f_locals.get("self"), "_actions", ()):
            return [word.lstrip("-") for action in actions for word in action.option_strings]
    return []


def settings_message(text: str, options: Sequence[str] = ()) -> str:
    """Shorten what jsonargparse says about a wrong setting to its innermost sentence.

    Args:
        text: Message of the parser, possibly nested over many lines.
        options: Options that the parser knows.

    Returns:
        "KEY: what is wrong", with a suggestion where a known name is near.
    """
    key = re.search(r"Parser key \"([^\"]+)\"", text)
    where = f"{key.group(1)}: " if key else ""
    unknown = re.search(
        r"(?:Key|Option) '([\w.]+)' is not (?:expected|accepted)|unrecognized arguments: (\S+)", text, re.I
    )
    if unknown:
        name = next(group for group in unknown.groups() if group).lstrip("-").split("=")[0]
        return f"{where}unknown option {name!r}{_near(name, text, options)}; --help-all lists every option"
    missing = re.search(
        r"Key \"([\w.]+)\" is required|the following arguments are required: ([\w., ]+)", text
    )
    if missing:
        name = next(group for group in missing.groups() if group)
        return (
            f"{name!r} is required but was not given; add it to the command line or to the file given with -c"
        )
    where, sentence = _innermost(text)
    return " ".join(f"{where}{_plain(sentence, text, where)}".split())


def _innermost(text: str) -> tuple[str, str]:
    """Return "KEY: " of the innermost setting that was wrong, and the sentence about it."""
    keys: list[tuple[int, str]] = []
    found = "", text
    for line in filter(str.strip, text.splitlines()):
        indent, said = len(line) - len(line.lstrip()), line.strip(" -")
        keys = [(depth, name) for depth, name in keys if depth < indent]
        if key := re.match(r"Parser key \"([^\"]+)\"", said):
            keys.append((indent, key.group(1)))
        if said and not said.startswith(NOISE):
            found = "".join(f"{name}." for _, name in keys).rstrip(".") + ": " * bool(keys), said
    return found


def _plain(sentence: str, text: str, key: str = "") -> str:
    """Say in words what the parser says in types."""
    sentence = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", sentence)
    sentence = re.sub(r"typing\.Literal\[([^\]]*)\]", lambda found: "one of " + found.group(1).replace("'", ""), sentence)
    sentence = sentence.replace("Expected a one of", "Expected one of").replace("Expected a int", "Expected an integer")
    sentence = sentence.replace("Expected a Sequence", "Expected a list such as [8, 8]").replace("Expected a float", "Expected a number")
    if absent := re.fullmatch(r"module '([\w.]+)' has no attribute '(\w+)'", sentence):
        names = getattr(importlib.import_module(absent.group(1)), "__all__", ())
        near = difflib.get_close_matches(absent.group(2), names, n=1, cutoff=0.5)
        return f"{absent.group(1)} has no {absent.group(2)!r}" + (f", did you mean {near[0]!r}?" if near else "")
    if word := re.fullmatch(r"Expected a dot import path string: (\S+)", sentence):
        return f"{word.group(1)!r} is no class path{_class_paths(word.group(1), key)}"
    value = re.search(r"Given value: (\S+)$", text.strip())
    return f"{sentence}. Got value: {value.group(1)}" if value and re.fullmatch(r"Expected an? \w+", sentence) else sentence


def _class_paths(word: str, key: str) -> str:
    """Return "; write …" with the public class whose name is nearest, in the modules of the setting where they are known."""
    last = key.strip(": ").rsplit(".", 1)[-1]
    homes = HOMES.get(last) or dict.fromkeys(home for several in HOMES.values() for home in several)
    paths = {name: f"{home}.{name}" for home in reversed(list(homes)) for name in importlib.import_module(home).__all__ if name[0].isupper()}
    lower = {name.lower(): path for name, path in paths.items()}
    near = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.5)
    return f"; write {lower[near[0]]}" if near else f"; write a class with its module, one of {' or '.join(homes)} (--help-all lists them)"


def _near(name: str, text: str, options: Sequence[str]) -> str:
    """Return a suggestion among the options of the class that the message names, else among those of the parser."""
    last = name.rsplit(".", 1)[-1]
    known: list[str] = []
    for path in re.findall(r"class_path '([\w.]+)'", text):
        module, _, attribute = path.rpartition(".")
        try:
            known += inspect.signature(getattr(importlib.import_module(module), attribute)).parameters
        except (ImportError, AttributeError, ValueError, TypeError):
            continue
    near = difflib.get_close_matches(last, known, n=1) or difflib.get_close_matches(name, options, n=1)
    return f", did you mean {near[0]!r}?" if near else ""


def _chain(error: BaseException) -> list[BaseException]:
    """Return the error and what caused it, outermost first."""
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        current = current.__cause__ or current.__context__
    return found
