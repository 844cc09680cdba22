"""The site: its code runs, its links lead somewhere, its table lists every problem, and it builds without a warning."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pdeflow import problems
from pdeflow.cli.main import main
from pdeflow.problems import Problem

from .cli.conftest import inside

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if not {"_build", "generated"} & set(page.parts))
SPHINX = importlib.util.find_spec("sphinx") is not None


def blocks(page, kind):
    return re.findall(rf"```{kind}\n(.*?)```", page.read_text(), flags=re.S)


@pytest.mark.parametrize(
    ("page", "number"),
    [
        (page, i)
        for page in ("geometry", "your_own_pde", "methods/generation", "methods/tensorized_fno", "methods/deep_conjugate_directions")
        for i in range(len(blocks(DOCS / f"{page}.md", "python")))
    ],
)
def test_every_block_of_the_guides_runs_on_its_own(page, number, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    text = blocks(DOCS / f"{page}.md", "python")[number]
    exec(text, {})
    assert "assert" in text, "a block that asserts nothing shows nothing"
    assert not list(tmp_path.iterdir()), "a block must leave nothing behind"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_included_parts_exist(page):
    text = page.read_text()
    for link in re.findall(r"\]\((?!https?:)([^)#\s]+)", text):
        assert (page.parent / link).exists(), f"{page.name}: {link}"
    for name, options in re.findall(r"```\{(?:literal)?include\} (\S+)\n(.*?)```", text, flags=re.S):
        included = (page.parent / name).read_text()
        for marker in re.findall(r'^:(?:start|end)-\w+: "(.*)"$', options, flags=re.M):
            assert marker in included, f"{page.name}: {marker!r} is not in {name}"


def test_every_page_is_in_a_table_of_contents():
    named = set()
    for page in PAGES:
        for lines in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(), flags=re.S):
            for line in lines.splitlines():
                named |= (
                    {path.resolve() for path in page.parent.glob(f"{line}.md")}
                    if line and line[0] != ":"
                    else set()
                )
    assert named >= {page for page in PAGES if page != DOCS / "index.md"}


def test_the_reference_covers_every_package_with_public_names():
    text = "".join(page.read_text() for page in (DOCS / "api").glob("*.md"))
    named = set(re.findall(r"pdeflow\.\w+", text))
    packages = {f"pdeflow.{path.parent.name}" for path in (ROOT / "pdeflow").glob("*/__init__.py")}
    assert packages - named == {"pdeflow.cli"}, "the command line documents itself"


def test_the_table_lists_every_problem_and_every_settings_file(monkeypatch):
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(str(DOCS / "extensions"))
    import problem_table

    lines = problem_table.rows()
    assert all(len(line) == len(problem_table.HEADER) for line in lines)
    text = "\n".join(" ".join(line) for line in lines)
    for name in problems.__all__:
        kind = getattr(problems, name)
        if (
            isinstance(kind, type)
            and issubclass(kind, Problem)
            and kind.sample is not Problem.sample
            and name != "Manufactured"
        ):
            assert f"pdeflow.problems.{name}`" in text
    for path in (ROOT / "configs" / "generate").glob("*.yaml"):
        assert f"`{path.name}`" in text, f"{path.name}: its problem is not in pdeflow.problems.__all__"


def test_the_settings_file_of_the_guide_makes_data_from_the_class_of_the_example(tmp_path, monkeypatch):
    example = (ROOT / "examples" / "03_your_own_pde.py").read_text()
    (tmp_path / "my_pdes.py").write_text(example.split("problem = Screened()")[0])
    (text,) = blocks(DOCS / "your_own_pde.md", "yaml")
    (tmp_path / "screened.yaml").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    small = ["--count", "4", "--grid", "8,8", "--workers", "1"]
    with inside(tmp_path):
        assert main(["generate", "-c", "screened.yaml", *small]) == 0
        manifest = tmp_path / "datasets" / yaml.safe_load(text)["name"] / "manifest.json"
    assert "my_pdes.Screened" in manifest.read_text()
    sys.modules.pop("my_pdes", None)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "configs" / "generate").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_dataset_has_a_card_that_says_how_it_is_made_and_what_it_is_not(path):
    name = yaml.safe_load(path.read_text())["name"]
    card = (ROOT / "datasets" / name / "README.md").read_text()
    assert f"pdeflow generate -c configs/generate/{path.name}" in card
    for part in ("## Fields", "## Make it", "## What it is not exact about", "## Layout"):
        assert f"\n{part}\n" in card, f"{name}: no part {part!r}"
    for script in re.findall(r"^python (\S+)", card, flags=re.M):
        assert (ROOT / script).is_file(), f"{name}: {script}"


@pytest.mark.slow
@pytest.mark.skipif(not SPHINX, reason="Sphinx is not installed; make docs installs it")
def test_the_site_builds_without_a_warning(tmp_path):
    pages = [*ROOT.glob("*.md"), *ROOT.glob("datasets/*/README.md"), *ROOT.glob("benchmarks/**/*.md")]
    for path in [*pages, *ROOT.glob("examples/*.py"), *ROOT.glob("configs/*/*.yaml")]:
        (tmp_path / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / path.relative_to(ROOT))
    shutil.copytree(DOCS, tmp_path / "docs", ignore=shutil.ignore_patterns("_build", "generated"))
    options = "-W --keep-going -q -D plot_gallery=0 docs html"
    command = [sys.executable, "-m", "sphinx", *options.split()]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[-3000:]
    for name in ("index", "geometry", "problems", "api/geometry", "generated/datasets/darcy"):
        assert (tmp_path / "html" / f"{name}.html").is_file()
