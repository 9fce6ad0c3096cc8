"""llama.cpp on an NVIDIA GPU. Where there is none, the reason is printed with the results."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundling.models.calls import EngineSettings, Request
from groundling.models.cpu import Build, Device, has_nvidia_driver, read_build
from groundling.models.engine import Engine

BUILD = read_build()
CUDA = any(device.name.startswith("CUDA") for device in BUILD.devices)
WHY_NOT = (
    "NO CUDA CHECK: "
    + (
        "an NVIDIA driver runs here, but llama.cpp was built without CUDA"
        if has_nvidia_driver()
        else "no NVIDIA driver runs here"
    )
    + "; see docs/gpu.md"
)


@pytest.mark.model
@pytest.mark.skipif(not CUDA, reason=WHY_NOT)
def test_a_gpu_writes_what_the_cpu_writes(smollm2: Path) -> None:
    assert BUILD.backend.startswith("CUDA")
    texts = []
    for layers in (0, -1):
        engine = Engine.open(smollm2, EngineSettings(context=256, gpu_layers=layers))
        try:
            tokens = engine.vocabulary.tokenize("Once upon a time")
            chunks = engine.generate(Request(tokens, max_tokens=12))
            texts.append("".join(chunk.text for chunk in chunks))
        finally:
            engine.close()
    # The backends round differently: later tokens may differ, the first ones may not.
    assert texts[0].split()[:3] == texts[1].split()[:3] != []


@pytest.mark.parametrize(("wanted", "placed"), [(-1, 31), (0, 0), (10, 10), (31, 31), (1000, 31)])
def test_layers_on_a_gpu(wanted: int, placed: int) -> None:
    devices = (Device("CUDA0", "a card"), Device("CPU", "a processor"))
    build = Build("1", {"CPU": frozenset()}, devices, gpu_offload=True)
    assert build.gpu_layers(wanted, 30) == placed
    assert Build("1", {"CPU": frozenset()}).gpu_layers(wanted, 30) == 0


def test_a_build_for_a_gpu_that_is_not_there() -> None:
    features = {"CPU": frozenset({"AVX2"}), "CUDA": frozenset({"ARCHS"})}
    assert Build("1", features).idle_gpu_backends == ["CUDA"]
    devices = (Device("CUDA0", "a card"),)
    assert Build("1", features, devices, gpu_offload=True).idle_gpu_backends == []
