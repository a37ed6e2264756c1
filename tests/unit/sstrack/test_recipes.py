"""Recipes are typed, bounded, named by their digest, and changed by dotted fields."""

import pytest

from sstrack.configs.recipe import as_dict, config_digest, from_dict
from sstrack.recipes import recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_survives_json_and_keeps_its_digest(name: str) -> None:
    built = recipe(name)
    assert built.name == name
    assert from_dict(as_dict(built)) == built
    assert config_digest(from_dict(as_dict(built))) == config_digest(built)


def test_an_override_is_read_as_the_fields_type_and_changes_the_digest() -> None:
    changed = recipe("tiny_cpu", {"optim.steps": "12", "objective.paste_share": "0.25", "net.init": "random"})
    assert (changed.optim.steps, changed.objective.paste_share, changed.net.init) == (12, 0.25, "random")
    assert config_digest(changed) != config_digest(recipe("tiny_cpu"))


@pytest.mark.parametrize(
    ("name", "overrides", "words"),
    [
        ("tiny_cup", {}, "did you mean tiny_cpu"),
        ("zzz", {}, "known: .*tiny_cpu"),
        ("tiny_cpu", {"optim.step": 3}, "unknown recipe field 'optim.step'.*steps"),
        ("tiny_cpu", {"optim": 3}, "is a section"),
        ("tiny_cpu", {"seed.x": 3}, "is a value"),
        ("tiny_cpu", {"optim.steps": "many"}, "not a int"),
        ("tiny_cpu", {"optim.steps": 1.5}, "not a int"),
        ("tiny_cpu", {"optim.steps": 0}, r"OptimConfig.steps = 0: must lie in 1"),
        ("tiny_cpu", {"optim.lr": -1}, "OptimConfig.lr = -1.0"),
        ("tiny_cpu", {"net.init": "magic"}, "must be one of random, mimetic"),
        ("tiny_cpu", {"net.template_size": 50}, "must be a multiple of patch"),
        ("tiny_cpu", {"tracking.memory": 3}, "exceeds net.max_templates"),
    ],
)
def test_wrong_names_and_values_say_what_is_wrong(name: str, overrides: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        recipe(name, overrides)


def test_a_recipe_of_another_version_is_refused() -> None:
    data = as_dict(recipe("tiny_cpu"))
    data["net"]["wings"] = 2
    with pytest.raises(ValueError, match="no recipe of this version"):
        from_dict(data)
