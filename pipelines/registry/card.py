"""The model card of a version, as Markdown, made from data: trained on what, how, how good it is, how to use it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pipelines.errors import SSTrackError
from pipelines.registry.model_scores import Scored
from sstrack.configs.recipe import Recipe, without_paths
from sstrack.gates import Verdict

_MAX = 5000
"""Characters of a description that MLflow's databases hold."""
_WORST = 5


@dataclass(frozen=True)
class DataFacts:
    """One dataset as it went into the training; counts are None where it cannot be read from here."""

    uri: str
    manifest: str
    weight: float
    sources: int | None = None
    clips: int | None = None
    seconds_in: float = 0.0
    seconds_kept: float = 0.0
    rejects: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Kept:
    """Files of an evaluation's report that lie among the run's artifacts already, as paths there."""

    page: str | None = None
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True)
class CardFacts:
    """All that a card says."""

    name: str
    version: str
    run_key: str
    run_id: str
    package_digest: str
    recipe: Recipe
    steps: int | None
    loss: tuple[float, float] | None
    """On the first and the last row of metrics."""
    data: Sequence[DataFacts]
    commit: str | None
    scored: Sequence[Scored]
    others: Mapping[str, Mapping[str, float]]
    """By benchmark: mean AO of untrained start, static box, champion."""
    published: Mapping[str, Mapping[str, float]]
    """By benchmark: what others have published, by tracker, in the metric that ranks."""
    verdict: Verdict
    experiment: str
    """Id of the run's experiment in MLflow."""
    kept: Kept


def data_facts(uri: str, manifest: str, weight: float) -> DataFacts:
    """Read the dataset's manifest; without counts where it is not to be had from here."""
    from pipelines.dataset.manifest import load_manifest

    try:
        totals = load_manifest(uri, manifest).totals
    except SSTrackError:
        return DataFacts(uri, manifest, weight)
    return DataFacts(
        uri,
        manifest,
        weight,
        totals.sources,
        totals.clips,
        totals.seconds_in,
        totals.seconds_kept,
        dict(totals.rejects),
    )


def data_line(data: Sequence[DataFacts]) -> str:
    """`12 min in 96 clips`, for lists."""
    if any(each.clips is None for each in data) or not data:
        return "unknown"
    seconds = sum(each.seconds_kept for each in data)
    return f"{_long(seconds)} in {sum(each.clips or 0 for each in data)} clips"


Link = Callable[[str], str]
"""From the path of an artifact to what a link to it says."""


def card(facts: CardFacts, pictures: Sequence[str] = (), *, in_mlflow: bool = False) -> str:
    """Markdown of at most 5,000 characters.

    Args:
        facts: what it says.
        pictures: paths among the run's artifacts, each named for what it shows.
        in_mlflow: links are for MLflow's pages; else for a file that lies among the artifacts.
    """

    def to_picture(path: str) -> str:
        return f"get-artifact?path={quote(path, safe='')}&run_uuid={facts.run_id}" if in_mlflow else quote(path)

    def to_page(path: str) -> str:
        page = f"#/experiments/{facts.experiment}/runs/{facts.run_id}/artifacts/{quote(path)}"
        return page if in_mlflow else quote(path)

    parts = [
        _head(facts),
        "## Trained on\n\n" + ("\n".join(_data(each) for each in facts.data) or "unknown"),
        _training(facts),
        _results(facts),
        _pictures(facts.kept.page, pictures, to_picture, to_page),
        _use(facts),
        _limits(),
    ]
    text = "\n\n".join(part for part in parts if part)
    return text if len(text) <= _MAX else text[: _MAX - 1] + "…"


def _head(facts: CardFacts) -> str:
    return (
        f"# {facts.name}, version {facts.version}\n\n"
        "A visual object tracker: given a video and a box on its first frame, it answers a box and a score per frame. "
        f"Learnt from unlabeled video alone.\n\n"
        f"Run key `{facts.run_key}`, package `{facts.package_digest}`"
        + (f", code `{facts.commit}`." if facts.commit else ".")
    )


def _data(data: DataFacts) -> str:
    where = f"- manifest `{data.manifest}`" + (f" (weight {data.weight:g})" if data.weight != 1 else "")
    if data.clips is None:
        return f"{where}: cannot be read from where this was written"
    dropped = ", ".join(f"{reason} {count}" for reason, count in sorted((data.rejects or {}).items())) or "nothing"
    return (
        f"{where}: {data.sources} videos of {_long(data.seconds_in)} became {data.clips} clips of "
        f"{_long(data.seconds_kept)}; dropped: {dropped}"
    )


def _long(seconds: float) -> str:
    """`1.5 h`, `12 min`, `52 s`."""
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 100 else f"{seconds:.0f} s"


