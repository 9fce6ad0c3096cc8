"""Measuring a model from the command line: progress, the table, and once before first use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from groundling.cli.output import Json, Shell

if TYPE_CHECKING:
    from rich.table import Table

    from groundling.models.calibration import Calibration, Row
    from groundling.models.calls import EngineSettings
    from groundling.settings import ModelSettings, Settings


def measure_once(shell: Shell, settings: Settings, path: Path) -> None:
    """Measure a chat model before its first use on this machine, if anything depends on it.

    Nothing does where the settings leave nothing open, where it was measured before, and
    where the machine has but one way to run it.
    """
    model = settings.model
    if not model.measure or (model.repack is not None and model.threads is not None):
        return
    from groundling.models.calibration import load_calibration
    from groundling.models.measuring import worth_measuring

    engine = engine_settings(model)
    known = load_calibration(settings.models_path, path, model.threads)
    if known is None and worth_measuring(path, engine):
        try:
            measure_and_save(shell, settings.models_path, path, engine)
        except OSError as error:
            shell.warn(f"What was measured could not be kept: {error}")


def measure_and_save(
    shell: Shell, models_folder: Path, path: Path, engine: EngineSettings
) -> tuple[Calibration, Path]:
    """Measure a model, showing how far it is, and keep what came out; return it and where.

    Raises:
        ModelFileError: the file is no GGUF.
        ModelTooBig: the model does not fit into the free memory.
        OSError: the models folder cannot be written.
    """
    from groundling.models.calibration import save
    from groundling.models.measuring import measure

    with _progress(shell, path.stat().st_size) as report:
        calibration = measure(path, engine, report)
    if not calibration.quiet:
        shell.warn(
            f"other work left {calibration.share:.0%} of the processors for it, too little to "
            "compare; the safe default is used. On an idle machine: groundling model measure"
        )
    return calibration, save(models_folder, calibration)


def engine_settings(model: ModelSettings) -> EngineSettings:
    """Return how the configured model is run, as far as a measurement depends on it."""
    from groundling.models.calls import EngineSettings

    return EngineSettings(
        context=model.context,
        threads=model.threads,
        gpu_layers=model.gpu_layers,
        flash_attention=model.flash_attention,
    )


def table(calibration: Calibration) -> Table:
    """Show the candidates, the chosen one marked."""
    from rich.table import Table

    from groundling.models.files.disk import show_bytes

    made = Table(box=None, pad_edge=False)
    made.add_column("")
    made.add_column("weights", no_wrap=True)
    columns = ("threads", "read/s", "written/s", "8 together/s", "memory", "answer")
    for column in columns:
        made.add_column(column, justify="right", no_wrap=True)
    for row in calibration.rows:
        made.add_row(
            "*" if row == calibration.chosen else "",
            "repacked" if row.repack else "as in the file",
            str(row.threads),
            f"{row.prefill:.0f}",
            f"{row.decode:.1f}",
            f"{row.together:.1f}",
            show_bytes(row.memory),
            f"{row.answer_seconds:.1f} s",
        )
    return made


def as_json(row: Row, chosen: Row) -> dict[str, Json]:
    """Return a row for `--json`; speeds are tokens per second."""
    return {
        "repack": row.repack,
        "threads": row.threads,
        "prefill": round(row.prefill, 1),
        "decode": round(row.decode, 1),
        "together": round(row.together, 1),
        "memory_bytes": row.memory,
        "answer_seconds": round(row.answer_seconds, 2),
        "chosen": row == chosen,
    }


@contextmanager
def _progress(shell: Shell, size: int) -> Iterator[Callable[[float], None]]:
    """Show how far a measurement is; when it is interrupted, say how to go without it."""
    about = 5 + 5 * round(size / 1e9)
    title = f"Measuring how this machine runs the model best, once (about {about} s)"
    try:
        if shell.json or not shell.stderr.is_terminal:
            shell.status(f"{title} …")
            yield lambda share: None
            return
        from rich.progress import Progress

        with Progress(console=shell.stderr, transient=True) as bar:
            task = bar.add_task(title, total=1.0)
            yield lambda share: bar.update(task, completed=share)
    except KeyboardInterrupt:
        shell.status(
            "\nNothing was measured. To go without: groundling config set model.measure false"
        )
        raise
