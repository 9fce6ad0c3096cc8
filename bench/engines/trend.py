"""What a process holds over time: memory, open files, threads; and whether it grows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

from bench.engines.figures import median, slope

# What may be there without being a leak: buffers that reach their size late.
SLACK = {"memory (MB)": 32.0, "open files": 4.0, "threads": 3.0}
_WARM_UP = 0.25  # of the time


@dataclass
class Trend:
    """Samples of the parent, and of the child that runs the model where there is one.

    Args:
        child: returns the child's process id, which changes when it is started anew.
        every: seconds between samples.
    """

    child: Callable[[], int | None]
    every: float = 2.0
    samples: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        begun = time.monotonic()
        lives: dict[int, float] = {}
        while not self._stop.wait(self.every):
            now = time.monotonic()
            self._note("parent", psutil.Process(), now - begun)
            pid = self.child()
            if pid is None:
                continue
            # A child's age, so that what all of them held at the same age is compared.
            try:
                self._note("child", psutil.Process(pid), now - lives.setdefault(pid, now))
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue

    def _note(self, who: str, process: psutil.Process, when: float) -> None:
        figures = {
            # Without pages of the mapped model file, which come and go.
            "memory (MB)": process.memory_full_info().uss / 1e6,
            "open files": float(process.num_fds()),
            "threads": float(process.num_threads()),
        }
        for what, value in figures.items():
            self.samples.setdefault(f"{who}: {what}", []).append((when, value))

    def growth(self, name: str) -> tuple[float, float, float]:
        """Return a figure's median and growth after the warm-up, and the seconds of that."""
        points = settled(self.samples[name])
        seconds = points[-1][0] - points[0][0] if points else 0.0
        return median([value for _, value in points]), slope(points) * seconds, seconds

    def leaks(self, name: str) -> bool:
        """Tell whether a figure grows by more than may be."""
        usual, growth, _ = self.growth(name)
        slack = SLACK[name.partition(": ")[2]]
        return growth > max(slack, 0.03 * usual)


def settled(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Leave out the warm-up, the first quarter of the time; at most 400 points are kept."""
    if not points:
        return []
    ordered = sorted(points)
    start = ordered[0][0] + _WARM_UP * (ordered[-1][0] - ordered[0][0])
    kept = [point for point in ordered if point[0] >= start]
    return kept[:: max(1, -(-len(kept) // 400))]
