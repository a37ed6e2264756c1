"""The objective's configuration. Knows no torch; the names it may hold are in `registry.py`."""

from dataclasses import dataclass
from typing import Any, Literal

from sstrack.bounds import check
from sstrack.configs.names import parse_changes, require_objective


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """What a network is trained to do: which objective, what is pasted, how views are made, how terms are weighed.

    Where a default is not the published value, the field says so; `published()` has the published one of each.
    """

    name: str = "decoupled"
    """One of `registry.OBJECTIVES`."""
    views: int = 2
    """Augmented views of the first frame that backward tracking localises the target in."""
    giou_weight: float = 2.0
    l1_weight: float = 5.0
    focal_weight: float = 1.0
    contrastive_weight: float = 1.0
    """Published as a contribution of the method, and 0 in the published configurations since after their release."""
    temperature: float = 0.5
    box_at: Literal["predicted", "target", "near"] = "target"
    """Cell whose offset and size the box terms supervise: the score map's maximum as published; the target's cell,
    which teaches a network from scratch faster, as the maximum is noise at first; or the maximum where it is the
    target's cell or a neighbour of it, where a tracker would read its box, and the target's cell elsewhere."""
    contrast_mask: Literal["box", "published"] = "box"
    """Cells that make up an instance's feature: those the predicted box covers, at least its centre's; or as the
    published code has it, which reads the centre as a corner, and leaves out samples whose mask is empty."""
    negatives: Literal["group", "all_groups"] = "group"
    """Whose targets the contrastive term pushes away: those of the sample's group, or those of all groups of the
    global batch too, whatever rank holds them, which costs a further pass without gradient."""
    sample_weight: Literal["equal", "score"] = "equal"
    """Weight of a sample in the localisation terms: equal as published, or the mean score with which forward tracking
    found its memory templates."""
    score_threshold: float = 0.0
    """Samples whose memory templates were found with a lower mean score do not count (published: no threshold)."""
    memory_first: bool = False
    """Whether the first frame's template joins the memory in backward tracking. As published it does not: the target
    would then be found by its own picture."""
    carry_query: bool = True
    """Whether the query travels from frame to frame and on to backward tracking, in objectives that have such chains;
    the tracker does as the training did. It is fresh for every sample; the published code never resets it between
    batches and videos."""
    paste_share: float = 0.5
    """Share of samples whose target is pasted in from another clip of the group (published: half); while memory
    templates are cut at known boxes, that is of pasted targets, the share is higher."""
    paste_distractors: int = 2
    """Further targets of other clips pasted into the same frames, so that being pasted does not mark the target
    (published: 0)."""
    paste_scale: float = 0.25
    """Largest relative change of a pasted target's sides between frames."""
    paste_size: Literal["relative", "native"] = "relative"
    """Size of a pasted target: a share of its host frame, or as the donor shows it, as published."""
    paste_shape: Literal["mixed", "rectangle"] = "mixed"
    """Outline of a pasted target: half of them ellipses, which leave the donor's background behind, or rectangles
    only, as published."""
    paste_changes: str = "brightness"
    """Changes of a pasted target, drawn anew in each frame: `name` or `name:chance`, comma between them."""
    known_templates_until: float = 1.0
    """Curriculum: over the first half of this share of training all targets are pasted and memory templates are cut at
    their known boxes; over the second half the chance of that falls to 0, and templates are cut at predictions, as
    published. 0 gives the published method, which needs pretrained weights: from scratch the first predictions are
    noise, and templates of noise teach a network to ignore templates."""
    centre_jitter: float = 3.0
    """A view's centre moves by up to half of this many target sides (published: 3 for factor 4, 4.5 for factor 5)."""
    scale_jitter: float = 0.25
    """Standard deviation of the logarithm of a view's side (published: 0.5 for factor 4, 1.0 for factor 5)."""
    view_changes: str = "flip,brightness,grayscale"
    """Changes of templates and views, drawn for each on its own; the default is the published set."""
    eliminate_from: float = 2 / 15
    """Share of training from which candidate elimination begins, where the network has it (published: epoch 20 of
    150); before, all search tokens are kept."""
    eliminate_until: float = 2 / 3
    """Share of training from which the network's whole elimination is in force (published: epoch 100 of 150)."""
    random_seeds: float = 0.0
    """`decoupled`: share of samples whose seed box gives way to a random textured box (published: none)."""
    view_distractors: int = 0
    """`decoupled`: targets of other clips that may lie beside the target inside each view (published: none)."""
    memory_agrees: float = 0.0
    """`decoupled`: overlap (IoU) with the known box that a search back in the first frame has to reach from where a
    later frame's target was found; below, the first frame's template stands in for that frame's (published: 0, never
    asked; it costs a further search of each later frame)."""
    track_agrees: float = 0.0
    """`decoupled`: overlap (IoU) with a later frame's box, of a pseudo-track that ingest made (or a label), that the
    target found there has to reach; below, the first frame's template stands in for that frame's. Frames without a box
    are not asked about (published: 0, boxes are for metrics alone)."""
    forward_factor: float = 0.0
    """`decoupled`: side of the region that forward tracking searches, over the root of the target's area; 0: the whole
    frame, as published, in which small networks find nothing. Around the box before, or near a pasted target."""
    then: str = ""
    """Another objective that takes over at `then_from`, in the same run; empty: none."""
    then_from: float = 0.6
    """Share of training at which `then` begins; each of the two has its own progress from 0 to 1."""
    random_targets: float = 0.5
    """`matching`: share of targets that are random textured boxes in place of seed boxes, so that standing out is no
    cue."""
    near_distractors: int = 3
    """`matching`: targets of other clips that may lie beside the target inside the search region."""
    cover_share: float = 0.15
    """`matching`: share of samples in which one more of them covers a part of the target."""
    templates: int = 2
    """`matching`: most templates of a sample; the first at its target, others a little off, as in a memory."""
    template_changes: str = "colour:0.5,grayscale:0.05,motion_blur:0.1,rotate:0.15"
    """`matching`: changes of templates; those of search regions are `view_changes`."""
    tracked_share: float = 0.25
    """`matching`: share of samples whose templates are cut from other frames where the network finds the target."""
    tracked_from: float = 0.4
    """`matching`: share of training from which there are such samples; before, a network cannot track yet."""
    agree_above: float = 0.4
    """`matching`: overlap (IoU) of found and known target from which a tracked sample counts."""
    similarity_drop: float = 0.1
    """`cycle`: share of a group's cycles, those whose found target looks least like the first frame's, that do not
    count."""
    unlabelled: Literal["skip", "decoupled"] = "skip"
    """`supervised`: samples without labels teach nothing, or are trained by the decoupled objective."""
    template_use_every: int = 40
    """Steps between measurements of whether the network uses its template; 0 never measures."""

    def carried_frames(self, n_search: int) -> int:
        """How often in a row a training sample of `n_search` later frames hands the query on."""
        chains = {
            "decoupled": n_search + self.views - 1,
            "cycle": n_search,
            "supervised": n_search - 1,
            "tads": n_search - 1,
        }
        return chains.get(self.then or self.name, 0) if self.carry_query else 0

    def __post_init__(self) -> None:
        require_objective(self.name)
        if self.then:
            require_objective(self.then)
        check(0.0 < self.then_from < 1.0, self, "then_from", "must lie between 0 and 1")
        check(self.negatives == "group" or not self.then, self, "then", "has no negatives of other groups")
        check(
            self.forward_factor == 0 or 1.0 < self.forward_factor <= 20.0,
            self,
            "forward_factor",
            "must be 0, or above 1 and at most 20",
        )
        parse_changes(self.view_changes)
        parse_changes(self.paste_changes)
        parse_changes(self.template_changes)
        shares = ("paste_share", "known_templates_until", "paste_scale", "score_threshold", "random_targets")
        shares += (
            "random_seeds",
            "memory_agrees",
            "track_agrees",
            "cover_share",
            "tracked_share",
            "tracked_from",
            "agree_above",
        )
        for name in shares:
            check(0.0 <= getattr(self, name) <= 1.0, self, name, "must lie in 0..1")
        for name in ("giou_weight", "l1_weight", "focal_weight", "contrastive_weight", "centre_jitter"):
            check(0.0 <= getattr(self, name) <= 100.0, self, name, "must lie in 0..100")
        check(0.0 <= self.scale_jitter <= 2.0, self, "scale_jitter", "must lie in 0..2")
        check(
            self.negatives == "group" or (self.name == "decoupled" and self.views > 1),
            self,
            "negatives",
            "only the decoupled objective with two or more views has negatives of other groups",
        )
        check(self.temperature > 0, self, "temperature", "must be above 0")
        check(1 <= self.views <= 8, self, "views", "must lie in 1..8")
        for name in ("paste_distractors", "near_distractors", "view_distractors"):
            check(0 <= getattr(self, name) <= 8, self, name, "must lie in 0..8")
        check(1 <= self.templates <= 16, self, "templates", "must lie in 1..16")
        check(0.0 <= self.eliminate_from < 1.0, self, "eliminate_from", "must lie in 0..1, below 1")
        check(
            self.eliminate_from < self.eliminate_until <= 1.0,
            self,
            "eliminate_until",
            f"must lie above eliminate_from ({self.eliminate_from:.3g}) and at most at 1",
        )
        check(0.0 <= self.similarity_drop < 1.0, self, "similarity_drop", "must be at least 0 and below 1")
        check(self.template_use_every >= 0, self, "template_use_every", "must be at least 0")


def published(**changes: Any) -> ObjectiveConfig:
    """The decoupled objective as its authors' code configures it for factor-4 search regions, known errors put right.

    For networks with pretrained weights. `changes` replaces fields.
    """
    values: dict[str, Any] = {
        "box_at": "predicted",
        "paste_distractors": 0,
        "paste_size": "native",
        "paste_shape": "rectangle",
        "paste_changes": "shear:0.5,motion_blur:0.18,occlusion:0.1,flip:0.3",
        "known_templates_until": 0.0,
        "scale_jitter": 0.5,
    }
    return ObjectiveConfig(**{**values, **changes})
