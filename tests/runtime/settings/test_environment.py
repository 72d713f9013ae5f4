"""The environment over the file: names, spelling, JSON, and what is not ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.settings import state_dir
from tests.runtime.settings.readings import TARGET, loaded, problem, settings


def test_the_environment_beats_the_file() -> None:
    """One variable per value, of each kind."""
    found = settings(
        '[server]\nport = 1\n[engine]\nmodel = "a"\ndevice = "cpu"',
        {
            "HEARTH_SERVER__PORT": "9000",
            "HEARTH_ENGINE__MODEL": "123",
            "HEARTH_ENGINE__OFFLINE": "True",
            "HEARTH_ENGINE__ARGS": '["--a", "b c"]',
            "HEARTH_ENGINE__MAX_MODEL_LEN": "4096",
            "HEARTH_ESCALATION__RELEASE": "0.5",
            "HEARTH_ENGINE__URL": "http://127.0.0.1:1/v1",
            "HEARTH_BUDGET__DAILY_USD": "none",
        },
    )
    assert (found.server.port, found.engine.model, found.engine.offline) == (9000, "123", True)
    assert (found.engine.args, found.engine.max_model_len, found.engine.device) == (("--a", "b c"), 4096, "cpu")
    assert (found.escalation.release, found.engine.url) == (0.5, ("http://127.0.0.1:1/v1",))
    assert found.budget.daily_usd is None


def test_a_variable_reaches_a_name_with_hyphens() -> None:
    """- and . are written _, and the file's spelling holds."""
    text = TARGET.replace("cloud", '"my-cloud.2"')
    found = settings(
        text, {"HEARTH_TARGETS__MY_CLOUD_2__MODEL": "bigger", "HEARTH_TARGETS__MY_CLOUD_2__TIMEOUTS__IDLE": "3"}
    )
    assert found.targets.keys() == {"my-cloud.2"}
    assert found.targets["my-cloud.2"].model == "bigger"
    assert found.timeouts_of("my-cloud.2").idle == 3


@pytest.mark.parametrize("name", ["my-cloud", "my_cloud"])
def test_a_new_target_is_spelled_as_the_routes_spell_it(name: str) -> None:
    """A whole target and its route can come from the environment."""
    env = {
        "HEARTH_TARGETS__MY_CLOUD__PROVIDER": "openai",
        "HEARTH_TARGETS__MY_CLOUD__MODEL": "big",
        "HEARTH_ROUTES__DEFAULT": f'["{name}"]',
        "OPENAI_API_KEY": "k",
    }
    assert settings("", env).routes.default == tuple(settings("", env).targets) == (name,)


def test_a_whole_section_is_json() -> None:
    """Lists and tables that have no keys of their own are set whole."""
    found = settings("", {"HEARTH_ALIASES": '{"gpt-4o": "auto"}', "HEARTH_RULES": '[{"when": {}, "to": ["local"]}]'})
    assert found.aliases == {"gpt-4o": "auto"}
    assert found.rules[0].to == ("local",)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("HEARTH_SERVER__PROT", "1", "HEARTH_SERVER__PROT: unknown setting; did you mean HEARTH_SERVER__PORT?"),
        ("HEARTH_SEVRER__PORT", "1", "HEARTH_SEVRER__PORT: unknown setting; did you mean HEARTH_SERVER__PORT?"),
        ("HEARTH_TARGETS__CLOUD__MODLE", "x", "did you mean HEARTH_TARGETS__CLOUD__MODEL?"),
        ("HEARTH_ROUTES__CODE__0", "x", "routes.code has no keys below it: set it whole, as JSON"),
        ("HEARTH_SERVER__PORT", "http", 'HEARTH_SERVER__PORT: server.port: must be a whole number, not "http"'),
        ("HEARTH_ENGINE__ARGS", "--a", "HEARTH_ENGINE__ARGS: engine.args: must be a list in brackets"),
        ("HEARTH_SERVER", "5", "HEARTH_SERVER: server: must be a table"),
        ("HEARTH_MODEL", "clud", 'HEARTH_MODEL: "clud" is no model'),
        ("HEARTH_MODEL", "opnai/x", 'HEARTH_MODEL: unknown provider "opnai"; did you mean "openai"?'),
    ],
)
def test_a_wrong_variable_is_told_by_its_name(variable: str, value: str, words: str) -> None:
    """With the whole name of the one that may have been meant."""
    assert words in problem(TARGET, {variable: value})


