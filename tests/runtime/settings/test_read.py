"""Reading the file: where it is looked for, and how every fault in it is told."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from runtime.settings import SettingsError, find, load, read
from runtime.settings.commented import commented_file, toml
from tests.runtime.settings.readings import TARGET, loaded, problem, problems, settings


def test_every_fault_is_told_at_once_in_the_order_of_the_file() -> None:
    """Unknown keys, wrong values, missing ones, unknown names and variables: one reading finds them all."""
    found = problems(
        """
[server]
hots = "127.0.0.1"
port = "8000"

[targets.cloud]
provider = "opnai"

[routes]
code = ["cluod", "cloud"]

[[rules]]
when = { tsk = "code" }
to = ["lcal"]
""",
        {"HEARTH_ENGINE__REPLICAS": "two"},
    )
    assert found == [
        'hearth.toml:3:1: server.hots: unknown key; did you mean "hosts"?',
        'hearth.toml:4:1: server.port: must be a whole number, not "8000"',
        'hearth.toml:6:1: targets.cloud: needs "model"',
        'hearth.toml:7:1: targets.cloud.provider: unknown provider "opnai"; did you mean "openai"?',
        'hearth.toml:10:9: routes.code[0]: "cluod" is no target; did you mean "cloud"?',
        'hearth.toml:13:10: rules[0].when.tsk: unknown key; did you mean "task"?',
        'hearth.toml:14:7: rules[0].to[0]: "lcal" is no target; did you mean "local"?',
        'HEARTH_ENGINE__REPLICAS: engine.replicas: must be a whole number, not "two"',
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[engin]\nmodel = 'x'", 'hearth.toml:1:1: engin: unknown key; did you mean "engine"?'),
        ("port = 8000", "hearth.toml:1:1: port: unknown key; it belongs in [server]"),
        ("[server]\nqueue_depth = 3", "hearth.toml:2:1: server.queue_depth: unknown key; it belongs in [escalation]"),
        ("[server]\nxyzzy = 3", "hearth.toml:2:1: server.xyzzy: unknown key"),
        ("[server]\nmax-body-mb = 3", 'server.max-body-mb: unknown key; did you mean "max_body_mb"?'),
        (f"{TARGET}basurl = 'x'", 'targets.cloud.basurl: unknown key; did you mean "base_url"?'),
        (
            f"{TARGET}price = {{ inputs = 1, output = 2 }}",
            'targets.cloud.price.inputs: unknown key; did you mean "input"?',
        ),
        ("[escalation]\nmode = 'advice'", 'must be one of act, advise, off, not "advice"; did you mean "advise"?'),
    ],
)
def test_the_nearest_right_name_is_offered(text: str, words: str) -> None:
    """A typing error costs one look."""
    assert words in "\n".join(problems(text))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[server]\nport = \n", ":2:8: not TOML: "),
        ("a = 1\nb = [1,\n", ":3: not TOML: "),
        ("[a]\n[a]\n", ":2:3: not TOML: "),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(text: str, place: str) -> None:
    """The parser's words, with the place in front."""
    assert place in problem(text)


def test_a_missing_table_is_told_where_its_parent_stands() -> None:
    """A rule without `when` has no key to point at: its header is."""
    assert problem('\n[[rules]]\nto = ["local"]') == 'hearth.toml:2:1: rules[0]: needs "when"'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[targets.auto]\nprovider = "openai"\nmodel = "x"', '"auto" is a name of Hearth\'s own'),
        ('[targets."a/b"]\nprovider = "openai"\nmodel = "x"', "a target's name is letters"),
        (TARGET + '[routes]\ncode = ["local"]', "a route is for what leaves the box"),
        ("[aliases]\nx = 'gpt'", '"gpt" is no model'),
        ("[aliases]\nx = 'openai/'", "names no model after its provider"),
        ("[aliases]\nx = 'nobody/model'", 'unknown provider "nobody"'),
        ("[aliases]\nauto = 'local'", "an alias cannot change it"),
        (TARGET + "[aliases]\ncloud = 'auto'", "an alias cannot change it"),
    ],
)
def test_names_must_mean_something(text: str, words: str) -> None:
    """Routes, rules and aliases lead only to what exists."""
    assert words in problem(text)


