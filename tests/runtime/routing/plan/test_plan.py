"""The decision: who is asked, in which order, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runtime.contract.pressure import Pressure
from runtime.contract.prices import Price
from runtime.contract.reasons import Reason
from runtime.contract.targets import Capabilities, Target, Timeouts
from runtime.routing.plan.names import build
from runtime.routing.plan.picture import Fleet, LocalState, TargetState
from runtime.routing.plan.plan import NO_TARGET, Plan
from runtime.settings import Escalation, Routes, Rule, When
from tests.runtime.routing.boxes import CLAUDE, GEMINI, LOCAL, attached, chat, fleet_of, planned, policy_of, query_of

BUSY = LocalState(
    LOCAL, pressure=Pressure(Reason.QUEUE_DEPTH, 1.6, "8 requests wait for a first token, the threshold is 5")
)
IMAGE: list[Any] = [
    {"type": "text", "text": "What is this?"},
    {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
]


def decide(body: dict[str, Any] | None = None, fleet: Fleet | None = None, **policy: Any) -> Plan:
    return planned(query_of(body or chat()), fleet or fleet_of(CLAUDE, GEMINI), policy_of(**policy), 100.0)


def names(made: Plan) -> list[str]:
    return [candidate.target.name for candidate in made.candidates]


def test_a_calm_engine_answers_with_the_default_route_behind_it() -> None:
    """Nothing crosses a threshold: local first, fallbacks behind."""
    made = decide(routes=Routes(default=("claude",)))
    assert names(made) == ["local", "claude"]
    assert made.reason is Reason.DEFAULT
    assert made.candidates[1].reason is Reason.FALLBACK


def test_without_routes_every_target_is_a_fallback_in_the_order_of_the_settings() -> None:
    """A file with targets and no routes works."""
    assert names(decide()) == ["local", "claude", "gemini"]


def test_a_full_engine_sends_away_and_stays_the_last_resort() -> None:
    """The reason and its words are the threshold's."""
    made = decide(fleet=fleet_of(CLAUDE, GEMINI, local=BUSY))
    assert names(made) == ["claude", "gemini", "local"]
    assert made.reason is Reason.QUEUE_DEPTH
    assert made.words == "8 requests wait for a first token, the threshold is 5"


def test_without_a_target_a_full_engine_answers_degraded() -> None:
    """No key: answered locally, with a mark in the headers."""
    absent = TargetState(CLAUDE, available=False, why="claude has no key", absent=True)
    made = decide(fleet=fleet_of(absent, local=BUSY), targets=(CLAUDE,))
    assert names(made) == ["local"]
    assert made.degraded == (NO_TARGET,)
    assert made.reason is Reason.QUEUE_DEPTH
    assert "claude has no key" in made.words


def test_a_calm_engine_without_targets_is_not_degraded() -> None:
    """Only what would have left is marked."""
    made = decide(fleet=fleet_of(), targets=())
    assert (names(made), made.degraded) == (["local"], ())


def test_an_image_goes_to_who_reads_images_and_nowhere_else() -> None:
    """Neither the engine nor Claude here is a candidate, not even as a fallback."""
    made = decide(chat(IMAGE))
    assert names(made) == ["gemini"]
    assert made.reason is Reason.MODALITY
    assert {item.target.name for item in made.considered} == {"local", "claude"}


def test_an_image_nobody_reads_is_unsupported() -> None:
    """400, naming the targets that cannot."""
    made = decide(chat(IMAGE), fleet=fleet_of(CLAUDE), targets=(CLAUDE,))
    assert made.refusal and (made.refusal.status, made.refusal.code) == (400, "unsupported")
    assert "local does not read image" in made.refusal.message


def test_what_requires_a_certificate_nobody_has_stays_on_the_box() -> None:
    """The full engine keeps it, and the reason says why."""
    made = decide(chat(hearth={"requires": ["zdr"]}), fleet=fleet_of(CLAUDE, GEMINI, local=BUSY))
    assert names(made) == ["local"]
    assert made.reason is Reason.REQUIRES
    assert "not certified for zdr" in made.words


