import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.image import imsave

from pdeflow.errors import UsageError
from pdeflow.report import write_report
from pdeflow.report.elements import picture
from pdeflow.report.page import SECTIONS

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Checks nesting, collects attributes, ids, pictures and the text of every section."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.links, self.pictures, self.ids, self.text, self.captions = (
            [],
            [],
            [],
            [],
            [],
            {},
            [],
        )
        self.section = None
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        assert not any(name.startswith("on") for name in attrs)
        if "id" in attrs:
            self.ids.append(attrs["id"])
            self.section = attrs["id"]
        if tag == "img":
            self.pictures.append(attrs["src"])
            assert attrs["alt"]
        self.links += [attrs[key] for key in ("href", "src", "srcset", "action", "data") if key in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "figcaption":
            self.captions.append(data)
        self.text[self.section] = self.text.get(self.section, "") + data


def page(run):
    return Page(write_report(run).read_text(encoding="utf-8"))


def test_page_is_well_formed_self_contained_and_small(run):
    path = write_report(run)
    text = path.read_text(encoding="utf-8")
    found = Page(text)
    assert path == run / "report.html"
    assert path.stat().st_size < 5e6
    assert "script" not in found.tags
    assert "link" not in found.tags
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in found.links)
    assert not re.search(r"https?:|//[a-z]|url\(|@import", re.sub(r"base64,[^\"]+", "", text))
    assert "prefers-color-scheme: dark" in text


def test_page_has_every_section_in_the_contents_and_every_picture_with_one_sentence(run, figures):
    found = page(run)
    names = [key for key, _, _ in SECTIONS]
    assert found.ids == ["verdict", *names]
    assert [link for link in found.links if link.startswith("#")] == [f"#{name}" for name in names]
    decoded = {base64.b64decode(source.partition(",")[2]) for source in found.pictures}
    assert decoded == {path.read_bytes() for path in figures.glob("*.png")}
    assert all(caption.rstrip().count(".") - caption.count("fit.") == 1 for caption in found.captions)


def test_the_verdict_names_the_evaluation_where_there_are_several(run, summaries, write):
    assert "evaluate" not in page(run).text["verdict"]
    other = json.loads(json.dumps(summaries["evaluate/summary.json"]))
    other["metrics"]["rel_l2"] |= {"mean": 1.5, "worst": 2.0}
    write(run, {"evaluate.other/summary.json": other})
    said = page(run).text["verdict"]
    assert said.count("evaluate: Accuracy") == said.count("evaluate.other: Accuracy") == 1


def test_a_training_alone_brings_its_own_record(run):
    (run / "fit").mkdir(exist_ok=True)
    for name in ("run.json", "config.yaml"):
        (run / name).rename(run / "fit" / name)
    said = page(run).text["reproduce"]
    assert "pdeflow fit -c fit/config.yaml" in said
    assert "No record" not in said
    assert "No settings" not in said


def test_texts_are_escaped(run):
    found = page(run)
    text = (run / "report.html").read_text(encoding="utf-8")
    assert "quick <run>" not in text
    assert "quick &lt;run&gt;" in text
    assert "0 < x & y < 1" in found.text["problem"]
    assert "note: <b>&" in found.text["reproduce"]


def test_no_file_of_the_run_can_bring_markup_into_the_page(run, summaries, write):
    evil = "<script>alert(1)</script>"

    def spoil(value):
        if isinstance(value, dict):
            return {
                f"{key}{evil}" if key in ("low", "n_modes", "train") else key: spoil(v)
                for key, v in value.items()
            }
        if isinstance(value, list):
            return [spoil(v) for v in value]
        return value + evil if isinstance(value, str) else value

    write(run, spoil(summaries))
    found = page(run)
    assert "script" not in found.tags
    for name in {"verdict", *(key for key, _, _ in SECTIONS)} - {"trust"}:  # trust shows numbers only
        assert evil in found.text[name], name


