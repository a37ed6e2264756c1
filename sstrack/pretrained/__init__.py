"""The model that ships with this package: trained without any label by the recipe `small`; its README is its card."""

from pathlib import Path

PRETRAINED = "pretrained"
"""The name it goes by wherever a model or initial weights are asked for."""


def package_folder() -> Path:
    """The folder of the model package: `weights.safetensors` in half precision, `config.json`, `README.md`."""
    return Path(__file__).parent
