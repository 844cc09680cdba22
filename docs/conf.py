"""Settings of the documentation site: `make docs` builds docs/_build/html offline, with warnings as errors."""

import importlib.metadata
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "extensions"))
from gallery import GENERATED, PicturesInFolder, stage_examples  # noqa: E402

project = "pdeflow"
author = "The pdeflow developers"
copyright = "The pdeflow developers, MIT licence"
release = version = importlib.metadata.version("pdeflow")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "docstrings",
    "outside_pages",
    "problem_table",
]
exclude_patterns = ["_build", f"{GENERATED}/examples"]
suppress_warnings = ["config.cache"]  # the gallery's scraper is an object, which cannot be pickled

html_theme = "alabaster"
html_theme_options = {
    "description": "Write a PDE once: data, operators, and solutions to a verified tolerance.",
    "fixed_sidebar": True,
    "page_width": "1200px",
    "sidebar_width": "240px",
    "github_button": False,
}
html_static_path = ["_static"]
html_show_sphinx = False
html_copy_source = False
toc_object_entries = False

myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

stage_examples(HERE.parent / "examples", HERE / GENERATED / "examples")
sphinx_gallery_conf = {
    "examples_dirs": [f"{GENERATED}/examples"],
    "gallery_dirs": [f"{GENERATED}/gallery"],
    "within_subsection_order": "FileNameSortKey",
    "filename_pattern": r"\d\d_.*\.py",
    "image_scrapers": [PicturesInFolder()],
    "reset_modules": (),
    "abort_on_example_error": True,
    "show_memory": False,
    "min_reported_time": 0,
    "write_computation_times": False,
    "show_signature": False,
    "download_all_examples": False,
    "remove_config_comments": True,
}