def test_solve_section_names_both_winners_and_shows_the_learned_method_losing(run):
    text = page(run).text["solve"]
    assert "Winner in seconds, set-up included: CG + AMG (0.100 s)" in text
    assert "Winner in iterations: cycle, trained (9)" in text
    assert "cycle, trained lost in seconds: it took 2.9 times as long as CG + AMG" in text
    assert "Iterations without training (cycle, untrained): 31; with training (cycle, trained): 9." in text
    assert "skipped: needs about 4 GB" in text
    assert "maxiter: tolerance not reached" in text
    assert "8 coefficients" in text
    assert "0.520" in text


def test_the_emphasised_row_is_the_winner_by_seconds_whatever_the_run_claims(run, summaries, write):
    rows = [{**r, "winner": r["name"] == "CG"} for r in summaries["solve/summary.json"]["rows"]]
    write(run, {"solve/summary.json": {**summaries["solve/summary.json"], "rows": rows}})
    write_report(run)
    marked = re.findall(r"<tr class=marked><td>([^<]*)", (run / "report.html").read_text())
    assert marked == ["CG + AMG"]


def test_trust_section_says_that_the_error_is_algebraic(run):
    text = page(run).text["trust"]
    assert "algebraic error against the discrete problem" in text
    assert "nothing about the discretization error" in text


def test_one_solve_without_comparison_is_reported(run, write):
    single = {
        "method": "cg",
        "preconditioner": "amg",
        "residual": 1e-9,
        "reason": "converged",
        "iterations": 9,
    }
    write(run, {"solve/summary.json": {"n": 4, "rtol": 1e-8, "rows": [], "solution": single}})
    assert "One method ran" in page(run).text["solve"]


def test_a_run_that_only_solved_shows_what_there_is_under_its_own_name(tmp_path, summaries, write):
    single = {"method": "cg", "preconditioner": "amg", "residual": 1e-9, "reason": "converged", "detail": "converged: as it says", "iterations": 9}
    folder = tmp_path / "runs" / "mine"
    content = {"system": "A x = b", "n": 4, "rtol": 1e-8, "rows": [], "solution": single}
    made = {"command": "pdeflow solve A.npz", "folder": "/home/me"}
    write(folder, {"solve/summary.json": content, "solve/run.json": made})
    (folder / "solve" / "config.yaml").write_text("grid: [8, 8]\n")
    found = page(folder)
    assert found.ids == ["verdict", "problem", "solve", "reproduce"]
    assert "Everything checked holds" in found.text["verdict"]
    assert "amber" not in found.text["verdict"]
    assert not any(word in "".join(found.text.values()) for word in ("No ", "not in this run"))
    assert found.text["solve"].count("converged") == 1
    assert f"pdeflow solve -c {folder / 'solve' / 'config.yaml'} --run again, in the folder /home/me" in found.text["reproduce"]
    assert "<h1>pdeflow: mine</h1>" in (folder / "report.html").read_text()
    stamped = tmp_path / "runs" / "darcy" / "20260101-120000-ab12"
    write(stamped, {"solve/summary.json": content})
    assert "<h1>pdeflow: darcy</h1>" in write_report(stamped).read_text()


def test_methods_that_tie_share_the_headline(run, summaries, write):
    rows = [{**row, "iterations": 9} if row["name"] == "CG + AMG" else row for row in summaries["solve/summary.json"]["rows"]]
    write(run, {"solve/summary.json": {**summaries["solve/summary.json"], "rows": rows}})
    found = page(run)
    assert "Fewest iterations: CG + AMG; cycle, trained with 9 each." in found.text["verdict"]
    assert "Winners in iterations: CG + AMG; cycle, trained (9 each)." in found.text["solve"]
    assert found.text["solve"].count("fewest iterations") == 2


