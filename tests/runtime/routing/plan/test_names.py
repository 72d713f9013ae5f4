"""Model names: what each means on a box."""

from __future__ import annotations

import pytest

from runtime.contract.targets import Target
from runtime.routing.facts.facts import LONGEST_NAME
from runtime.routing.plan.names import Auto, Directory, Lent, Named, Pinned, Unknown, build, resolve

LOCAL = Target("local", "local", "HuggingFaceTB/SmolLM2-135M", on_box=True)
TARGETS = (
    Target("fast", "groq", "openai/gpt-oss-120b"),
    Target("claude", "anthropic", "claude-sonnet-5-5"),
    Target("mine", "openai", "Qwen/Qwen3-8B"),
)
BOX = build(
    LOCAL,
    TARGETS,
    {"gpt-4o": "auto", "smart": "claude", "ring": "gnir", "gnir": "ring", "openai/o9": "auto", "fast": "claude"},
    served={"smollm2-135m": None, "SQL-adapter": "/adapters/sql"},
)


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("auto", Auto()),
        ("local", Pinned("local")),
        ("local/smollm2-135m", Pinned("local")),
        ("local/HuggingFaceTB/SmolLM2-135M", Pinned("local")),
        ("smollm2-135m", Pinned("local")),
        ("local/SQL-adapter", Pinned("local", "/adapters/sql")),
        ("SQL-adapter", Pinned("local", "/adapters/sql")),
        ("claude", Pinned("claude")),
        ("claude-sonnet-5-5", Pinned("claude")),
        ("anthropic/claude-sonnet-5-5", Pinned("claude")),
        ("anthropic/claude-opus-5-5", Lent("anthropic", "claude-opus-5-5", "claude")),
        ("groq/openai/gpt-oss-120b", Pinned("fast")),
        ("groq/llama-9", Lent("groq", "llama-9", "fast")),
        ("openai/gpt-oss-120b", Lent("openai", "gpt-oss-120b", "mine")),
        ("Qwen/Qwen3-8B", Pinned("mine")),
        ("gpt-4o", Auto()),
        ("smart", Pinned("claude")),
        ("openai/o9", Auto()),
        ("fast", Pinned("fast")),
        ("Anthropic/Claude-Sonnet-5-5", Pinned("claude")),
    ],
)
def test_names_mean_what_the_contract_says(name: str, meaning: Named) -> None:
    """Configured names before aliases, aliases before guesses; the first segment is the provider."""
    assert resolve(name, BOX) == meaning


@pytest.mark.parametrize("name", ["", "gpt-5", "local/other", "mistral/large", "anthropic/", "/x", "ring"])
def test_other_names_are_unknown(name: str) -> None:
    """Also a provider without an account, and aliases in a ring."""
    assert isinstance(resolve(name, BOX), Unknown)


@pytest.mark.parametrize(
    "name",
    [
        "openai/x\r\ny",
        "openai/\x00",
        "openai/\x7f",
        "openai/größe",
        "anthropic/\u2028",
        "anthropic/\ud800",
        "groq/" + "m" * LONGEST_NAME,
    ],
)
def test_a_name_that_no_header_holds_lends_nothing(name: str) -> None:
    """The answer would be bought before the response could not be written."""
    assert isinstance(resolve(name, BOX), Unknown)


def test_a_name_of_the_longest_length_is_lent() -> None:
    """The bound is inclusive, spaces are printable."""
    name = "groq/a b" + "m" * (LONGEST_NAME - 8)
    assert resolve(name, BOX) == Lent("groq", name.removeprefix("groq/"), "fast")


def test_a_long_unknown_name_is_not_compared() -> None:
    """Finding the nearest names takes time that grows with the square of a name."""
    assert resolve("claude-sonnet-5-" + "5" * 1_000_000, BOX) == Unknown("claude-sonnet-5-" + "5" * 1_000_000)


def test_an_unknown_name_has_neighbours() -> None:
    """The nearest first."""
    meaning = resolve("claude-sonet-5-5", BOX)
    assert isinstance(meaning, Unknown)
    assert meaning.nearest[0] == "claude-sonnet-5-5"


def test_a_target_without_a_key_lends_nothing() -> None:
    """Its own names stay known."""
    box = build(LOCAL, TARGETS, {}, absent=("claude",))
    assert resolve("claude", box) == Pinned("claude")
    assert isinstance(resolve("anthropic/other", box), Unknown)


def test_the_override_changes_what_auto_does() -> None:
    """And nothing a name pins."""
    box = build(LOCAL, TARGETS, {"gpt-4o": "auto"}, override="anthropic/claude-opus-5-5")
    lent = Lent("anthropic", "claude-opus-5-5", "claude")
    assert resolve("auto", box) == resolve("gpt-4o", box) == Auto(lent, "HEARTH_MODEL")
    assert resolve("local", box) == Pinned("local")


def test_an_override_that_names_nothing_is_a_fault_of_the_environment() -> None:
    """Said at the start, not at the first request."""
    with pytest.raises(ValueError, match="HEARTH_MODEL"):
        build(LOCAL, TARGETS, {}, override="gpt-5")


def test_an_empty_box_knows_auto() -> None:
    """An empty directory still decides."""
    assert resolve("auto", Directory()) == Auto()


def test_an_adapter_pins_the_target_of_its_model() -> None:
    """By its name, bare too, in any case; the model of the target stays what it was."""
    small = Target("local/small", "local", "small", on_box=True)
    known = build(LOCAL, [], {}, models=[("id", small)], adapters={"Legal": "local/small", "tax": "local"})
    for name in ("local/Legal", "Legal", "legal", "local/legal"):
        assert resolve(name, known) == Pinned("local/small", "Legal")
    assert resolve("local/tax", known) == Pinned("local", "tax")
    assert resolve("local/small", known) == Pinned("local/small")
    assert resolve("local", known) == Pinned("local")