def test_aliases_may_name_all_that_a_request_may() -> None:
    """auto, local, local/NAME, PROVIDER/MODEL with slashes of its own, and a target."""
    text = f'{TARGET}[aliases]\na = "auto"\nb = "local"\nc = "local/x"\nd = "groq/openai/gpt-oss-120b"\ne = "cloud"'
    assert len(settings(text).aliases) == 5


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.1.7", "localhost", "::1"])
def test_this_machines_own_addresses_need_no_key(host: str) -> None:
    """Nobody else can reach them."""
    assert settings(f'[server]\nhost = "{host}"').server.host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "box.example.com"])
def test_an_address_beyond_this_machine_needs_a_key(host: str) -> None:
    """Without one it is refused with both ways out; with one it is taken."""
    text = f'[server]\nhost = "{host}"\n'
    assert 'set server.keys = ["env:HEARTH_API_KEY"]' in problem(text)
    assert settings(text + 'keys = ["env:K"]', {"K": "v"}).server.host == host


def test_the_file_is_looked_for_here_and_then_in_the_users_folder(tmp_path: Path) -> None:
    """./hearth.toml before the user's own before none."""
    env = {"HOME": str(tmp_path / "home")}
    here, own = tmp_path / "hearth.toml", tmp_path / "home/.config/hearth/hearth.toml"
    assert find(env, tmp_path) is None
    own.parent.mkdir(parents=True)
    own.touch()
    assert find(env, tmp_path) == own
    here.touch()
    assert find(env, tmp_path) == here


def test_no_file_and_an_empty_file_mean_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hearth starts without any."""
    monkeypatch.chdir(tmp_path)
    env = {"HOME": str(tmp_path)}
    none = load(None, env)
    (tmp_path / "hearth.toml").touch()
    empty = load(None, env)
    assert none.file is None
    assert empty.file == tmp_path / "hearth.toml"
    assert none.settings == empty.settings


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "there is no such file; `hearth config init"), (b"\xff\xfe", "not UTF-8 text (byte 0)")],
)
def test_a_named_file_must_be_there_and_be_text(tmp_path: Path, content: bytes | None, words: str) -> None:
    """A file that was asked for is never silently done without."""
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError) as raised:
        load(path, {})
    assert words in str(raised.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """The system's own words say why."""
    with pytest.raises(SettingsError, match="cannot be read: is a directory"):
        load(tmp_path, {})


def test_every_value_knows_where_it_was_set() -> None:
    """The line of the file, or the variable; defaults have no source."""
    found = loaded(f"[server]\nport = 1\n{TARGET}", {"HEARTH_SERVER__HOST": "localhost", "HEARTH_MODEL": "local"})
    assert found.sources["server", "port"] == "hearth.toml:2"
    assert found.sources["server", "host"] == "HEARTH_SERVER__HOST"
    assert found.sources["targets", "cloud", "model"] == "hearth.toml:6"
    assert found.sources["model_override",] == "HEARTH_MODEL"
    assert ("server", "drain") not in found.sources


_junk = st.sampled_from(
    [0, -1.5, 10**30, float("nan"), True, "", "x", "auto", "env:X", "file:", "http://[", [], [1], {}, {"": {}}]
)


@given(st.data())
@hypothesis_settings(deadline=None, max_examples=200)  # a busy machine is no fault
def test_whatever_is_damaged_is_told_with_its_line(data: st.DataObject) -> None:
    """Any value in the place of any other: the settings are read, or every problem has its place; nothing else happens."""
    tree = tomllib.loads(re.sub(r"^#(?=\S)", "", commented_file(), flags=re.MULTILINE))
    section = data.draw(st.sampled_from(sorted(tree)))
    key = data.draw(st.sampled_from(["", *tree[section]])) if isinstance(tree[section], dict) else ""
    (tree[section] if key else tree)[key or section] = data.draw(_junk)
    text = "\n".join(f"{name} = {toml(value)}" for name, value in tree.items())
    env = {"HEARTH_API_KEY": "a", "ENGINE_API_KEY": "b", "MY_API_KEY": "c"}
    assert all(line.startswith("hearth.toml:") for line in problems(text, env))


def test_a_route_to_a_provider_without_a_target_is_a_warning() -> None:
    """DESIGN's own example routes to a provider it does not configure: it is read, and said."""
    loaded = read('[routes]\nmultimodal = ["cloudy"]\n', None, {}, {"cloudy", "sunny"})
    assert any("routes.multimodal: cloudy is a provider without a target" in warning for warning in loaded.warnings)
    with pytest.raises(SettingsError):
        read('[routes]\nmultimodal = ["nobody"]\n', None, {}, {"cloudy"})
