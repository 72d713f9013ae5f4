"""`hearth deploy`: writes the files, prints the commands that use them, starts nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from local_models.facts.catalogue import catalogue, known_as
from local_models.replica.command import gpus_per_replica
from runtime.cli.client import settings_from
from runtime.cli.deploy import kubernetes as manifest
from runtime.cli.deploy import ray as serve
from runtime.cli.deploy.yaml_text import document
from runtime.cli.exits import CommandError, Exit
from runtime.cli.launch import HELP
from runtime.cli.settings_file import ConfigOption
from runtime.settings import Settings
from runtime.settings.accounts import secrets
from runtime.settings.environment import API_KEY, environment
from runtime.settings.read import find

app = typer.Typer(
    name="deploy",
    no_args_is_help=True,
    add_completion=False,
    context_settings=HELP,
    help="Write files for an existing Ray or Kubernetes cluster. Nothing is started.\n\n"
    "\b\nExamples:\n  hearth deploy ray --replicas 2 --max 6 -o serve.yaml\n  hearth deploy kubernetes -o manifests",
)

Force = Annotated[bool, typer.Option("--force", help="Replace files that are there.")]
Json = Annotated[bool, typer.Option("--json", help="For programs: the files and the commands, as JSON.")]


@app.command()
def ray(
    *,
    replicas: Annotated[int, typer.Option(min=1, help="Replicas at first.")] = 2,
    most: Annotated[int | None, typer.Option("--max", min=1, help="Most replicas; default: as at first.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file.")] = Path("serve.yaml"),
    force: Force = False,
    as_json: Json = False,
    config: ConfigOption = None,
) -> None:
    """Write the Ray Serve application of the engine's model, and print the three commands that put it on a cluster.

    \b
    Examples:
      hearth deploy ray
      hearth deploy ray --replicas 2 --max 6 -o serve.yaml
    """
    settings = settings_from(config, environment())
    if most is not None and most < replicas:
        raise CommandError(f"--max {most} is below --replicas {replicas}", Exit.USAGE)
    wish = ray_wish(settings, replicas, most or replicas)
    try:
        text = document(serve.application(wish), "Ray Serve LLM, as Ray 2.60 reads it. Written by `hearth deploy ray`.")
    except ValueError as wrong:
        raise CommandError(str(wrong), Exit.SETTINGS) from wrong
    _write({output: text}, force=force)
    after = {
        "engine": serve.attached(wish),
        "autoscale": {
            "ray": "http://HEAD:8265",
            "token": "env:RAY_AUTH_TOKEN",
            "min": replicas,
            "max": wish.most,
            "mode": "advise",
        },
    }
    others = [f"[models.{name}] is not in it: an application has one model" for name in settings.models]
    _tell([output], serve.commands(str(output)), after, others, as_json=as_json)


@app.command()
def kubernetes(
    *,
    replicas: Annotated[int, typer.Option(min=1, help="Pods.")] = 3,
    image: Annotated[str, typer.Option(help="The container image.")] = "hearth-runtime:cuda",
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder.")] = Path("manifests"),
    force: Force = False,
    as_json: Json = False,
    config: ConfigOption = None,
) -> None:
    """Write plain manifests, and print the commands that apply them. Keys stay references: a Secret holds them.

    \b
    Examples:
      hearth deploy kubernetes -o manifests
      hearth deploy kubernetes --image registry/hearth-runtime:core --config hearth.toml
    """
    env = environment()
    settings = settings_from(config, env)
    wish = kubernetes_wish(settings, _text_of(config, env), image, replicas)
    head = "Written by `hearth deploy kubernetes`."
    files = {output / name: document(each, head) for name, each in manifest.manifests(wish).items()}
    _write(files, force=force)
    _tell(list(files), manifest.commands(str(output), wish.variables), {}, _lacking(settings), as_json=as_json)


def ray_wish(settings: Settings, replicas: int, most: int) -> serve.RayWish:
    engine, entry = settings.engine, catalogue().find(settings.engine.model)
    if entry is not None and entry.hub is None:
        words = (
            f"{entry.name} comes as a Python package that Ray cannot load: set [engine] model to a hub id or a folder"
        )
        raise CommandError(words, Exit.SETTINGS)
    args = (*(entry.args if entry is not None else ()), *engine.args)
    longest = engine.max_model_len if isinstance(engine.max_model_len, int) else None
    gpus = 0 if engine.device == "cpu" else gpus_per_replica(args)
    source = entry.hub if entry is not None and entry.hub else engine.model
    source = str(Path(source).expanduser()) if source.startswith("~") else source
    name = known_as(engine.model)
    return serve.RayWish(name, source, args, gpus, longest, engine.gpu_memory_utilization, replicas, most)


def kubernetes_wish(settings: Settings, text: str, image: str, replicas: int) -> manifest.KubernetesWish:
    """text: of the settings file, which becomes a ConfigMap: it holds references, never keys."""
    engine = settings.engine
    owned = not engine.url
    # Where the settings name no key, clients show this one: a pod listens to everybody.
    keys = tuple(str(key) for key in settings.server.keys) or (f"env:{API_KEY}",)
    every = (*keys, *[str(key) for _, key in secrets(settings)])
    variables = tuple(key.removeprefix("env:") for key in every if key.startswith("env:"))
    gpus = 0 if engine.device == "cpu" else gpus_per_replica(engine.args) * engine.replicas
    ends_s = settings.server.drain + (engine.drain if owned else 0.0)
    return manifest.KubernetesWish(image, replicas, text, owned, gpus, ends_s, variables, keys)


def _text_of(config: Path | None, env: Mapping[str, str]) -> str:
    file = config or find(env, Path.cwd())
    return file.read_text(encoding="utf-8") if file is not None else ""


def _lacking(settings: Settings) -> list[str]:
    """Sentences on what the manifests do not bring along."""
    found = [
        f"{str(key).removeprefix('file:')} ({'.'.join(map(str, place))}) is no file of a pod: mount it there, or use env:"
        for place, key in secrets(settings)
        if str(key).startswith("file:")
    ]
    engine = settings.engine
    if not engine.url and engine.model.startswith(("/", "./", "~")):
        found.append(f"{engine.model} ([engine] model) is no folder of a pod: mount it there, or name a hub id")
    if settings.server.socket:
        found.append(f"{settings.server.socket} ([server] socket): a pod is asked at its port alone, take it out")
    if settings.models and not engine.url:
        found.append("a pod asks for the GPUs of [engine] alone: add those that the tables of [models] need")
    return found


def _write(files: Mapping[Path, str], *, force: bool) -> None:
    there = [file for file in files if file.exists()]
    if there and not force:
        raise CommandError(f"{there[0]} is there already: name another place with -o, or give --force", Exit.USAGE)
    try:
        for file, text in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise CommandError(f"{fault.filename} cannot be written: {fault.strerror}") from fault


def _tell(
    files: list[Path], commands: tuple[str, ...], settings: Mapping[str, Any], notes: list[str], *, as_json: bool
) -> None:
    if as_json:
        named = [str(file) for file in files]
        typer.echo(json.dumps({"files": named, "commands": commands, "settings": settings, "notes": notes}))
        return
    typer.echo(f"written: {', '.join(str(file) for file in files)}\n")
    for note in notes:
        typer.echo(f"    {note}")
    typer.echo("\nTo put it in force:\n" if notes else "To put it in force:\n")
    for command in commands:
        typer.echo(f"    {command}")
    if settings:
        typer.echo("\nThen, in Hearth's own settings:\n")
        for section, values in settings.items():
            typer.echo(f"    [{section}]")
            for key, value in values.items():
                typer.echo(f"    {key} = {json.dumps(value)}")
