"""Health in words: the same for a terminal and for a page."""

from pipelines.health.check import Health


def health_lines(found: Health) -> list[str]:
    """Alarms first, then how things stand, a sentence each."""
    lines = [f"ALARM {alarm.name}: {alarm.sentence}" for alarm in found.alarms] or ["all is well"]
    if found.manifest is None:
        lines.append(f"dataset: nothing was published at {found.dataset} yet")
    else:
        lines.append(
            f"dataset {found.dataset}, manifest {found.manifest[:8]}: {found.clips} clips of {found.sources} sources; "
            f"{found.failed} sources broken, {found.quarantined} set aside"
        )
    if found.champion is None:
        lines.append("champion: none yet")
    else:
        lines.append(f"champion: version {found.champion}, for {found.champion_days} days")
        lines.append(f"clips that it was not trained on: {found.unseen} of {found.clips}")
    lines += [
        f"drift of {each.score}: {each.distance:.3f}, chance reaches {each.threshold:.3f} (median {each.before:.3g} "
        f"to {each.after:.3g})"
        for each in found.drift
        if each.moved
    ]
    return lines
