"""May a trained model become the champion? Numbers in, a verdict with its reasons in sentences out."""

from sstrack.gates.compare import Comparison, compare
from sstrack.gates.config import GateConfig
from sstrack.gates.judge import Measured, judge
from sstrack.gates.spending import level_of_trial
from sstrack.gates.verdict import Check, Verdict

__all__ = ["Check", "Comparison", "GateConfig", "Measured", "Verdict", "compare", "judge", "level_of_trial"]
