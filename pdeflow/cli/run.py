"""`pdeflow run`: the sections of an experiment in file order, then the report; unchanged stages are reused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pdeflow.cli import experiment
from pdeflow.cli.exit_codes import OK
from pdeflow.errors import UsageError

BEGUN, DONE = "begun.json", "done.json"


def main(argv: list[str], command: str = "run") -> int:
    """Run an experiment.

    Args:
        argv: FILE or NAME of a shipped one, --force, --out RUN, --print_config.
        command: Its name.

    Returns:
        Exit code of the first stage that failed, or 0.
    """
    rest = [word for word in argv if word not in ("-q", "-v")]
    force, out = "--force" in rest, experiment.take(rest, "--out")
    files, rest = experiment.split_files([word for word in rest if word not in ("--force", "--print_config")])
    names = files + rest
    if len(names) != 1 or names[0].startswith("-"):
        raise UsageError(
            f"expected one experiment: pdeflow run FILE.yaml, or pdeflow run darcy_quickstart; got {names}"
        )
    file = experiment.find(names[0])
    if "--print_config" in argv:
        print(file.read_text(encoding="utf-8").rstrip())
        return OK
    content = experiment.read(file)
    experiment.refuse_other_command(file, content, "run")
    sections = [name for name in experiment.stages(content) if name != "report"]
    if not sections:
        raise UsageError(f"{file} has no section to run; it needs generate, fit, evaluate or solve")
    from pdeflow.run_folder import create, point_latest, provenance, write_json, write_yaml

    name = str(content.get("name", file.stem))
    keys = stage_keys(content, sections)
    previous = latest(name) if out is None else None
    run = (
        Path(out) if out else previous if previous and not force and same(previous, content) else create(name)
    )
    if previous is not None and run != previous and not force:
        adopt(previous, run, sections, keys)
    write_yaml(run / "config.yaml", content)
    if out is None:
        point_latest(run)
    if not (run / "run.json").is_file():
        write_json(run / "run.json", provenance(sys.argv[1:], int(content.get("seed_everything", 0))))
    return run_sections(content, run, sections, keys, force)


def run_sections(
    content: Mapping[str, Any], run: Path, sections: list[str], keys: dict[str, str], force: bool
) -> int:
    """Run what is not done yet, then the report.

    Args:
        content: The experiment.
        run: Run folder.
        sections: Names in file order.
        keys: Key of each stage's settings.
        force: Run every stage again.

    Returns:
        Exit code.
    """
    from pdeflow.cli import report
    from pdeflow.run_folder import write_json

    changed = False
    for number, name in enumerate(sections, start=1):
        label = f"[{number}/{len(sections) + 1}] {name}"
        if not force and finished(run / name, keys[name]):
            print(f"{label}: unchanged, reused")
            continue
        print(label, flush=True)
        start, changed = time.monotonic(), True
        if force or not begun(run / name, keys[name]):
            shutil.rmtree(run / name, ignore_errors=True)
        write_json(run / name / BEGUN, {"key": keys[name]})
        code = run_stage(name, content, run)
        if code != OK:
            return code
        mark(run / name, keys[name], time.monotonic() - start)
    print(f"[{len(sections) + 1}/{len(sections) + 1}] report")
    if changed or not (run / "report.html").is_file():
        return report.main([str(run)])
    print(f"report: {run / 'report.html'} (unchanged)")
    return OK


def run_stage(name: str, content: Mapping[str, Any], run: Path) -> int:
    """Run one section in this process, as its command would.

    Args:
        name: Section, for example "fit.operator".
        content: The experiment.
        run: Run folder.

    Returns:
        Exit code.
    """
    from pdeflow.cli import evaluate, fit, generate, solve

    command, _, stage = name.partition(".")
    settings = experiment.section(content, command, stage or None)
    if command == "generate":
        started = (run / name / "plan.json").is_file()
        overrides = [f"--out={run / name}", *(["--resume=true"] if started else [])]
        generate.generate_dataset(generate.parse(settings, overrides), quiet=False)
        return OK
    if command == "fit":
        if "data" in settings:
            settings = experiment.merge({"data": {"init_args": {"path": str(run / "generate")}}}, settings)
        last = (
            run / name / "checkpoints" / "last.ckpt"
        ).is_file()  # of an interrupted run with the same settings
        return fit.fit(settings, [], name, str(run), "last" if last else None, False)
    if command == "evaluate":
        target = run / settings["stage"] if "stage" in settings else run
        print(
            evaluate.evaluate(
                target, settings.get("data"), settings.get("split", "test"), own_modules(content)
            )
        )
        return OK
    wanted = str(settings.get("preconditioner", ""))
    if wanted.startswith("fit") and (run / wanted).is_dir():
        settings = {**settings, "preconditioner": str(run / wanted)}
    return solve.solve_from(settings, [f"--run={run}"])


def own_modules(content: Any) -> list[str]:
    """Return the modules of all class paths of an experiment: who runs a settings file trusts what it names."""
    if isinstance(content, Mapping):
        own = [str(content["class_path"]).rpartition(".")[0] + "."] if "class_path" in content else []
        return own + [name for value in content.values() for name in own_modules(value)]
    return [name for value in content for name in own_modules(value)] if isinstance(content, list) else []


def stage_keys(content: Mapping[str, Any], sections: list[str]) -> dict[str, str]:
    """Return a key per stage that changes with its settings, with those of the stages it reads, and with the version.

    Args:
        content: The experiment.
        sections: Names in file order.

    Returns:
        Hexadecimal digests.
    """
    keys: dict[str, str] = {}
    for name in sections:
        command, _, stage = name.partition(".")
        settings = experiment.section(content, command, stage or None)
        reads = [other for other in keys if _reads(name, settings, other)]
        text = json.dumps(
            [version("pdeflow"), settings, [keys[other] for other in reads]], sort_keys=True, default=str
        )
        keys[name] = hashlib.sha256(text.encode()).hexdigest()
    return keys


def _reads(name: str, settings: Mapping[str, Any], other: str) -> bool:
    """Whether a stage reads what another one wrote."""
    if name.startswith("fit"):
        return other == "generate" and "data" in settings
    if name.startswith("evaluate"):
        return other == "generate" or (other == settings.get("stage", other) and other.startswith("fit"))
    return other == settings.get("preconditioner")


def latest(name: str) -> Path | None:
    """Return the newest run of an experiment, or None."""
    from pdeflow.run_folder import resolve

    link = Path("runs") / name.replace("_", "-") / "latest"
    return resolve(link) if link.exists() else None


def same(run: Path, content: Mapping[str, Any]) -> bool:
    """Whether a run was made from these settings."""
    return (run / "config.yaml").is_file() and experiment.read(run / "config.yaml") == content


def adopt(previous: Path, run: Path, sections: list[str], keys: dict[str, str]) -> None:
    """Take over the finished stages of an earlier run whose settings did not change, by hard links where possible."""
    for name in sections:
        if finished(previous / name, keys[name]):
            shutil.copytree(previous / name, run / name, copy_function=_link, dirs_exist_ok=True)
            for picture in (previous / "figures").glob("*"):
                if not (run / "figures" / picture.name).exists():
                    _link(picture, run / "figures" / picture.name)


def _link(source: Any, target: Any) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def finished(folder: Path, key: str) -> bool:
    """Whether a stage was finished with these settings."""
    from pdeflow.run_folder import read_json

    return (folder / DONE).is_file() and read_json(folder / DONE).get("key") == key


def begun(folder: Path, key: str) -> bool:
    """Whether a stage was begun with these settings: what it left can be continued."""
    from pdeflow.run_folder import read_json

    return (folder / BEGUN).is_file() and read_json(folder / BEGUN).get("key") == key


def mark(folder: Path, key: str, seconds: float) -> None:
    """Note that a stage is finished."""
    from pdeflow.run_folder import write_json

    write_json(folder / DONE, {"key": key, "seconds": seconds})