def test_a_variable_that_is_no_setting_is_told_of_and_ignored() -> None:
    """A cluster puts HEARTH_PORT=tcp://… into every container beside a service of that name."""
    found = loaded("", {"HEARTH_PORT": "tcp://10.0.0.1:80", "HEARTH_SHARED": "/x", "HEARTHSTONE": "y"})
    assert found.warnings == ("HEARTH_PORT: not a setting of Hearth; it is ignored",)


def test_a_variable_that_holds_a_key_of_the_settings_is_not_spoken_of() -> None:
    """A reference names it: it is not ignored."""
    found = loaded('[fleet]\nkey = "env:HEARTH_FLEET_KEY"', {"HEARTH_FLEET_KEY": "a", "HEARTH_OTHER": "b"})
    assert found.warnings == ("HEARTH_OTHER: not a setting of Hearth; it is ignored",)


def test_an_empty_variable_sets_nothing() -> None:
    """Compose files pass unset ones on as empty."""
    assert settings("", {"HEARTH_SERVER__PORT": "", "HEARTH_MODEL": "", "HEARTH_PORT": ""}) == settings()


def test_a_fault_of_the_file_is_not_hidden_by_a_variable_below_it() -> None:
    """A table that is none in the file is told of, whatever the environment sets in it."""
    assert problem("server = 5", {"HEARTH_SERVER__PORT": "1"}) == "hearth.toml:1:1: server: must be a table, not 5"


def test_the_engines_python_has_a_name_of_its_own() -> None:
    """HEARTH_ENGINE_PYTHON is engine.python; the long name wins over it."""
    short = {"HEARTH_ENGINE_PYTHON": "/a/python"}
    assert settings("", short).engine.python == "/a/python"
    assert settings("", {**short, "HEARTH_ENGINE__PYTHON": "/b/python"}).engine.python == "/b/python"


@pytest.mark.parametrize(
    ("named", "override"),
    [
        ("local", "local"),
        ("local/x", "local/x"),
        ("cloud", "cloud"),
        ("openai/x", "openai/x"),
        ("auto", None),
        (" ", None),
    ],
)
def test_one_variable_moves_all_auto_traffic(named: str, override: str | None) -> None:
    """HEARTH_MODEL is what a request could name; `auto` moves nothing."""
    found = settings(TARGET, {"HEARTH_MODEL": named})
    assert found.model_override == override
    assert found.targets.keys() == {"cloud"}


def test_moving_to_a_provider_without_a_target_makes_one() -> None:
    """The provider's usual key is all it needs; without that it is absent, and says so."""
    with_key = settings("", {"HEARTH_MODEL": "groq/a/b", "GROQ_API_KEY": "k"})
    assert with_key.targets["groq/a/b"].model == "a/b"
    assert not with_key.absent
    assert "GROQ_API_KEY" in settings("", {"HEARTH_MODEL": "groq/a/b"}).absent["groq/a/b"]


@pytest.mark.parametrize(
    ("env", "folder"),
    [
        ({"HEARTH_STATE_DIR": "/s", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/s"),
        ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/hearth"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/hearth"),
        ({"HOME": "/h"}, "/h/.local/state/hearth"),
    ],
)
def test_state_lives_where_the_environment_says(env: dict[str, str], folder: str) -> None:
    """Its own variable before the XDG state folder before that folder's default."""
    assert state_dir(env) == Path(folder)
