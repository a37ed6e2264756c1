"""A training's loss over its steps, as a picture for its model card."""

import io

from mlflow import MlflowClient

LOSS = "loss"


def draw_loss(client: MlflowClient, run_id: str) -> bytes | None:
    """A PNG of the run's loss; None where fewer than two steps were recorded."""
    rows = sorted((metric.step, metric.value) for metric in client.get_metric_history(run_id, LOSS))
    if len(rows) < 2:
        return None
    import matplotlib

    matplotlib.use("agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 3.0), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([step for step, _ in rows], [value for _, value in rows], linewidth=1.4, color="#0072b2")
    axes.set_xlabel("step")
    axes.set_ylabel(LOSS)
    axes.grid(color="#d5d8df", linewidth=0.7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.margins(x=0)
    figure.suptitle("Training", fontsize=12)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=160)
    return picture.getvalue()
