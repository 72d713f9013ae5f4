"""The whole configuration of the design: every key is read."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from runtime.settings import Loaded, read
from runtime.settings.model import Document
from runtime.settings.shape import at, fields_of

PROVIDERS = frozenset({"anthropic", "gemini", "openai"})
ENV = {
    name: f"k-{name}"
    for name in ("HEARTH_API_KEY", "ENGINE_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "FLEET_KEY", "RAY_TOKEN")
}

# As the design has it.
DESIGN = """
[server]
host = "127.0.0.1"
port = 8000
hosts = []
keys = []
admin_keys = []

[engine]
model = "smollm2-135m"
device = "auto"
replicas = 1
max_model_len = "auto"
gpu_memory_utilization = 0.9
args = []

[models.small]
model = "llama-3.2-3b"
tasks = ["extraction"]
gpus = "auto"
share = 0.3
load = "always"
ttl = 600

[escalation]
mode = "act"
prefer = ""
tasks = []
complexity = 0.62
cloud_share = 0.0
classifier = "off"
confidence = 0.0
confidence_wait_ms = 400
context_tokens = 6000
ttft_ms = 2000
queue_depth = "auto"
kv_cache = "auto"
gpu_utilization = "auto"
wait_usd_per_s = 0.0
release = 0.7
admit_ttft_ms = 30000

[targets.claude]
provider = "anthropic"
model = "claude-sonnet-5-5"
key = "env:ANTHROPIC_API_KEY"
certified = ["hipaa", "zdr"]

[targets.gemini]
provider = "gemini"
model = "gemini-3.8-flash"

[routes]
code = ["claude"]
multimodal = ["gemini"]

[[rules]]
when = { task = "code", header = { x-team = "web" }, min_tokens = 500 }
to = ["claude"]

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

[batch]
escalate = false
max_requests = 50000
max_file_mb = 200
expire_hours = 24
keep_days = 30

[budget]
daily_usd = 20.0
when_spent = "local"
baseline = ""

[privacy]
detect = "off"
add = ["zdr"]

[records]
retention_days = 30
max_mb = 1024

[quality]
sets = ["golden/*.toml"]
at = "02:30"
timezone = "UTC"
mode = "act"
tolerance = 0.03
false_demotions_per_year = 0.1
daily_usd = 2.0
judge = ""
weekly = 100
weekly_usd = 5.0

[quality.sample]
keep = false
share = 0.01
days = 14

[telemetry]
endpoint = ""
sampled = 0.1
propagate = "engine"

[fleet]
name = ""
peers = []
key = ""
store = ""

[autoscale]
ray = ""
ttft_ms = 2000
min = 1
max = 1
mode = "advise"
"""

# With the keys that it shows commented out or leaves empty.
FILLED = """
[server]
host = "127.0.0.1"
port = 8000
hosts = []
keys = ["env:HEARTH_API_KEY"]
admin_keys = ["file:admin.key"]

[engine]
model = "smollm2-135m"
device = "auto"
replicas = 1
max_model_len = "auto"
gpu_memory_utilization = 0.9
args = []
url = ["http://127.0.0.1:8001/v1", "http://box:8001/v1"]
key = "env:ENGINE_KEY"
certified = ["hipaa"]
kind = "pool"
metrics = ["http://box:8001/metrics"]
gpu_hour_usd = 2.5
watts = 700
kwh_usd = 0.3

[models.small]
model = "llama-3.2-3b"
tasks = ["extraction"]
gpus = "auto"
share = 0.3
load = "always"
ttl = 600

[escalation]
mode = "act"
prefer = ""
tasks = []
complexity = 0.62
cloud_share = 0.0
classifier = "off"
confidence = 0.0
confidence_wait_ms = 400
context_tokens = 6000
ttft_ms = 2000
queue_depth = "auto"
kv_cache = "auto"
gpu_utilization = "auto"
wait_usd_per_s = 0.0
release = 0.7
admit_ttft_ms = 30000

[targets.claude]
provider = "anthropic"
model = "claude-sonnet-5-5"
key = "env:ANTHROPIC_API_KEY"
base_url = "https://api.example.com"
api_version = "2023-06-01"
region = "eu"
timeouts = { first_token = 30 }
price = { input = 3.0, output = 15.0, cache_read = 0.3, cache_write = 3.75 }
daily_usd = 10.0
certified = ["hipaa", "zdr"]

[targets.gemini]
provider = "gemini"
model = "gemini-3.8-flash"

[routes]
code = ["claude"]
multimodal = ["gemini"]
long_context = ["gemini", "claude"]
complex = ["claude"]
default = ["claude", "gemini"]

[[rules]]
when = { task = "code", header = { x-team = "web" }, min_tokens = 500 }
to = ["claude"]

