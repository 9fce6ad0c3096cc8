"""What this CPU can do, how llama.cpp was built, and which of the two needs care.

Features are named as Linux names them (`avx2`, `amx_int8`). The build's are read from
llama.cpp itself; reading them loads the library.
"""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from groundling.models.native import import_llama

_CPUINFO = Path("/proc/cpuinfo")
_NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
# As llama.cpp's system information names them.
_GPU_BACKENDS = {"CUDA", "ROCm", "Vulkan", "SYCL", "Metal", "MTL"}
# What a reader of the list wants to know; /proc/cpuinfo has a hundred more.
_TELLING = (
    "avx", "avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8",
    "amx_bf16", "fma", "f16c", "bmi2", "neon", "asimd", "asimddp", "i8mm", "sve", "dotprod",
)  # fmt: skip


@dataclass(frozen=True)
class Cpu:
    """The processor: its name and all of its feature flags, in lower case."""

    name: str
    features: frozenset[str]

    def describe(self) -> str:
        """Say in one line what matters for llama.cpp."""
        known = [feature for feature in _TELLING if feature in self.features]
        return f"CPU: {self.name}; {' '.join(known) or 'features unknown'}"


@dataclass(frozen=True)
class Device:
    """A compute device that llama.cpp sees, such as `CPU`, `CUDA0` or `Metal`."""

    name: str
    description: str


@dataclass(frozen=True)
class Build:
    """How the installed llama.cpp was built.

    Args:
        version: of the Python binding, then of llama.cpp.
        features: by backend (`CPU`, `CUDA`, …), what was compiled in.
        devices: those it can use now.
        gpu_offload: whether layers can be placed on another device than the CPU.
    """

    version: str
    features: dict[str, frozenset[str]]
    devices: tuple[Device, ...] = ()
    gpu_offload: bool = False

    @property
    def has_amx(self) -> bool:
        """Whether the AMX int8 kernels were compiled in."""
        return any("AMX_INT8" in features for features in self.features.values())

    @property
    def backend(self) -> str:
        """The backend that computes: the first device that is not the CPU, else `CPU`."""
        names = [device.name for device in self.devices if device.name != "CPU"]
        return names[0] if names and self.gpu_offload else "CPU"

    @property
    def idle_gpu_backends(self) -> list[str]:
        """The GPU backends that were compiled in and found no GPU."""
        return [] if self.gpu_offload else sorted(self.features.keys() & _GPU_BACKENDS)

    def gpu_layers(self, wanted: int, blocks: int) -> int:
        """Return how many layers are placed on the GPU.

        Args:
            wanted: as set; -1 is all.
            blocks: the model's; what turns the last one's output into tokens counts as a
                layer, too, as llama.cpp has it.
        """
        if not self.gpu_offload:
            return 0
        return blocks + 1 if wanted < 0 else min(wanted, blocks + 1)

    def describe(self) -> str:
        """Say in one line how it was built."""
        parts = [f"{name} {' '.join(sorted(on))}" for name, on in self.features.items()]
        amx = "AMX kernels in" if self.has_amx else "AMX kernels left out"
        return f"llama.cpp {self.version}: {self.backend}; {'; '.join(parts)}; {amx}"


@cache
def read_cpu() -> Cpu:
    """Read this machine's CPU features; the set is empty where the system tells none."""
    if sys.platform == "darwin":
        return parse_sysctl(_run_sysctl())
    try:
        return parse_cpuinfo(_CPUINFO.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return Cpu(platform.processor() or platform.machine(), frozenset())


def parse_cpuinfo(text: str) -> Cpu:
    """Parse Linux's /proc/cpuinfo: `flags` on x86, `Features` on ARM."""
    lines = (line.partition(":") for line in reversed(text.splitlines()))
    rows = {key.strip().lower(): value.strip() for key, _, value in lines}
    flags = rows.get("flags") or rows.get("features") or ""
    return Cpu(rows.get("model name") or platform.machine(), frozenset(flags.lower().split()))


def parse_sysctl(text: str) -> Cpu:
    """Parse macOS's `sysctl machdep.cpu hw.optional`."""
    rows = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    features = {
        flag.lower()
        for key in ("machdep.cpu.features", "machdep.cpu.leaf7_features")
        for flag in rows.get(key, "").split()
    }
    for key, value in rows.items():
        if key.startswith("hw.optional.") and value == "1":
            features.add(key.rpartition(".")[2].removeprefix("FEAT_").lower())
    return Cpu(rows.get("machdep.cpu.brand_string", platform.machine()), frozenset(features))


def _run_sysctl() -> str:
    command = ["/usr/sbin/sysctl", "machdep.cpu", "hw.optional"]
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


@cache
def read_build() -> Build:
    """Ask the installed llama.cpp how it was built."""
    from importlib.metadata import version

    llama = import_llama()
    return Build(
        version=f"{version('llama-cpp-python')} ({llama.llama_version().decode()})",
        features=parse_system_info(llama.llama_print_system_info().decode()),
        devices=_devices(llama._lib),
        gpu_offload=llama.llama_supports_gpu_offload(),
    )


def parse_system_info(text: str) -> dict[str, frozenset[str]]:
    """Parse `CPU : AVX2 = 1 | FMA = 0 | CUDA : ARCHS = 890 |`: by backend, what is on."""
    features: dict[str, set[str]] = {}
    backend = "CPU"
    for item in text.split("|"):
        head, colon, rest = item.partition(" : ")
        if colon:
            backend, item = head.strip(), rest
        name, _, value = item.partition("=")
        if name.strip():
            on = features.setdefault(backend, set())
            if value.strip() != "0":
                on.add(name.strip())
    return {backend: frozenset(on) for backend, on in features.items()}


def _devices(library: ctypes.CDLL) -> tuple[Device, ...]:
    # Looked up through libllama's own handle: loading libggml by its path can load a second
    # copy of it, whose list of devices is empty.
    try:
        count, get = library.ggml_backend_dev_count, library.ggml_backend_dev_get
        texts = library.ggml_backend_dev_name, library.ggml_backend_dev_description
    except AttributeError:
        return ()
    count.restype, get.restype, get.argtypes = ctypes.c_size_t, ctypes.c_void_p, [ctypes.c_size_t]
    for text in texts:
        text.restype, text.argtypes = ctypes.c_char_p, [ctypes.c_void_p]
    return tuple(
        Device(*(text(get(n)).decode("utf-8", "replace") for text in texts)) for n in range(count())
    )


def has_nvidia_driver() -> bool:
    """Tell whether Linux runs NVIDIA's driver; elsewhere nobody is asked."""
    return _NVIDIA_DRIVER.exists()


def extra_buffers_safe(cpu: Cpu, build: Build) -> bool:
    """Tell whether llama.cpp may place weights in its extra buffers.

    Among them are the AMX buffers, whose first matrix product crashes the process
    (ggml-org/llama.cpp#20824) where both the CPU and the build have AMX int8. A CPU that
    tells nothing about itself is taken to have it.
    """
    return not build.has_amx or bool(cpu.features and "amx_int8" not in cpu.features)


def default_threads() -> int:
    """Return the physical cores that this process may use, at least one.

    Hyper-threads slow a matrix product down; a container may own fewer cores than it sees.
    """
    import psutil

    physical = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else physical
    return max(1, min(physical, allowed, _quota(physical)))


def _quota(most: int) -> int:
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return most if quota == "max" else max(1, -(-int(quota) // int(period)))
    except (OSError, ValueError):
        return most