def test_what_is_certified_may_leave_to_who_is_certified_only() -> None:
    """Fallbacks are bound too."""
    made = decide(chat(hearth={"requires": ["hipaa"]}), fleet=fleet_of(CLAUDE, GEMINI, local=BUSY))
    assert names(made) == ["claude", "local"]


def test_an_engine_on_another_machine_needs_its_own_certificate() -> None:
    """On the box every demand is met; beyond it none is by itself."""
    body = chat(hearth={"requires": ["zdr"]})
    refused = decide(body, fleet=fleet_of(CLAUDE, local=attached()), targets=(CLAUDE,)).refusal
    assert refused and (refused.status, refused.code) == (403, "no_compliant_target")
    assert names(decide(body, fleet=fleet_of(CLAUDE, local=attached(frozenset({"zdr"}))), targets=(CLAUDE,))) == [
        "local"
    ]


def test_an_image_that_only_an_uncertified_target_reads_is_refused_for_its_certificate() -> None:
    """403, because a certificate would help."""
    made = decide(chat(IMAGE, hearth={"requires": ["hipaa"]}))
    assert made.refusal and made.refusal.status == 403


@pytest.mark.parametrize("name", ["claude", "anthropic/sonnet", "sonnet"])
def test_a_pin_has_one_candidate_whatever_the_load(name: str) -> None:
    """By target name, PROVIDER/MODEL or model id."""
    made = decide(chat(model=name), fleet=fleet_of(CLAUDE, GEMINI, local=BUSY))
    assert (names(made), made.pinned, made.reason) == (["claude"], True, Reason.PINNED)


def test_a_pin_is_never_replaced() -> None:
    """A pinned target that is out of order is a refusal with the time left, not another target."""
    tripped = TargetState(CLAUDE, available=False, why="claude failed again and again", until=107.0)
    refused = decide(chat(model="claude"), fleet=fleet_of(tripped, GEMINI)).refusal
    assert refused and (refused.status, refused.retry_after) == (503, 7.0)


def test_a_pin_to_a_target_without_a_key_is_not_found() -> None:
    """Absent until the settings change: no Retry-After would help."""
    absent = TargetState(CLAUDE, available=False, why="ANTHROPIC_API_KEY is empty", absent=True)
    refused = decide(chat(model="claude"), fleet=fleet_of(absent)).refusal
    assert refused and (refused.status, refused.code, refused.retry_after) == (404, "model_not_found", None)


def test_a_pin_obeys_requires() -> None:
    """A name is no certificate. A spent budget or a limit beyond the window does not hide that."""
    spent = TargetState(GEMINI, available=True, spent="$20 of $20 are spent")
    for body, state in ((chat(), GEMINI), (chat(), spent), (chat(max_tokens=10**9), spent)):
        refused = decide(body | {"model": "gemini", "hearth": {"requires": ["hipaa"]}}, fleet=fleet_of(state)).refusal
        assert refused and (refused.status, refused.code) == (403, "no_compliant_target")


def test_an_unknown_name_is_not_found_with_its_neighbours() -> None:
    """404 with what was perhaps meant."""
    refused = decide(chat(model="cluade")).refusal
    assert refused and (refused.status, refused.code) == (404, "model_not_found")
    assert "claude" in refused.message


def test_a_request_without_a_model_is_told_what_to_name() -> None:
    """An empty name is shown as no name."""
    refused = decide(chat(model="")).refusal
    assert refused and (refused.status, refused.code) == (404, "model_not_found")
    assert refused.message == 'the request names no model; "auto" decides by itself'


def test_a_name_is_quoted_escaped_and_bounded() -> None:
    """Control characters of a client neither reach a terminal nor a log as they are."""
    refused = decide(chat(model="anthropic/x\r\nset-cookie: a" + "y" * 1_000)).refusal
    assert refused and (refused.status, refused.code) == (404, "model_not_found")
    assert "\\r\\n" in refused.message
    assert refused.message.isprintable()
    assert len(refused.message) < 300


