"""Sphinx's settings. Read by Sphinx, in an environment of its own."""

project = "Hearth"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
exclude_patterns: list[str] = []
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["misc.highlighting_failure"]
html_theme = "furo"
html_title = "Hearth"
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"sidebar_hide_name": False}
