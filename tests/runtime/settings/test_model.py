"""The settings as values: defaults, strictness, bounds."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from runtime.contract.prices import Price
from runtime.contract.targets import Capabilities
from runtime.contract.targets import Timeouts as ContractTimeouts
from runtime.settings import Server, Settings, TargetSettings
from tests.runtime.settings.readings import TARGET, problem, settings

# DESIGN's file, with the target that its routes name and it leaves out.
WHOLE = """
[server]
host = "127.0.0.1"
port = 8000
keys = []

[engine]
model = "smollm2-135m"
device = "auto"
replicas = 1
max_model_len = "auto"
gpu_memory_utilization = 0.9
args = []

[escalation]
mode = "act"
complexity = 0.62
confidence = 0.0
context_tokens = 6000
queue_depth = "auto"
kv_cache = "auto"
gpu_utilization = "auto"
ttft_ms = 2000
release = 0.7

[targets.strong]
provider = "anthropic"
model = "strong-5"
key = "env:STRONG_KEY"
certified = ["hipaa", "zdr"]

[targets.wide]
provider = "openai"
model = "wide-3"

[routes]
code = ["strong"]
multimodal = ["wide"]

[[rules]]
when = { task = "code", header = { x-team = "web" }, min_tokens = 500 }
to = ["strong"]

[aliases]
"gpt-4o" = "auto"

[timeouts]
connect = 5
first_token = 15
idle = 20
total = 300

[retries]
attempts = 2
wait_here_up_to = 3
honour_retry_after_up_to = 20

[budget]
daily_usd = 20.0
"""


def test_the_values_of_the_design_are_the_defaults() -> None:
    """What the design's file sets is what an empty file means."""
    whole, empty = settings(WHOLE), settings("")
    for section in ("server", "engine", "escalation", "timeouts", "retries", "budget", "records"):
        assert getattr(whole, section) == getattr(empty, section)


def test_named_tables_are_read_whole() -> None:
    """Targets, routes, rules and aliases arrive as they were written."""
    whole = settings(WHOLE, {"STRONG_KEY": "s3cret", "OPENAI_API_KEY": "other"})
    assert whole.targets["strong"].certified == ("hipaa", "zdr")
    assert whole.routes.code == ("strong",)
    assert whole.rules[0].when.header == {"x-team": "web"}
    assert whole.rules[0].to == ("strong",)
    assert whole.aliases == {"gpt-4o": "auto"}
    assert not whole.absent


def test_settings_are_frozen() -> None:
    """Nobody changes settings under way."""
    with pytest.raises(ValidationError):
        settings().server.port = 1


def test_a_target_overrides_single_timeouts() -> None:
    """What a target leaves out is as in [timeouts]; so is all of a target that is not configured."""
    found = settings(f"{TARGET}timeouts = {{ first_token = 40 }}\n[timeouts]\nidle = 7")
    assert found.timeouts_of("cloud") == ContractTimeouts(connect=5, first_token=40, idle=7, total=300)
    assert found.timeouts_of("openai/other") == ContractTimeouts(connect=5, first_token=15, idle=7, total=300)


def test_a_target_overrides_single_capabilities() -> None:
    """Facts said in the file go over the catalogue's."""
    target = TargetSettings(provider="openai", model="m", modalities=("text", "image"), tools=False)
    known = Capabilities(context_tokens=1000, tools=True)
    assert target.capabilities(known) == Capabilities(
        modalities=frozenset({"text", "image"}), context_tokens=1000, tools=False
    )