[[rules]]
when = { keywords = ["contract"], model = "gpt-4o", metadata = { tier = "gold" }, language = "de" }
requires = ["hipaa"]

[[rules]]
when = { task = "summary" }
to = ["local"]

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

[batch]
escalate = false
max_requests = 50000
max_file_mb = 200
expire_hours = 24
keep_days = 30

[budget]
daily_usd = 20.0
monthly_usd = 300
timezone = "Europe/Berlin"
when_spent = "local"
baseline = ""

[privacy]
detect = "off"
add = ["zdr"]

[records]
retention_days = 30
max_mb = 1024

[quality]
sets = ["golden/*.toml"]
at = "02:30"
timezone = "UTC"
mode = "act"
tolerance = 0.03
false_demotions_per_year = 0.1
daily_usd = 2.0
judge = ""
weekly = 100
weekly_usd = 5.0

[quality.sample]
keep = false
share = 0.01
days = 14

[telemetry]
endpoint = ""
sampled = 0.1
propagate = "engine"

[fleet]
name = ""
peers = ["http://b:8000"]
key = "env:FLEET_KEY"
store = ""

[autoscale]
ray = "http://head:8265"
token = "env:RAY_TOKEN"
ttft_ms = 2000
min = 1
max = 1
mode = "advise"
"""

# Keys that the design leaves to the code.
NOT_IN_THE_DESIGN = {
    "prices": {"update"},
    "privacy": {"names", "names_within"},
    "records": {"audit_days"},
    "server": {"cors", "max_body_mb", "drain", "socket", "path_prefix", "trusted_proxies", "max_connections"}
    | {"max_head_kb", "head_timeout", "body_timeout", "log_level", "log_format", "access_log"},
    "engine": {"python", "offline", "start_timeout", "hang_after", "canary_timeout", "drain"}
    | {"backoff_first", "backoff_most", "give_up_after", "adapters", "max_loras", "max_lora_rank"}
    | {"sleep_after"},
    "retries": {"hedge_after"},
    "media": {"fetch_urls", "max_mb", "timeout"},
    "notices": {"url", "key", "command", "timeout"},
    "fleet": {"store_key"},
}


def reading(text: str, folder: Path) -> Loaded:
    (folder / "admin.key").write_text("k")
    (folder / "admin.key").chmod(0o600)
    return read(text, folder / "hearth.toml", ENV, PROVIDERS)


@pytest.mark.parametrize("text", [DESIGN, FILLED])
def test_the_design_is_read_whole(text: str, tmp_path: Path) -> None:
    """No key of it is refused, and no warning is given but the one about a key that nobody asks for."""
    loaded = reading(text, tmp_path)
    assert [line for line in loaded.warnings if "HEARTH_API_KEY" not in line] == []
    assert not loaded.settings.absent


def test_the_design_shows_the_defaults(tmp_path: Path) -> None:
    """Each value of its fixed sections is what an empty file means, its examples aside."""
    given, empty = reading(DESIGN, tmp_path).settings, reading("", tmp_path).settings
    for section in tomllib.loads(DESIGN):
        if section not in ("models", "targets", "routes", "rules", "aliases"):
            assert getattr(given, section) == getattr(empty, section)


def test_every_key_of_the_settings_is_in_the_design() -> None:
    """The filled block sets every key of the fixed sections, save a short list."""
    tree = tomllib.loads(FILLED)
    for section in Document.model_fields:
        known = set(fields_of(at((section,))))
        assert known - set(tree.get(section, {}) if known else ()) == NOT_IN_THE_DESIGN.get(section, set()), section


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0.5", 0.5), ("1", 1), ("{ default = 0.62, code = 0.5 }", {"default": 0.62, "code": 0.5})],
)
def test_complexity_is_a_number_or_one_by_task(value: str, expected: Any, tmp_path: Path) -> None:
    """Both ways of writing it are kept as they are."""
    assert reading(f"[escalation]\ncomplexity = {value}", tmp_path).settings.escalation.complexity == expected


def test_auto_thresholds_have_their_numbers(tmp_path: Path) -> None:
    """Until the prediction leads, "auto" means 5 waiting, 85 % of the KV cache and 95 % of the GPU."""
    auto = reading("", tmp_path).settings.escalation
    assert (auto.queue_depth, auto.queue_limit, auto.kv_limit, auto.gpu_limit) == ("auto", 5, 0.85, 0.95)
    own = reading("[escalation]\nqueue_depth = 0\nkv_cache = 0.5\ngpu_utilization = 1", tmp_path).settings.escalation
    assert (own.queue_limit, own.kv_limit, own.gpu_limit) == (0, 0.5, 1)
