"""Clips that show what another one shows: which of them stays, in a dataset, against its parent, against benchmarks.

A pure function of the clips: neither the order of sources nor that of the work changes what stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from pipelines.ingest.curate.overlap import Benchmarks
from pipelines.ingest.pack import Pack
from pipelines.ingest.reject import Reject
from sstrack.clips.clip import Clip
from sstrack.clips.hashing import Hashes, hashes_of
from sstrack.clips.matching import MatchRule, candidates, same

_NOTHING = Benchmarks((), ())


@dataclass(frozen=True)
class Repeat:
    """Why one clip goes: `reason` identical, near_duplicate or overlaps_benchmark, and what it repeats."""

    reason: str
    duplicate_of: str
    detail: str


def without_repeats(
    packs: Sequence[Pack], present: pa.Table, rule: MatchRule | None, benchmarks: Benchmarks = _NOTHING
) -> list[Pack]:
    """The packs without clips that repeat a better one, one of `present` (a clips table), or a benchmark's sequence;
    the latter alone where there is no `rule`.

    Rows of `present` from the packs' own sources do not count, as those will be replaced. Labelled clips repeat no
    other clip: two targets of one film show the same pictures. What goes becomes a reject.
    """
    clips = {
        clip.clip_id: (pack, clip, sum(size for _, size in places)) for pack in packs for clip, places in pack.clips
    }
    gone = _leaks({clip_id: _hashes(clip) for clip_id, (_, clip, _) in clips.items()}, benchmarks)
    if rule is not None:
        replaced = {pack.source.source_id for pack in packs}
        rows = present.select(["clip_id", "source_id", "phash"]).to_pylist()
        ranked = {row["clip_id"]: hashes_of(row["phash"]) for row in rows if row["source_id"] not in replaced}
        fixed = len(ranked)
        fresh = [entry for clip_id, entry in clips.items() if clip_id not in gone and not entry[1].labelled]
        for _, clip, _ in sorted(fresh, key=lambda entry: _rank(*entry)):
            ranked[clip.clip_id] = _hashes(clip)
        gone |= repeats(ranked, fixed, rule)
    return [_without(pack, gone) for pack in packs]


def repeats(ranked: Mapping[str, Hashes], fixed: int, rule: MatchRule) -> dict[str, Repeat]:
    """Which of the clips, best first, repeat one before them that stays. The first `fixed` all stay."""
    names, hashes = list(ranked), list(ranked.values())
    better: dict[int, list[int]] = {}
    for first, other in candidates(hashes, rule.mirror):
        if other >= fixed:
            better.setdefault(other, []).append(first)
    gone: dict[str, Repeat] = {}
    for other in sorted(better):
        for first in better[other]:
            if names[first] in gone:
                continue
            bits = same(hashes[first], hashes[other], rule)
            if bits is not None:
                exact = bits == 0 and len(hashes[first]) == len(hashes[other])
                reason = "identical" if exact else "near_duplicate"
                gone[names[other]] = Repeat(reason, names[first], f"{bits:.1f} of 256 bits differ from {names[first]}")
                break
    return gone


def _leaks(clips: Mapping[str, Hashes], benchmarks: Benchmarks) -> dict[str, Repeat]:
    found: dict[str, Repeat] = {}
    for clip_id, hashes in clips.items():
        if sequence := benchmarks.shown_in(hashes):
            found[clip_id] = Repeat("overlaps_benchmark", sequence, f"shows what the sequence {sequence} shows")
    return found


def _rank(pack: Pack, clip: Clip, size: int) -> tuple[float | str, ...]:
    """Sort key, best first: size of the source's picture, sharpness, bytes a frame, then whatever decides."""
    return (
        -pack.source.width * pack.source.height,
        -clip.scores.get("sharpness", 0.0),
        -size / clip.frames,
        clip.clip_id,
    )


def _hashes(clip: Clip) -> Hashes:
    return hashes_of(bytes.fromhex(clip.phash))


def _without(pack: Pack, gone: Mapping[str, Repeat]) -> Pack:
    source = pack.source
    rejects = tuple(
        Reject(
            source.source_id,
            source.source_uri,
            "dedup",
            repeat.reason,
            repeat.detail,
            source.config,
            clip.start_s,
            clip.end_s,
            clip.clip_id,
            repeat.duplicate_of,
        )
        for clip, _ in pack.clips
        if (repeat := gone.get(clip.clip_id))
    )
    kept = tuple(entry for entry in pack.clips if entry[0].clip_id not in gone)
    return replace(pack, clips=kept, rejects=(*pack.rejects, *rejects), source=replace(source, clips=len(kept)))
