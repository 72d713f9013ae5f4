"""The digests that tell whether the checkout's environment is up to date."""

from __future__ import annotations

from scripts import environments


def test_a_stamp_changes_with_what_is_installed_and_nothing_else() -> None:
    """Lint settings change nothing; a dependency does."""
    plain = '[project]\nname = "x"\ndependencies = ["a"]\n'
    linted = plain + "[tool.ruff]\nline-length = 120\n"
    other = plain.replace('"a"', '"b"')
    assert environments.installed_part(plain) == environments.installed_part(linted)
    assert environments.installed_part(plain) != environments.installed_part(other)
    assert environments.digest(b"a", b"b") != environments.digest(b"ab", b"")


def test_stamps_are_kept_by_set() -> None:
    """Bringing one set up to date leaves the others' stamps as they were."""
    text = environments.with_stamp(environments.with_stamp("", "core", "1"), "dev", "2")
    assert environments.stamps(environments.with_stamp(text, "core", "3")) == {"core": "3", "dev": "2"}
    assert environments.stamps("half\n\ncore 1\n") == {"core": "1"}
