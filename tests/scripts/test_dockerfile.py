"""docker/Dockerfile as it is written: no syntax that only one builder has, nothing copied that must stay out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.image import build, dockerfile
from scripts.install import ROOT

TEXT = (ROOT / "docker" / "Dockerfile").read_text()
STAGES = dockerfile.parse(TEXT, {})


def test_every_builder_can_read_it() -> None:
    """No heredocs, mounts, links or syntax directives."""
    assert not re.search(r"<<|--mount|--link|--chmod|--chown|^# *syntax", TEXT, re.M)


def test_the_targets_end_as_a_user_without_rights() -> None:
    """Each by number, so that a cluster can tell that it is not root."""
    for target in ("core", "cpu", "cuda"):
        users = [each.rest for each in STAGES[target].instructions if each.name == "USER"]
        assert users[-1] == "10001:10001"


def test_packages_come_by_hash() -> None:
    """Every pip takes a lock file with hashes, or Hearth itself."""
    pips = [each.rest for stage in STAGES.values() for each in stage.instructions if "pip install" in each.rest]
    assert pips
    for line in pips:
        assert "--require-hashes" in line or "--no-deps --no-build-isolation ." in line


def test_what_is_copied_is_let_in_and_secrets_are_not() -> None:
    """By .dockerignore."""
    copies = [each.rest for stage in STAGES.values() for each in stage.instructions if each.name == "COPY"]
    sources = [word for line in copies if "--from" not in line for word in line.split()[:-1]]
    assert sources
    assert [each for each in sources if not build.allowed(ROOT, each) or not (ROOT / each).exists()] == []
    for kept in ("docker/secrets/hearth_api_key", ".git", ".venv", "hearth.toml", "tests"):
        assert not build.allowed(ROOT, kept)


def test_a_file_is_read_into_stages(tmp_path: Path) -> None:
    """Continued lines, comments inside them, arguments and references to stages."""
    text = """ARG BASE=debian
FROM ${BASE} AS build
# a comment
RUN one \\
    # another
    && two
FROM build AS last
ENV A=1 B="two words"
CMD ["serve", "now"]
"""
    stages = dockerfile.parse(text, {"BASE": "other"})
    assert (stages["build"].base, stages["last"].base) == ("other", "build")
    assert stages["build"].instructions[0].rest.split() == ["one", "&&", "two"]
    config = dockerfile.Config()
    for each in stages["last"].instructions:
        dockerfile.configure(config, each)
    assert config.env == {"A": "1", "B": "two words"}
    assert config.command == ["serve", "now"]


def test_an_unknown_instruction_is_refused() -> None:
    """Not passed over in silence: the built image would be another."""
    with pytest.raises(dockerfile.UnknownInstructionError, match="ADD"):
        dockerfile.parse("FROM scratch AS one\nADD x /", {})