def test_a_lent_model_is_pinned() -> None:
    """PROVIDER/MODEL of a provider some target has an account with."""
    lent = Target("anthropic/opus", "anthropic", "opus")
    made = decide(chat(model="anthropic/opus"), fleet=fleet_of(CLAUDE, lent))
    assert (names(made), made.pinned) == (["anthropic/opus"], True)


def test_a_lent_model_is_nobody_elses_fallback() -> None:
    """It is in the fleet for its own request only."""
    lent = Target("anthropic/opus", "anthropic", "opus")
    assert "anthropic/opus" not in names(decide(fleet=fleet_of(CLAUDE, lent)))


def test_the_override_moves_automatic_traffic_and_keeps_fallbacks() -> None:
    """HEARTH_MODEL is not a pin."""
    made = decide(override="gemini/flash", routes=Routes(default=("claude",)))
    assert names(made) == ["gemini", "claude", "local"]
    assert made.reason is Reason.DEFAULT
    assert "HEARTH_MODEL" in made.words


def test_the_override_never_breaks_a_certificate() -> None:
    """The override's target is filtered like any other."""
    made = decide(chat(hearth={"requires": ["hipaa"]}), override="gemini/flash", routes=Routes(default=("claude",)))
    assert names(made) == ["claude", "local"]


def test_an_override_to_local_keeps_a_full_engine_first() -> None:
    """HEARTH_MODEL=local: thresholds are not looked at, fallbacks stay."""
    made = decide(fleet=fleet_of(CLAUDE, local=BUSY), targets=(CLAUDE,), override="local")
    assert names(made) == ["local", "claude"]


def test_long_prompts_take_their_route() -> None:
    """Past context_tokens, with the local engine behind while its window holds them."""
    made = decide(
        chat("word " * 4000), context_tokens=3000, routes=Routes(long_context=("gemini",), default=("claude",))
    )
    assert names(made) == ["gemini", "claude", "local"]
    assert made.reason is Reason.CONTEXT
    assert "the threshold is 3000" in made.words


def test_a_prompt_past_the_local_window_is_no_local_candidate() -> None:
    """The window counts the answer too."""
    made = decide(chat("Hello", max_tokens=9000))
    assert names(made) == ["claude", "gemini"]
    assert made.reason is Reason.CONTEXT


def test_a_prompt_no_window_holds_is_refused() -> None:
    """400 context_length_exceeded."""
    refused = decide(chat("word " * 20_000), fleet=fleet_of(), targets=()).refusal
    assert refused and (refused.status, refused.code) == (400, "context_length_exceeded")


def test_a_prompt_that_may_just_fit_is_left_to_the_engine_to_count() -> None:
    """An estimate near the window refuses nothing."""
    made = decide(chat("word " * 7_000), fleet=fleet_of(), targets=())
    assert (names(made), made.degraded) == (["local"], (NO_TARGET,))


def test_a_dead_engine_is_bridged() -> None:
    """The cloud answers, the engine is no candidate."""
    made = decide(fleet=fleet_of(CLAUDE, local=LocalState(LOCAL, 0, starting=True)), targets=(CLAUDE,))
    assert (names(made), made.reason) == (["claude"], Reason.ENGINE_DOWN)


def test_a_starting_engine_alone_says_when_to_come_back() -> None:
    """503 with the estimate as Retry-After."""
    down = LocalState(LOCAL, 0, starting=True, ready_in_s=42.0)
    refused = decide(fleet=fleet_of(local=down), targets=()).refusal
    assert refused and (refused.status, refused.retry_after, refused.reason) == (503, 42.0, Reason.ENGINE_DOWN)
    assert "ready in about 42 s" in refused.message