def _training(facts: CardFacts) -> str:
    recipe = without_paths(facts.recipe)
    weights = recipe.net.weights or "none: from scratch"
    steps = f"{facts.steps} of {recipe.optim.steps} steps" if facts.steps else f"{recipe.optim.steps} steps"
    loss = f", loss {facts.loss[0]:.2f} to {facts.loss[1]:.2f}" if facts.loss else ""
    return (
        f"## How\n\nRecipe `{recipe.name}`, objective `{recipe.objective.name}`, {steps}{loss}; seed {recipe.seed}; "
        f"initial weights: {weights}. "
        f"Search region {recipe.net.search_size} pixels, template {recipe.net.template_size}. The run's parameters "
        "hold the whole recipe."
    )


def _results(facts: CardFacts) -> str:
    lines = ["## Results", ""]
    for each in facts.scored:
        numbers = ", ".join(f"{name} {value:.2f}" for name, value in each.metrics.items())
        others = ", ".join(f"{name} {value:.1f}" for name, value in facts.others.get(each.benchmark, {}).items())
        known = ", ".join(f"{name} {value:g}" for name, value in facts.published.get(each.benchmark, {}).items())
        worst = sorted(each.per_sequence.items(), key=lambda row: row[1])[:_WORST]
        lines += [
            f"**{each.benchmark}, rule {each.rule}, {len(each.per_sequence)} sequences: {numbers}**"
            + (f" ({others})" if others else ""),
            "",
            *([f"Published by others, on the whole set by their own rule: {known}.", ""] if known else []),
            f"Worst sequences: {', '.join(f'{name} {value:.1f}' for name, value in worst)}.",
            "",
        ]
    if facts.verdict.comparisons:
        lines += ["| against | difference | 90 % interval | p |", "|---|---|---|---|"]
        lines += [
            f"| {each.against} | {each.difference:+.1f} | {each.low:+.1f} to {each.high:+.1f} | {each.p:.2g} |"
            for each in facts.verdict.comparisons
        ]
        lines.append("")
    word = "let it pass" if facts.verdict.passed else "refused it"
    lines += [f"The gate {word} (challenger {facts.verdict.trial}):", ""]
    return "\n".join([*lines, *(f"- {reason}" for reason in facts.verdict.reasons)])


def _pictures(page: str | None, pictures: Sequence[str], to_picture: Link, to_page: Link) -> str:
    """Each under a line that says what it is; then where the whole report is."""
    lines = [f"{_shows(path)}\n\n![{_shows(path)}]({to_picture(path)})" for path in pictures]
    if page is not None:
        lines.append(f"[The whole report]({to_page(page)}): curves, every sequence, the most changed ones.")
    return "\n\n".join(["## Pictures", *lines]) if lines else ""


def _shows(path: str) -> str:
    stem = path.rpartition("/")[2].rpartition(".")[0]
    place, _, kind = stem.rpartition("-")
    if kind == "success":
        return f"Success on {place}"
    return f"Worst sequences on {place}, the truth in white" if kind == "worst" else "Loss over the training's steps"


def _use(facts: CardFacts) -> str:
    model = f"models:/{facts.name}/{facts.version}"
    return (
        "## How to load and serve it\n\n```\n"
        f"sstrack track VIDEO --box x,y,w,h --model {model}\n"
        f"sstrack serve {model}\n"
        f"mlflow models serve -m {model} --env-manager local\n"
        f'mlflow.pyfunc.load_model("{model}").predict([{{"source": "clip.mp4", "box": [120, 80, 64, 48]}}])\n'
        "```\n\n`load_model` runs code of the package, so use it with registries that you trust; `sstrack track` reads "
        "weights and JSON only."
    )


def _limits() -> str:
    return (
        "## Limits\n\nOne target at a time, boxes without rotation. Scores hold for the benchmarks above and say "
        "nothing about other footage. Whether the videos may be used for training, and what follows for the weights, "
        "is for whoever collected them to say: ingest keeps sources, not licences."
    )


def run_note(facts: CardFacts) -> str:
    """A few lines for the run's page."""
    numbers = "; ".join(each.headline for each in facts.scored)
    word = "passed" if facts.verdict.passed else "was refused by"
    return (
        f"Training `{facts.run_key}`; became version {facts.version} of `{facts.name}`, which {word} the gate. "
        f"{numbers}. `card.md`, `evaluation/`, `decisions/` and `reports/` are among the artifacts."
    )


def others_of(untrained: Mapping[str, float], static: Mapping[str, float], champion: Mapping[str, float] | None) -> Any:
    """Means for `CardFacts.others`."""
    named = {"untrained start": untrained, "static box": static, "champion": champion}
    return {name: sum(each.values()) / len(each) for name, each in named.items() if each}
