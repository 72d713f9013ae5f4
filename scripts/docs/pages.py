"""The pages made from the code, and `llms.txt`, an index of all pages for programs that read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from scripts import configuration_docs
from scripts.docs import commands, http, metrics

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
CHANGES = "changes"
MADE = {
    "configuration.md": configuration_docs.page,
    "reference/commands.md": commands.page,
    "reference/http.md": http.page,
    "reference/metrics.md": metrics.page,
}
_LLMS = """\
# Hearth

> A local-first hybrid LLM runtime: one process on a GPU box starts and watches a vLLM server, answers an OpenAI-style
> endpoint from it, and escalates to a cloud model only what the box cannot serve well or in time. It says why.

"""


def write() -> None:
    for name, page in MADE.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
    (DOCS / "llms.txt").write_text(llms(), encoding="utf-8")


def stale() -> list[Path]:
    """The pages that are not as the code has them."""
    made = {name: page() for name, page in MADE.items()} | {"llms.txt": llms()}
    return [DOCS / name for name, text in made.items() if not _same(DOCS / name, text)]


def llms() -> str:
    """The index, as https://llmstxt.org describes it: one line a page, with its first sentence."""
    return _LLMS + "".join(_entries())


def _entries() -> Iterator[str]:
    for chapter, names in chapters():
        yield f"## {chapter}\n\n"
        for name in names:
            title, first = summary(name)
            yield f"- [{title}]({name}.md): {first}\n"
        yield "\n"


def chapters() -> Iterator[tuple[str, list[str]]]:
    """The chapters of the index page, each with the names of its pages."""
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    for block in re.findall(r"```\{toctree\}\n(.*?)```", text, re.DOTALL):
        caption = re.search(r":caption: (.*)", block)
        yield caption[1] if caption else "", [line for line in block.splitlines() if line and not line.startswith(":")]


def page_text(name: str) -> str:
    """A page by its name in the index. The changelog lies above the others, and its links with it."""
    if name == CHANGES:
        return (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").replace("(docs/", "(")
    return (DOCS / f"{name}.md").read_text(encoding="utf-8").replace("(../CHANGELOG.md", f"({CHANGES}.md")


def summary(name: str) -> tuple[str, str]:
    """A page's title and the first sentence of its first paragraph."""
    text = page_text(name)
    title = re.search(r"^# (.*)$", text, re.MULTILINE)
    paragraphs = [each for each in text.split("\n\n") if each and each[0] not in "#<|`-!"]
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", " ".join(paragraphs[0].split())) if paragraphs else ""
    return (title[1] if title else ""), re.split(r"(?<=[.:]) (?=[A-Z`])", plain)[0]


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text