def test_an_engine_given_up_promises_nothing() -> None:
    """The refusal has its cause and no Retry-After."""
    down = LocalState(LOCAL, 0, given_up=True, why="out of memory")
    refused = decide(fleet=fleet_of(local=down), targets=()).refusal
    assert refused and refused.retry_after is None
    assert "out of memory" in refused.message


def test_mode_off_never_leaves() -> None:
    """No fallback, no bridge, no degraded mark."""
    made = decide(fleet=fleet_of(CLAUDE, local=BUSY), targets=(CLAUDE,), mode="off")
    assert (names(made), made.degraded, made.advice) == (["local"], (), "")
    down = decide(fleet=fleet_of(CLAUDE, local=LocalState(LOCAL, 0)), targets=(CLAUDE,), mode="off")
    assert down.refusal and down.refusal.status == 503


def test_mode_advise_stays_and_says_what_it_would_have_done() -> None:
    """The advice names target and cause."""
    made = decide(fleet=fleet_of(CLAUDE, local=BUSY), targets=(CLAUDE,), mode="advise")
    assert names(made) == ["local"]
    assert "claude" in made.advice
    assert "queue_depth" in made.advice


def test_a_caller_in_a_hurry_leaves_where_the_engine_would_be_late() -> None:
    """The hint is a threshold of its own."""
    slow = LocalState(LOCAL, predicted_ttft_s=1.2)
    hasty = decide(chat(hearth={"ttft_ms": 800}), fleet=fleet_of(CLAUDE, local=slow), targets=(CLAUDE,))
    assert (names(hasty), hasty.reason) == (["claude", "local"], Reason.TTFT)
    patient = decide(chat(hearth={"ttft_ms": 1500}), fleet=fleet_of(CLAUDE, local=slow), targets=(CLAUDE,))
    assert names(patient) == ["local", "claude"]


def test_a_cost_cap_excludes_what_costs_more_and_what_has_no_price() -> None:
    """Nothing is promised that cannot be known."""
    body = chat(max_tokens=1000, hearth={"max_cost_usd": 0.001})
    made = decide(body, fleet=fleet_of(CLAUDE, GEMINI, local=BUSY))
    assert (names(made), made.reason, made.degraded) == (["local"], Reason.BUDGET, ())
    refused = decide({**body, "model": "claude"}).refusal
    assert refused and (refused.status, refused.code) == (402, "budget_exceeded")


def test_a_limit_above_the_longest_answer_excludes_nobody() -> None:
    """It is lowered on the way: windows and costs are reckoned with what can come."""
    short = Target(
        "short", "p", "m", Capabilities(context_tokens=10_000, max_output_tokens=100), price=Price(1.0, 10.0)
    )
    body = chat(max_tokens=1_000_000, model="short", hearth={"max_cost_usd": 0.002})
    made = decide(body, fleet=fleet_of(short), targets=(short,))
    assert names(made) == ["short"]
    wordy = decide({**body, "n": 3}, fleet=fleet_of(short), targets=(short,)).refusal
    assert wordy and wordy.code == "budget_exceeded"


def test_a_queue_longer_than_an_answer_may_take_is_refused_where_nothing_else_is_left() -> None:
    """429 with the estimate, and only there."""
    endless = LocalState(LOCAL, predicted_ttft_s=400.0, wait_s=120.0)
    refused = decide(fleet=fleet_of(local=endless), targets=()).refusal
    assert refused and (refused.status, refused.retry_after) == (429, 120.0)
    assert decide(fleet=fleet_of(CLAUDE, local=endless), targets=(CLAUDE,)).refusal is None


def test_tools_stay_with_who_calls_tools() -> None:
    """A capability known to be missing excludes."""
    toolless = Target("plain", "openai", "plain", Capabilities(tools=False))
    body = chat(tools=[{"type": "function", "function": {"name": "f"}}])
    made = decide(body, fleet=fleet_of(toolless, CLAUDE, local=BUSY), targets=(toolless, CLAUDE))
    assert names(made) == ["claude", "local"]


