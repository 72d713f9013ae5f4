"""[models.NAME]: names that would mean two things, and shares of a GPU that do not add up."""

from __future__ import annotations

import pytest

from tests.runtime.settings.readings import TARGET, problem, problems, settings


def table(name: str, **more: object) -> str:
    lines = [f"{key} = {value!r}".replace("'", '"') for key, value in ({"model": "llama-3.2-3b"} | more).items()]
    return "\n".join([f'[models."{name}"]', *lines, ""])


def test_a_model_of_the_settings() -> None:
    """Left out: always loaded, on any GPU, with three tenths of its memory."""
    found = settings(table("small")).models["small"]
    assert (found.model, found.load, found.gpus, found.share, found.ttl) == ("llama-3.2-3b", "always", "auto", 0.3, 600)
    assert settings(table("small", gpus=[0, 1], load="on_demand", ttl=0)).models["small"].gpus == (0, 1)


@pytest.mark.parametrize("name", ["auto", "Local", "a b", "a/b", "-x", "x" * 41])
def test_names_that_no_model_may_have(name: str) -> None:
    """Those of Hearth's own, and what would not fit into an address or a path."""
    assert "a model's name is" in problem(table(name))


def test_a_name_of_a_target_is_refused() -> None:
    """Letter case makes no difference, for names are matched without it."""
    assert '"Cloud" is also the target cloud: give one of them another name' in problem(TARGET + table("Cloud"))


def test_a_name_of_an_alias_is_refused() -> None:
    """Also where the alias means just this model."""
    assert "also the alias small" in problem(table("small") + '[aliases]\nsmall = "local/small"\n')


@pytest.mark.parametrize(
    ("engine", "name"), [("", "smollm2-135m"), ('model = "/srv/Llama"\n', "llama"), ('model = "m"\n', "M")]
)
def test_the_name_of_the_engines_own_model_is_refused(engine: str, name: str) -> None:
    """`local/NAME` is that one already. A folder is known by its last part."""
    assert "the engine's own model" in problem(f"[engine]\n{engine}{table(name)}")


def test_two_names_that_differ_by_case_alone_are_refused() -> None:
    """One request could mean either."""
    assert '"Small" is also models.small' in problem(table("small") + table("Small"))


def test_one_model_under_two_names_is_allowed() -> None:
    """With other arguments, say."""
    assert problems(table("small") + table("other")) == []


def test_shares_of_one_gpu_add_up_to_one() -> None:
    """What is always there must fit at once; models that come on demand take turns."""
    two = table("a", gpus=[0], share=0.6) + table("b", gpus=[0, 1], share=0.4)
    assert problems(two) == []
    assert problems(two + table("c", gpus=[1], share=0.6)) == []
    assert "GPU 0 have shares of 1.1 together" in problem(two + table("c", gpus=[0], share=0.1))
    assert problems(two + table("c", gpus=[0], share=0.1, load="on_demand")) == []
    assert (
        problems(
            table("a", gpus=[0], share=0.1) * 1 + table("b", gpus=[0], share=0.2) + table("c", gpus=[0], share=0.7)
        )
        == []
    )


@pytest.mark.parametrize("gpus", [[], [0, 0], [-1], ["0"], 0])
def test_gpus_are_indices_each_once(gpus: object) -> None:
    """One message for all of them."""
    assert "a list of GPU indices, each once" in problem(table("small", gpus=gpus))


def test_adapters_of_the_settings() -> None:
    """By name, of the engine's model and of others; vLLM takes certain ranks alone."""
    found = settings(
        '[engine]\nadapters = { legal = "./legal" }\nmax_lora_rank = 32\n'
        + table("small")
        + 'adapters.tax = "/srv/tax"\n'
    )
    assert (found.engine.adapters, found.engine.max_loras, found.engine.max_lora_rank) == ({"legal": "./legal"}, 0, 32)
    assert found.models["small"].adapters == {"tax": "/srv/tax"}
    assert problem("[engine]\nmax_lora_rank = 24\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TARGET + '[engine.adapters]\nCloud = "./x"\n', '"Cloud" is also the target cloud'),
        ('[engine.adapters]\nsmall = "./x"\n' + table("small"), '"small" is also models.small'),
        (
            '[engine.adapters]\ntax = "./x"\n' + table("small") + 'adapters = { Tax = "./y" }\n',
            "the adapter engine.adapters.tax",
        ),
        ('[engine.adapters]\nsmollm2-135m = "./x"\n', "the engine's own model"),
        ('[engine.adapters]\n"a b" = "./x"\n', "an adapter's name is"),
        ('[engine.adapters]\nauto = "./x"\n', "an adapter's name is"),
        ('[engine.adapters]\nx = "./x"\n[aliases]\nx = "auto"\n', "also the alias x"),
    ],
)
def test_an_adapters_name_is_its_own(text: str, words: str) -> None:
    """A clash is a fault of the settings."""
    assert words in problem(text)


def test_sleep_is_refused_where_it_cannot_be() -> None:
    """On a CPU, and on servers of somebody else."""
    assert settings("[engine]\nsleep_after = 900\n").engine.sleep_after == 900
    assert "CUDA alone" in problem('[engine]\nsleep_after = 1\ndevice = "cpu"\n')
    assert "somebody else" in problem('[engine]\nsleep_after = 1\nurl = ["http://127.0.0.1:1/v1"]\n')
