"""How busy this machine is, under the names of MLflow's own system metrics."""

import threading
from contextlib import suppress
from typing import cast

import psutil
from mlflow.system_metrics.metrics.base_metrics_monitor import BaseMetricsMonitor
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor


class MachineMetrics:
    """Samples processor, memory, and NVIDIA GPUs where there are any; MLflow's own thread for this ends for good when
    its server fails once, so only its measuring is used."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._monitors: list[BaseMetricsMonitor] = [CPUMonitor()]
        with suppress(ImportError, RuntimeError):  # without a GPU or its driver there is nothing to measure
            self._monitors.append(GPUMonitor())
        psutil.cpu_percent()  # its first answer is 0, as there is nothing to compare with

    def sample(self) -> None:
        """Measure now."""
        with self._lock:
            for monitor in self._monitors:
                monitor.collect_metrics()

    def take(self) -> dict[str, float]:
        """Means of the samples since the last call, `system/…`; empty where there were none."""
        with self._lock:
            means = {
                f"system/{name}": float(value)
                for monitor in self._monitors
                for name, value in cast(dict[str, float], monitor.aggregate_metrics()).items()
            }
            for monitor in self._monitors:
                monitor.clear_metrics()
        return means