def test_embeddings_are_not_asked_of_chat_models() -> None:
    """400 where no target makes any."""
    made = planned(EMBED, fleet_of(CLAUDE), policy_of((CLAUDE,)), 0.0)
    assert made.refusal and made.refusal.code == "unsupported"


EMBED = query_of({"model": "auto", "input": "text"}, dialect="openai_embeddings")
EMBEDDER = Target("openai/embed-3", "openai", "embed-3", Capabilities(chat=False, embeddings=True))
GPT = Target("gpt", "openai", "gpt", Capabilities())


@pytest.mark.parametrize(
    ("configured", "pinned", "named"),
    [
        ((CLAUDE,), "auto", "; openai/embed-3 could, with a usable target of that provider"),
        ((CLAUDE, GPT), "auto", "; openai/embed-3 could, asked for by name"),
        ((CLAUDE, EMBEDDER), "claude", "; openai/embed-3 could, asked for by name"),
    ],
)
def test_a_refusal_names_who_could_embed(configured: tuple[Target, ...], pinned: str, named: str) -> None:
    """A target of this box, a model on one of its accounts, or a provider that is not configured yet."""
    asked = query_of({"model": pinned, "input": "text"}, dialect="openai_embeddings")
    made = planned(asked, fleet_of(*configured), policy_of(configured, offered=(EMBEDDER, GEMINI)), 0.0)
    assert made.refusal and made.refusal.message.endswith(named)