def test_a_network_that_multigrid_rescued_has_not_won(run, summaries, write, solver_table):
    help_ = {"reason": "converged_fallback", "switched_at": 3, "preconditioner": "amg:rs", "detail": "dcdm: stagnated", "seconds_solve": 1e-3, "iterations": 4}
    rows = [row | help_ if row["name"] == "cycle, trained" else row for row in solver_table]
    write(run, {"solve/summary.json": {**summaries["solve/summary.json"], "rows": rows}})
    found = page(run)
    assert "Winner in seconds, set-up included: CG + AMG" in found.text["solve"]
    assert "Winner in iterations: CG + AMG (12)" in found.text["solve"]
    assert "cycle, trained lost: it did not reach the tolerance by itself, but with cg + amg:rs from step 3." in found.text["solve"]
    assert "cg + amg:rs from step 3 (dcdm: stagnated)" in found.text["solve"]


def test_an_empty_run_gives_a_page_of_notes(tmp_path):
    found = page(tmp_path)
    assert not found.pictures
    assert all(any(word in found.text[key] for word in ("No ", "no ", "Nothing")) for key, _, _ in SECTIONS)


@pytest.mark.parametrize(
    "name",
    [
        "generate/manifest.json",
        "fit.operator/summary.json",
        "evaluate/summary.json",
        "solve/summary.json",
        "run.json",
    ],
)
@pytest.mark.parametrize(
    "content", [None, "{broken", "[]", "{}", '{"rows": 3, "metrics": [1], "splits": 2, "best": 1}']
)
def test_a_missing_damaged_or_odd_file_costs_its_own_section_only(run, name, content):
    whole = page(run)
    (run / name).unlink() if content is None else (run / name).write_text(content)
    found = page(run)
    assert found.ids == whole.ids
    assert found.text["reproduce"]
    if content == "{broken":
        assert f"{name} cannot be read" in found.text["verdict"]
    untouched = "training" if name != "fit.operator/summary.json" else "solve"
    assert found.text[untouched] == whole.text[untouched]


def test_missing_and_damaged_pictures_are_notes(run, figures):
    (run / "figures").unlink()
    (run / "figures").mkdir()
    (run / "figures" / "samples.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    found = page(run)
    assert not found.pictures
    assert "samples.png cannot be read" in found.text["data"]
    assert "Picture residuals.png is not in this run" in found.text["solve"]


def test_a_picture_too_large_is_shrunk_to_fit(tmp_path):
    pixels = np.random.default_rng(0).random((300, 401, 3))
    imsave(tmp_path / "noise.png", pixels)
    assert (tmp_path / "noise.png").stat().st_size > 300_000
    figure = picture(tmp_path / "noise.png", "Noise.", 100_000)
    assert len(base64.b64decode(figure.partition("base64,")[2].partition('"')[0])) <= 100_000


def test_pages_of_huge_pictures_and_settings_stay_under_5_megabytes(run):
    (run / "figures").unlink()
    (run / "figures").mkdir()
    names = (
        "samples",
        "predictions",
        "spectrum",
        "residuals",
        "solution",
        "effectivity",
        "training_fit.operator",
    )
    for name in names:
        imsave(run / "figures" / f"{name}.png", np.random.default_rng(0).random((700, 900, 3)))
    (run / "config.yaml").write_text("x" * 10**7)
    assert write_report(run).stat().st_size < 5e6
    assert len(page(run).pictures) == len(names)


def test_writing_twice_gives_the_same_page_and_leaves_no_other_file(run):
    before = set(run.iterdir())
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first
    assert set(run.iterdir()) == before | {run / "report.html"}


def test_samples_with_infinite_counts_are_reported(run, summaries, write):
    grids = [{**summaries["solve/summary.json"]["unseen"]["grids"][0], "untrained_mean": float("inf"), "cap": 2560}]
    content = {**summaries["solve/summary.json"], "unseen": {"coefficients": "log-normal", "grids": grids}}
    write(run, {"solve/summary.json": content})
    assert json.loads((run / "solve/summary.json").read_text())["unseen"]["grids"][0][
        "untrained_mean"
    ] == float("inf")
    text = page(run).text["solve"]
    assert "coefficients (log-normal)" in text
    assert "did not reach the tolerance within N iterations" in text
    assert "> 2560" in text
    assert "inf" not in text


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(UsageError, match="not found"):
        write_report(tmp_path / "none")
