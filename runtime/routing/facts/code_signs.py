"""The signs of code itself in a text: a word of one language, or two marks that prose does not have together."""

from __future__ import annotations

_SURE = (
    *("package main", "SELECT * ", "INSERT INTO ", "CREATE TABLE ", "Exception in thread", "NullPointerException"),
    *("import java", "import numpy", "import pandas", "TypeError", "ValueError", "KeyError", "IndexError", "NameError"),
    *("AttributeError", "ImportError", "SyntaxError", "ReferenceError", "git commit", "npm install", "pip install"),
    *(
        "sudo ",
        "System.out.",
        "public static ",
        "document.get",
        "from __future__",
        "\n    return ",
        "@@ -",
        "\ndiff --git",
    ),
)
_MARKS = ("(", "{", "=", "<", "[", "`", "#", "->", "::", "&&", "||")  # one of them is in all that follows
_SURE_MARKED = (
    *("#include", "Traceback (most recent", "def __", "();\n", "console.log(", "<?php", "#!/bin", "std::", "</div>"),
    *("<html", "=> {", "){\n", ") {\n", "func main(", "int main(", "() => "),
)
# By a mark that all of a group hold: a group is searched for only where its mark occurs.
_SIGNS = {
    "(": ("print(", "();", ".then(", "function(", "()", "range(", "len(", ".map(", ".get(", "for (", "if (", "while ("),
    "=": (" => ", " == ", " != ", "+=", " = new "),
    ":": ("):\n",),
    "&": ("&&", "&mut"),
    "<": ("</",),
    ">": ("/>", "->"),
    "+": ("i++", "++)"),
    ";": ("};", "null;"),
    " ": ("def ", "return ", "import ", " || ", "const ", "SELECT ", " FROM ", " WHERE ", " JOIN ", "elif ", "lambda "),
    ".": ("self.",),
    "[": ("[i]",),
    "$": ("${",),
}
_STARTS = (
    *("import ", "from ", "def ", "class ", "#!/", "SELECT ", "<?php", "package ", "const ", "function ", "public "),
)
_FENCE = "```"
_LANGUAGES = frozenset(
    [
        "python",
        "py",
        "js",
        "javascript",
        "ts",
        "typescript",
        "java",
        "c",
        "cpp",
        "c++",
        "csharp",
        "cs",
        "go",
        "rust",
        "sql",
        "bash",
        "sh",
        "shell",
        "html",
        "css",
        "php",
        "ruby",
        "r",
    ]
)
_HEAD, _TAIL = 1_000, 400  # characters of a text that are looked through


def is_code(text: str) -> bool:
    """True if there is code in a text."""
    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]}\n{text[-_TAIL:]}"
    if any(map(text.__contains__, _SURE)):
        return True
    if not any(map(text.__contains__, _MARKS)):
        return False
    signs = sum([sum(map(text.__contains__, group)) for mark, group in _SIGNS.items() if mark in text])
    if signs >= 2 or (signs and (_FENCE in text or text.startswith(_STARTS))):
        return True
    tag = text.partition(_FENCE)[2][:16].lower().split("\n")[0].strip()
    return tag in _LANGUAGES or any(map(text.__contains__, _SURE_MARKED))