@pytest.mark.parametrize(
    ("body", "reason", "named"),
    [
        (
            chat(messages=[{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]),
            400,
            "gemini/flash",
        ),
        (
            chat(model="local", tools=[{"type": "function", "function": {"name": "f"}}]),
            400,
            "small or claude or gemini",
        ),
        (chat("word " * 90_000, model="small"), 400, "claude or gemini"),
        (chat(model="gemini", hearth={"requires": ["hipaa"]}), 403, "local or claude"),
    ],
)
def test_a_refusal_of_any_kind_names_who_could(body: dict[str, Any], reason: int, named: str) -> None:
    """Media, tools, a window, a certificate: whoever has no obstacle is named, those of the settings first."""
    small = Target("small", "openai", "small", Capabilities(context_tokens=8192))
    toolless = LocalState(replace(LOCAL, capabilities=Capabilities(tools="tools" not in body, context_tokens=8192)))
    fleet = fleet_of(small, CLAUDE, GEMINI, local=toolless)
    policy = policy_of((small, CLAUDE), offered=(GEMINI,))
    made = planned(query_of(body), fleet, replace(policy, directory=build(LOCAL, (small, CLAUDE, GEMINI), {})), 0.0)
    if body["model"] == "auto":
        made = planned(query_of(body), fleet_of(small, CLAUDE, local=toolless), policy, 0.0)
    assert made.refusal and made.refusal.status == reason
    assert f"; {named} could" in made.refusal.message


def test_an_able_target_off_the_route_is_named() -> None:
    """The settings keep it out of the way, and the refusal says that it is there."""
    image = chat(IMAGE)
    down = LocalState(LOCAL, replicas_ready=0)
    routes = Routes(multimodal=("claude",), default=("claude",))
    made = decide(image, fleet_of(CLAUDE, GEMINI, local=down), routes=routes)
    assert made.refusal and made.refusal.code == "unsupported"
    assert made.refusal.message.endswith("; gemini could, asked for by name")


def test_a_refusal_names_nobody_where_nobody_could() -> None:
    """No empty promise, and an absent target is no help."""
    absent = TargetState(EMBEDDER, available=False, absent=True)
    made = planned(EMBED, fleet_of(CLAUDE, absent), policy_of((CLAUDE, EMBEDDER)), 0.0)
    assert made.refusal and "could" not in made.refusal.message


def test_the_first_rule_that_matches_decides_before_load() -> None:
    """Rules come before thresholds."""
    rules = [Rule(when=When(keywords=("contract",)), to=("gemini",)), Rule(when=When(), to=("claude",))]
    made = decide(chat("Check this contract."), rules=rules)
    assert (names(made), made.reason) == (["gemini", "local"], Reason.RULE)
    assert made.words.startswith("rule 1 ")
    assert names(decide(chat("Hello"), rules=rules)) == ["claude", "local"]


def test_a_rule_that_names_only_local_keeps_it_on_the_box_come_what_may() -> None:
    """No fallback behind it, no bridge for a dead engine."""
    rules = [Rule(when=When(), to=("local",))]
    assert names(decide(fleet=fleet_of(CLAUDE, local=BUSY), rules=rules)) == ["local"]
    down = decide(fleet=fleet_of(CLAUDE, local=LocalState(LOCAL, 0)), rules=rules)
    assert down.refusal and down.refusal.status == 503


def test_a_rule_may_name_local_before_others() -> None:
    """The chain is taken as written."""
    made = decide(fleet=fleet_of(CLAUDE, local=BUSY), rules=[Rule(when=When(), to=("local", "claude"))])
    assert names(made) == ["local", "claude"]


def test_a_rule_whose_targets_cannot_gives_way_when_local_cannot_either() -> None:
    """Availability before preference, within the constraints."""
    made = decide(chat(IMAGE), rules=[Rule(when=When(), to=("claude",))])
    assert (names(made), made.reason) == (["gemini"], Reason.MODALITY)


def test_a_tripped_first_choice_leaves_its_place_to_the_second() -> None:
    """The reason for leaving stays; the breaker is shown among the considered."""
    tripped = TargetState(CLAUDE, available=False, why="claude failed again and again")
    made = decide(fleet=fleet_of(tripped, GEMINI, local=BUSY))
    assert (names(made), made.reason) == (["gemini", "local"], Reason.QUEUE_DEPTH)
    assert made.considered[0].words == "claude failed again and again"


def test_code_takes_the_code_route() -> None:
    """When it leaves, by what it is."""
    body = chat("Fix this:\n```python\nprint(1\n```")
    made = decide(
        body, fleet=fleet_of(CLAUDE, GEMINI, local=BUSY), routes=Routes(code=("gemini",), default=("claude",))
    )
    assert names(made) == ["gemini", "claude", "local"]


def test_a_box_without_an_engine_asks_its_targets() -> None:
    """And refuses with 503 where there are none."""
    assert names(planned(query_of(chat()), Fleet(None, fleet_of(CLAUDE).targets), policy_of((CLAUDE,)), 0.0)) == [
        "claude"
    ]
    refused = planned(query_of(chat()), Fleet(), policy_of(()), 0.0).refusal
    assert refused and refused.status == 503


def test_local_time_outs_bound_a_pinned_queue_too() -> None:
    """A pin to a hopeless queue is refused at once."""
    tight = Target("local", "local", "smollm2-135m", on_box=True, timeouts=Timeouts(total=10.0))
    made = decide(chat(model="local"), fleet=fleet_of(local=LocalState(tight, predicted_ttft_s=30.0)))
    assert made.refusal and (made.refusal.status, made.pinned) == (429, True)


CODE = "Fix this:\n```python\nprint(1\n```"
LABELS = "Classify the sentiment of this review as positive or negative: the phone broke after two days."


def test_a_task_of_the_settings_always_leaves() -> None:
    """By the route of its kind, with the engine last; another task stays."""
    routes = Routes(code=("gemini",), complex=("claude",), default=("claude",))
    made = decide(chat(CODE), tasks=("code",), routes=routes)
    assert (names(made), made.reason) == (["gemini", "claude", "local"], Reason.TASK)
    assert "code" in made.words
    assert names(decide(chat("Hello"), tasks=("code",), routes=routes)) == ["local", "claude"]


def test_a_task_that_no_target_may_take_stays() -> None:
    """A certificate keeps it here unharmed; a missing key keeps it here with a mark."""
    kept = decide(chat(CODE, hearth={"requires": ["zdr"]}), tasks=("code",))
    assert (names(kept), kept.reason, kept.degraded) == (["local"], Reason.REQUIRES, ())
    absent = TargetState(CLAUDE, available=False, why="claude has no key", absent=True)
    lacking = decide(chat(CODE), fleet=fleet_of(absent), targets=(CLAUDE,), tasks=("code",))
    assert (names(lacking), lacking.reason, lacking.degraded) == (["local"], Reason.TASK, (NO_TARGET,))


def test_a_score_at_the_threshold_leaves_by_the_complex_route() -> None:
    """Others of the same box stay."""
    routes = Routes(complex=("gemini",), default=("claude",))
    body = chat("Which river flows through Vienna and Budapest?")
    score = query_of(body).score
    made = decide(body, complexity=score, routes=routes)
    assert (names(made), made.reason) == (["gemini", "claude", "local"], Reason.COMPLEXITY)
    assert f"{score:.2f}" in made.words
    assert names(decide(body, complexity=score + 0.001, routes=routes)) == ["local", "claude"]


def test_the_threshold_may_differ_by_task() -> None:
    """A task that is not named has the default's."""
    by_task = {"default": 1, "code": 0}
    assert decide(chat(CODE), complexity=by_task).reason is Reason.COMPLEXITY
    assert decide(chat("Hello"), complexity=by_task).reason is Reason.DEFAULT
    assert Escalation(complexity={"code": 0.5}).threshold("chat") == Escalation().threshold("chat") == 0.62


def test_code_that_leaves_for_its_score_goes_where_code_goes() -> None:
    """The named route first, the complex one behind it."""
    made = decide(chat(CODE), complexity=0, routes=Routes(code=("gemini",), complex=("claude",)))
    assert names(made) == ["gemini", "claude", "local"]


def test_a_threshold_of_one_is_off() -> None:
    """No score reaches it."""
    assert decide(chat("word " * 3_000), complexity=1, context_tokens=100_000).reason is Reason.DEFAULT
    assert decide(chat("word " * 3_000), complexity={"default": 1.0}, context_tokens=100_000).reason is Reason.DEFAULT


def test_no_score_sends_labelling_away() -> None:
    """Its score is the same as any other prompt's; `tasks`, rules and load may send it."""
    assert query_of(chat(LABELS)).score > 0
    assert decide(chat(LABELS), complexity=0).reason is Reason.DEFAULT
    assert decide(chat(LABELS), complexity={"extraction": 0}).reason is Reason.DEFAULT
    assert decide(chat(LABELS), tasks=("extraction",)).reason is Reason.TASK
    assert decide(chat(LABELS), fleet=fleet_of(CLAUDE, GEMINI, local=BUSY)).reason is Reason.QUEUE_DEPTH


def test_embeddings_leave_for_no_score() -> None:
    """The vectors of two models cannot be compared."""
    local = replace(LOCAL, capabilities=Capabilities(embeddings=True))
    query = query_of({"model": "auto", "input": "text"}, dialect="openai_embeddings")
    made = planned(query, fleet_of(CLAUDE, local=LocalState(local)), policy_of((CLAUDE,), complexity=0), 0.0)
    assert made.reason is Reason.DEFAULT


@pytest.mark.parametrize("down", [False, True])
def test_embeddings_are_never_moved_to_another_model(*, down: bool) -> None:
    """Not by a full engine, nor behind it, nor while it is down: an index of two models' vectors is worth nothing."""
    can = replace(LOCAL, capabilities=Capabilities(embeddings=True))
    local = LocalState(can, replicas_ready=0, starting=True) if down else LocalState(can, pressure=BUSY.pressure)
    made = planned(EMBED, fleet_of(EMBEDDER, local=local), policy_of((EMBEDDER,)), 0.0)
    assert names(made) == ([] if down else ["local"])
    assert not down or (made.refusal and made.refusal.status == 503)


def test_embeddings_leave_a_box_that_makes_none() -> None:
    """All of them, to the first target that can."""
    made = planned(EMBED, fleet_of(CLAUDE, EMBEDDER), policy_of((CLAUDE, EMBEDDER)), 0.0)
    assert names(made) == [EMBEDDER.name] and made.reason is Reason.CAPABILITY


def test_many_texts_fit_a_window_that_holds_the_longest() -> None:
    """Each is read for itself; one that is too long is named with its length."""
    local = LocalState(replace(LOCAL, capabilities=Capabilities(embeddings=True, rerank=True, context_tokens=256)))
    fleet, policy = fleet_of(local=local), policy_of(())
    many = query_of({"model": "auto", "input": ["word " * 60] * 100}, dialect="openai_embeddings")
    assert names(planned(many, fleet, policy, 0.0)) == ["local"]
    ranked = query_of({"model": "auto", "query": "what", "documents": ["word " * 60] * 200}, dialect="rerank")
    assert names(planned(ranked, fleet, policy, 0.0)) == ["local"]
    one = query_of({"model": "auto", "input": ["a", "word " * 2000]}, dialect="openai_embeddings")
    refusal = planned(one, fleet, policy, 0.0).refusal
    assert refusal and refusal.code == "context_length_exceeded"


def test_without_a_target_nothing_is_read_for_its_score() -> None:
    """There is nothing to decide: neither a reading nor a mark."""
    query = query_of(chat())
    made = planned(query, fleet_of(), policy_of((), complexity=0), 0.0)
    assert (names(made), made.degraded, query.already_read) == (["local"], (), (None, None))


@pytest.mark.parametrize(
    ("body", "fleet", "policy", "reason"),
    [
        (chat(CODE, model="local"), {}, {"prefer": "claude"}, Reason.PINNED),
        (chat(CODE), {}, {"prefer": "claude", "rules": [Rule(when=When(), to=("gemini",))]}, Reason.DEFAULT),
        (chat(CODE), {"replicas_ready": 0}, {"rules": [Rule(when=When(), to=("gemini",))]}, Reason.RULE),
        (chat(CODE, max_tokens=9000), {"replicas_ready": 0}, {}, Reason.CONTEXT),
        (chat(CODE), {"replicas_ready": 0}, {"tasks": ("code",)}, Reason.ENGINE_DOWN),
        (chat(CODE), {}, {"tasks": ("code",), "context_tokens": 1, "complexity": 0}, Reason.TASK),
        (chat(CODE), {}, {"context_tokens": 1, "complexity": 0}, Reason.CONTEXT),
        (chat(CODE, hearth={"ttft_ms": 1}), {"predicted_ttft_s": 9.0}, {"complexity": 0}, Reason.COMPLEXITY),
        (chat(CODE, hearth={"ttft_ms": 1}), {"predicted_ttft_s": 9.0, "pressure": BUSY.pressure}, {}, Reason.TTFT),
        (chat(CODE), {"predicted_ttft_s": 9.0, "pressure": BUSY.pressure}, {}, Reason.QUEUE_DEPTH),
    ],
)
def test_the_lines_of_the_ladder_stand_in_this_order(
    body: dict[str, Any], fleet: dict[str, Any], policy: dict[str, Any], reason: Reason
) -> None:
    """Pin, prefer, rule, inability, engine down, task, context, complexity, the caller's hurry, load."""
    made = decide(body, fleet=fleet_of(CLAUDE, GEMINI, local=LocalState(LOCAL, **fleet)), **policy)
    assert made.reason is reason
    if "prefer" in policy and reason is Reason.DEFAULT:
        assert names(made)[0] == "claude" and "escalation.prefer" in made.words


def test_the_environment_goes_before_the_file() -> None:
    """HEARTH_MODEL before `prefer`."""
    made = decide(override="gemini", prefer="claude")
    assert names(made)[0] == "gemini" and "HEARTH_MODEL" in made.words
