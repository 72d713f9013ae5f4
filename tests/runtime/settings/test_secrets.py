"""Secrets: only by reference, resolved once, shown never."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import BaseModel

from runtime.settings import Secret, Settings
from tests.runtime.settings.readings import TARGET, loaded, problem, problems, settings

VALUE = "sk-live-0123456789"


def keyed(reference: str) -> str:
    return f'{TARGET}key = "{reference}"'


def test_a_secret_is_resolved_and_never_shown() -> None:
    """Its value comes out of `reveal` alone: no text and no JSON of the settings holds it."""
    found = settings(keyed("env:K") + '\n[server]\nkeys = ["env:S"]', {"K": f" {VALUE}\n", "S": f"{VALUE}-server"})
    key = found.targets["cloud"].key
    assert key is not None
    assert key.reveal() == VALUE
    assert found.server.keys[0].reveal() == f"{VALUE}-server"
    for text in (repr(found), str(found), str(key), repr(key), f"{key}", found.model_dump_json()):
        assert VALUE not in text
    assert json.loads(found.model_dump_json())["targets"]["cloud"]["key"] == "env:K"


def test_every_reference_of_the_settings_is_resolved() -> None:
    """Whatever section it stands in: one that is forgotten would never be sent."""
    wanted = [
        (name, key)
        for name, section in Settings.model_fields.items()
        if isinstance(section.annotation, type) and issubclass(section.annotation, BaseModel)
        for key, field in section.annotation.model_fields.items()
        if "Secret" in str(field.annotation)
    ]
    assert {("engine", "key"), ("fleet", "store_key"), ("notices", "key"), ("server", "admin_keys")} <= {*wanted}
    lists = {"keys", "admin_keys"}
    tables = ""
    for section in dict.fromkeys(name for name, _ in wanted):
        tables += f"[{section}]\n"
        for name, key in wanted:
            if name == section:
                tables += f'{key} = ["env:{name}_{key}"]\n' if key in lists else f'{key} = "env:{name}_{key}"\n'
    found = settings(tables, {f"{name}_{key}": f"{VALUE}-{name}-{key}" for name, key in wanted})
    for name, key in wanted:
        kept = getattr(getattr(found, name), key)
        assert (kept[0] if key in lists else kept).reveal() == f"{VALUE}-{name}-{key}"


def test_a_key_between_hearths_is_no_key_of_clients() -> None:
    """Its holder would pass for a Hearth."""
    text = '[server]\nkeys = ["env:A"]\n[fleet]\nkey = "env:B"'
    assert not problems(text, {"A": VALUE, "B": f"{VALUE}-other"})
    assert "is a key of clients too" in problem(text, {"A": VALUE, "B": VALUE})


def test_peers_without_a_key_are_told_of() -> None:
    """Nobody is asked; in a pod the peers are always set."""
    (warning,) = loaded('[fleet]\npeers = ["http://b:8000"]').warnings
    assert "without fleet.key" in warning


@pytest.mark.parametrize(
    ("peer", "words"), [("http://b:8000/v1", 'without /v1: "http://b:8000"'), ("b:8000", '"http://HOST:PORT"')]
)
def test_the_address_of_a_peer_is_that_of_a_hearth(peer: str, words: str) -> None:
    assert words in problem(f'[fleet]\nkey = "env:K"\npeers = ["http://b:8000/prefix", "{peer}"]', {"K": VALUE})


def test_a_secret_can_be_kept_in_a_file(tmp_path: Path) -> None:
    """A relative path begins at the settings file, `~` at home."""
    (tmp_path / "key").write_text(f"{VALUE}\n")
    (tmp_path / "key").chmod(0o600)
    file = tmp_path / "hearth.toml"
    for reference in ("file:key", f"file:{tmp_path}/key", "file:~/key"):
        found = loaded(keyed(reference), {"HOME": str(tmp_path)}, file)
        key = found.settings.targets["cloud"].key
        assert key is not None
        assert key.reveal() == VALUE
        assert found.secret_files == (tmp_path / "key",)
        assert not found.warnings


def test_a_secrets_file_that_others_can_read_is_told_of(tmp_path: Path) -> None:
    """With the command that closes it."""
    (tmp_path / "key").write_text(VALUE)
    (tmp_path / "key").chmod(0o644)
    (warning,) = loaded(keyed("file:key"), {}, tmp_path / "hearth.toml").warnings
    assert warning.startswith("targets.cloud.key: every user of this machine can read")
    assert f"chmod 600 {tmp_path}/key" in warning


@pytest.mark.parametrize(
    "text",
    [
        keyed(VALUE),
        keyed(f"sk:{VALUE}"),
        f'[server]\nkeys = ["{VALUE}"]',
        f'[server]\nkeys = "{VALUE}"',
        f'[engine]\nkey = "{VALUE}"',
        f'[server]\napi_key = "{VALUE}"',
        f'[engine]\nurl = "https://user:{VALUE}@host/v1"',
        f"{TARGET}base_url2 = 'https://host/v1?key={VALUE}'",
    ],
)
def test_a_secret_written_out_is_refused_and_not_repeated(text: str) -> None:
    """Whatever is wrong around it."""
    found = problems(text)
    assert found
    assert VALUE not in "\n".join(found)


def test_the_refusal_says_how_to_write_it() -> None:
    """Both ways of naming where it is kept."""
    assert 'name where it is kept, "env:NAME" (an environment variable) or "file:PATH"' in problem(keyed(VALUE))
    assert 'write "env:NAME"' in problem(keyed("env:"))
    assert 'write "env:NAME"' in problem(keyed("env:NOT A NAME"))


@pytest.mark.parametrize("env", [{}, {"K": ""}, {"K": " \n"}])
def test_an_empty_server_key_refuses_to_start(env: dict[str, str]) -> None:
    """A door that was meant to be locked is never open."""
    text = '[server]\nkeys = ["env:OTHER", "env:K"]'
    assert problem(text, {**env, "OTHER": "k"}) == (
        "hearth.toml:2:22: server.keys[1]: env:K holds no value: set K in the environment, or take it out"
    )


def test_an_empty_admin_key_refuses_to_start() -> None:
    """Admin keys are opened as the others are, and let Hearth listen beyond this machine."""
    text = '[server]\nhost = "0.0.0.0"\nadmin_keys = ["env:A"]'
    assert problem(text).startswith("hearth.toml:3:15: server.admin_keys[0]: env:A holds no value")
    assert settings(text, {"A": VALUE}).server.admin_keys[0].reveal() == VALUE


def test_a_key_no_header_can_carry_is_none(tmp_path: Path) -> None:
    """A file with two lines, or with letters outside ASCII."""
    (tmp_path / "keys").write_text("one\ntwo\n")
    assert "holds more than a key" in problem('[server]\nkeys = ["file:keys"]', {}, tmp_path / "hearth.toml")
    assert "holds more than a key" in settings(keyed("env:K"), {"K": "schlüssel"}).absent["cloud"]


def test_a_target_whose_named_key_is_empty_is_absent() -> None:
    """It stays in the settings, with the reason; what needs it is not an error."""
    found = settings(keyed("env:K") + '\n[routes]\ndefault = ["cloud"]')
    assert found.absent == {"cloud": "its key env:K holds no value"}
    assert found.usable_targets == {}
    assert found.routes.default == ("cloud",)


def test_a_key_left_out_is_looked_for_under_the_providers_name() -> None:
    """PROVIDER_API_KEY; without it a target with a base_url is called without a key, another is absent."""
    plain = '[targets.cloud]\nprovider = "groq"\nmodel = "x"'
    with_key = settings(plain, {"GROQ_API_KEY": VALUE}).targets["cloud"].key
    assert with_key is not None
    assert with_key.reveal() == VALUE
    assert settings(plain).absent == {"cloud": "it has no key: set GROQ_API_KEY, or its `key`"}
    at_address = settings(TARGET)
    assert at_address.targets["cloud"].key is None
    assert not at_address.absent


def test_an_attached_engines_key_must_hold_a_value() -> None:
    """An engine that would refuse every request is told of before it does."""
    attached = '[engine]\nurl = "http://127.0.0.1:1/v1"\nkey = "env:K"'
    assert "engine.key: env:K holds no value: set K in the environment" in problem(attached)
    assert settings(attached, {"K": "v"}).engine.key == Secret("env:K", "v")


def test_an_open_door_beside_a_set_key_is_told_of() -> None:
    """HEARTH_API_KEY alone locks nothing."""
    (warning,) = loaded("", {"HEARTH_API_KEY": VALUE}).warnings
    assert 'server.keys = ["env:HEARTH_API_KEY"] asks for this one' in warning
    assert VALUE not in warning


def test_a_key_sent_in_the_clear_is_told_of() -> None:
    """http beyond this machine carries the key for everybody to read."""
    text = keyed("env:K").replace("127.0.0.1", "llm.example.com")
    (warning,) = loaded(text, {"K": "v"}).warnings
    assert "use https" in warning
    assert not loaded(keyed("env:K"), {"K": "v"}).warnings


def test_a_secret_without_a_value_reveals_nothing() -> None:
    """Rather than an empty header."""
    with pytest.raises(ValueError, match="env:K holds no value"):
        Secret("env:K").reveal()