def test_a_price_becomes_the_contracts() -> None:
    """Prices are dollars per million tokens on both sides."""
    found = settings(f"{TARGET}price = {{ input = 3, output = 15.5, cache_read = 0.3 }}").targets["cloud"].price
    assert found is not None
    assert found.contract == Price(3.0, 15.5, 0.3, source="the settings")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[server]\nport = 65536", "server.port: must be 65535 or less, not 65536"),
        ("[server]\nport = true", "server.port: must be a whole number, not true"),
        ("[server]\nport = 80.5", "server.port: must be a whole number, not 80.5"),
        ("[escalation]\nkv_cache = 0", 'escalation.kv_cache: must be "auto" or a number above 0, to 1'),
        ("[escalation]\ncomplexity = 62", "or a table of those by task: 62 % is 0.62"),
        ("[escalation]\nkv_cache = 85", "a number above 0, to 1: 85 % is 0.85"),
        ("[escalation]\ncloud_share = 20", "escalation.cloud_share: must be 1 or less, not 20: 20 % is 0.2"),
        ('[escalation]\ncloud_share = "20%"', 'escalation.cloud_share: must be a number, not "20%": 20 % is 0.2'),
        ("[escalation]\nqueue_depth = 2.5", 'escalation.queue_depth: must be "auto" or a whole number, 0 or more'),
        ("[escalation]\ncomplexity = nan", "escalation.complexity: must be a number from 0 to 1"),
        ("[escalation]\nqueue_depth = -1", 'escalation.queue_depth: must be "auto" or a whole number, 0 or more'),
        ("[timeouts]\nidle = 0", "timeouts.idle: must be above 0, not 0"),
        ('[timeouts]\nidle = "20"', 'timeouts.idle: must be a number, not "20"'),
        ("[engine]\nmax_model_len = 0", 'engine.max_model_len: must be "auto" or a whole number above 0'),
        ('[engine]\nurl = "localhost:8001"', 'engine.url[0]: must be an address like "http://HOST:PORT/v1"'),
        ('[engine]\nargs = "--x"', 'engine.args: must be a list in brackets, not "--x"'),
        ('[server]\ncors = ["app.example.com"]', "server.cors[0]: must be an origin like"),
        ("[server]\nhost = ''", "server.host: must not be empty"),
        ("[server]\nhosts = ['http://a']", "server.hosts[0]: must be a host name alone"),
        ("[server]\nhosts = ['a:8000']", "server.hosts[0]: must be a host name alone"),
        ("[server]\npath_prefix = 'hearth'", 'server.path_prefix: must be a path like "/hearth"'),
        ("[server]\ntrusted_proxies = ['proxy']", "server.trusted_proxies[0]: must be an address, a network"),
        ("[server]\nlog_level = 'warn'", 'not "warn"; did you mean "warning"?'),
        ("[server]\nmax_connections = 0", "server.max_connections: must be above 0, not 0"),
        ('[budget]\ndaily_usd = "a lot"', 'budget.daily_usd: must be a number of dollars, 0 or more, or "none"'),
        ("engine = 5", "engine: must be a table, not 5"),
        ('aliases = ["x"]', "aliases: must be a table"),
        ("[retries]\nwait_here_up_to = 60", "retries: honour_retry_after_up_to must not be below wait_here_up_to"),
        ("[engine]\nbackoff_most = 1", "engine: backoff_most must not be below backoff_first"),
        ('[engine]\ncertified = ["HIPAA"]', 'engine.certified[0]: "HIPAA" is no certificate'),
        (
            '[[rules]]\nwhen = { language = "german" }\nto = ["local"]',
            "rules[0].when.language: must be the two letters",
        ),
        ('[[rules]]\nwhen = { task = "codes" }\nto = ["local"]', 'did you mean "code"?'),
        ("[[rules]]\nwhen = {}\nto = []", 'rules[0]: needs "to" or "requires"'),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_right(text: str, words: str) -> None:
    """Types are strict, ranges are checked, and the message says what would do."""
    assert words in problem(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('[engine]\nurl = "http://h:1/v1/"', ("http://h:1/v1",)),
        ('[engine]\nurl = ["http://h:1/v1"]', ("http://h:1/v1",)),
    ],
)
def test_an_engine_url_is_one_or_several(text: str, value: tuple[str, ...]) -> None:
    """A single address needs no brackets; a slash at the end does not matter."""
    assert settings(text).engine.url == value


def test_names_of_the_door_are_kept_in_one_spelling() -> None:
    """Hosts lose their last dot and capitals, a prefix its last slash."""
    server = settings("[server]\nhosts = ['Hearth.Internal.', '[FD00::1]']\npath_prefix = '/ai/hearth/'").server
    assert server.hosts == ("hearth.internal", "[fd00::1]")
    assert server.path_prefix == "/ai/hearth"


def test_a_budget_can_be_lifted() -> None:
    """ "none" is no limit."""
    assert settings('[budget]\ndaily_usd = "none"').budget.daily_usd is None


def test_a_validation_error_never_shows_what_was_given() -> None:
    """Even the validator's own exception does not repeat an input."""
    with pytest.raises(ValidationError) as raised:
        Server.model_validate({"keys": "sk-live-1234", "port": "sk-live-1234"})
    assert "sk-live" not in str(raised.value)


def test_settings_need_no_file() -> None:
    """Code and tests can make settings from values."""
    made = Settings(targets={"cloud": TargetSettings(provider="openai", model="big")})
    assert made.usable_targets.keys() == {"cloud"}
