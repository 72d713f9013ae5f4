"""The file `hearth config init` writes, and the page of the documentation: both say what the model says."""

from __future__ import annotations

import re
import tomllib

from pydantic import BaseModel

from runtime.settings import PriceSettings, Rule, Settings, TargetSettings, When
from runtime.settings.commented import commented_file, has_default
from runtime.settings.model import Document
from runtime.settings.sections.engine import LocalModel
from runtime.settings.shape import fields_of, leaves
from scripts.configuration_docs import PAGE, page
from tests.runtime.settings.readings import settings

KEYS = {
    name: f"k-{name}"
    for name in (
        *("HEARTH_API_KEY", "HEARTH_ADMIN_KEY", "ENGINE_API_KEY", "MY_API_KEY", "HEARTH_FLEET_KEY", "RAY_AUTH_TOKEN"),
        *("HEARTH_STORE_PASSWORD", "NOTICE_KEY"),
    )
}


def uncommented() -> str:
    return re.sub(r"^#(?=\S)", "", commented_file(), flags=re.MULTILINE)


def test_the_file_means_the_defaults_as_it_is() -> None:
    """Nothing in it is set, so that a later version's defaults hold."""
    assert settings(commented_file()) == settings()
    assert not [key for key, value in leaves(tomllib.loads(commented_file())) if value]


def test_every_line_holds_when_its_mark_is_taken_away() -> None:
    """Each example is valid, and what is shown as a default is the default."""
    found, default = settings(uncommented(), KEYS), settings()
    for section in Document.model_fields:
        for name, field in fields_of(Document.model_fields[section].annotation).items():
            if has_default(field):
                assert getattr(getattr(found, section), name) == getattr(getattr(default, section), name)


def test_every_key_is_shown() -> None:
    """All sections, and all that a target can have."""
    tree = tomllib.loads(uncommented())
    assert list(tree) == list(Document.model_fields)
    for section, value in tree.items():
        keys = fields_of(Document.model_fields[section].annotation)
        assert not keys or list(value) == list(keys)
    assert list(tree["targets"]["my-target"]) == list(TargetSettings.model_fields)


def test_every_key_is_explained() -> None:
    """A setting without a sentence is not a setting."""

    sections = {type(value) for value in dict(settings(uncommented(), KEYS)).values() if isinstance(value, BaseModel)}
    models: set[type[BaseModel]] = {*sections, TargetSettings, Rule, When, PriceSettings, LocalModel}
    for model in models:
        assert model.__doc__
        assert all(field.description for field in model.model_fields.values())


def test_lines_fit_the_page() -> None:
    """The file is read in a terminal."""
    assert max(map(len, commented_file().splitlines())) <= 120


def test_the_documentation_is_current() -> None:
    """`python -m scripts.configuration_docs` writes it."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_leaves_are_every_value_of_the_settings() -> None:
    """What `config show` prints and `diff` compares: lists whole, tables down to their values."""
    keys = [key for key, _ in leaves(Settings())]
    assert ("server", "port") in keys
    assert ("targets",) in keys
    assert len(keys) == len(set(keys))
