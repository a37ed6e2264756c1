"""Which code, packages and Python a run was made with, as tags of its MLflow run."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path

import sstrack

PACKAGES = ("sstrack", "torch", "timm", "ray", "mlflow", "numpy")
_GIT_SECONDS = 10


def origin_tags(seed: int) -> dict[str, str]:
    """Seed, Python, versions of what decides numbers, and the commit where this code is a working tree of git."""
    tags = {"sstrack.seed": str(seed), "sstrack.python": platform.python_version()}
    tags |= {f"sstrack.version.{name}": importlib.metadata.version(name) for name in PACKAGES}
    return tags | git_tags(Path(sstrack.__path__[0]))


def git_tags(package: Path) -> dict[str, str]:
    """Commit and whether tracked files differ from it; empty where `package` is not itself under git: it may be
    installed somewhere below a repository that is another project."""
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return {}
    commit, status = _git(package, "rev-parse", "HEAD"), _git(package, "status", "--porcelain", "-uno", ":/")
    if commit is None or status is None:
        return {}
    # The name under which MLflow's pages show a commit.
    return {"mlflow.source.git.commit": commit, "sstrack.git_dirty": str(bool(status)).lower()}


def _git(folder: Path, *words: str) -> str | None:
    """What git says, None where there is no git, no repository, or no answer in time."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=_GIT_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
