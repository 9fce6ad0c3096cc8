"""Every error that Groundling raises on purpose.

    GroundlingError                  exit code 1
    ├── SettingsError                3   a setting or configuration file is wrong
    ├── ModelError                   4   a model cannot be found, read or run
    │   ├── ModelNotFound                no such entry, or not downloaded yet
    │   ├── ModelFileError               not a GGUF, cut short, unknown architecture
    │   ├── ModelTooBig                  does not fit into the free memory
    │   ├── ContextOverflow              the prompt is longer than the context
    │   ├── EngineBusy                   as many calls wait as may wait
    │   ├── EngineCrashed                the model's own process ended; a new one starts
    │   └── AdapterError                 no LoRA adapter of this model
    ├── DownloadError                5   a file could not be fetched
    │   ├── Offline                      no source could be reached
    │   ├── HashMismatch                 what came is not what the catalogue names
    │   └── DiskFull                     not enough room, checked before writing
    ├── KnowledgeError               6   documents cannot be read, stored or searched
    │   ├── DocumentError                one document cannot be read
    │   └── IndexMismatch                the index was made with another embedder
    ├── GraphError                   7   a graph or a chain file is wrong
    │   └── UnknownGraph
    ├── TraceError                   8   runs cannot be found, stored or read
    ├── EvaluationError              9   a data set, an evaluator or an experiment is wrong
    │   └── GateFailed                   an experiment is worse than it may be
    ├── GuardError                  10   a policy file is wrong, or a guard cannot be run
    ├── FactError                   11   a source of facts is wrong or cannot be asked
    ├── MemoriesError               12   threads or memories cannot be found, stored or read
    │   ├── UnknownThread
    │   └── UnknownMemory
    ├── ToolError                   13   a tool is not there, wrongly configured or fails
    ├── WaitsForPerson              14   a run waits for an approval or an answer
    └── TuningError                 15   examples, a recipe or an adapter are wrong

Exit code 2 is a usage error (from click) and 130 an interruption (Ctrl-C).

    try:
        home.graph("rag").invoke({"question": "How many days of leave?"})
    except ModelNotFound as error:
        print(error)        # what failed, and what was kept
        print(error.hint)   # the next command
"""

from __future__ import annotations


class GroundlingError(Exception):
    """Say what failed, for what reason, and what to do next.

    Args:
        message: what failed and why; it names the thing.
        hint: the next step, a command where there is one.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class SettingsError(GroundlingError):
    """A setting or a configuration file is wrong."""

    exit_code = 3


class ModelError(GroundlingError):
    """A model cannot be found, read or run."""

    exit_code = 4


class ModelNotFound(ModelError):
    """The catalogue has no such entry, or its files are not on this machine."""


class ModelFileError(ModelError):
    """The file is not a GGUF, is cut short, or has an unknown architecture."""


class ModelTooBig(ModelError):
    """Weights, cache and buffers do not fit into the free memory."""


class ContextOverflow(ModelError):
    """The prompt is longer than the context.

    Args:
        prompt_tokens: how many tokens the prompt has.
        context_tokens: how many the context holds.
    """

    def __init__(self, prompt_tokens: int, context_tokens: int) -> None:
        super().__init__(
            f"The prompt has {prompt_tokens} tokens; the context holds {context_tokens}.",
            hint="Shorten the question or the documents, or raise the context: "
            "groundling --profile large …, or GROUNDLING_MODEL__CONTEXT=8192",
        )
        self.prompt_tokens = prompt_tokens
        self.context_tokens = context_tokens


class EngineBusy(ModelError):
    """As many calls wait for the model as its settings allow; this one was not queued."""


class EngineCrashed(ModelError):
    """The process that runs the model ended during this call; the next call has a new one."""


class AdapterError(ModelError):
    """The file is no LoRA adapter, or one of another base model."""


class DownloadError(GroundlingError):
    """A file could not be fetched; what had arrived is kept."""

    exit_code = 5


class Offline(DownloadError):
    """No source of the file could be reached."""


class HashMismatch(DownloadError):
    """The bytes that came are not the ones the catalogue names."""


class DiskFull(DownloadError):
    """There is not enough room on the disk for the file."""


class KnowledgeError(GroundlingError):
    """Documents cannot be read, stored or searched."""

    exit_code = 6


class DocumentError(KnowledgeError):
    """One document cannot be read; the others are not touched."""


class IndexMismatch(KnowledgeError):
    """The index was made with another embedder than the one now configured."""


class GraphError(GroundlingError):
    """A graph or a chain file is wrong."""

    exit_code = 7


class UnknownGraph(GraphError):
    """There is no graph of that name."""


class TraceError(GroundlingError):
    """Runs cannot be found, stored or read."""

    exit_code = 8


class EvaluationError(GroundlingError):
    """A data set, an evaluator or an experiment is wrong."""

    exit_code = 9


class GateFailed(EvaluationError):
    """An experiment is worse than the one it was compared with, by more than it may be."""


class GuardError(GroundlingError):
    """A policy file is wrong, or a guard cannot be run."""

    exit_code = 10


class FactError(GroundlingError):
    """A source of facts is wrongly configured or cannot be asked."""

    exit_code = 11


class MemoriesError(GroundlingError):
    """Threads or memories cannot be found, stored or read."""

    exit_code = 12


class UnknownThread(MemoriesError):
    """There is no conversation of that id."""


class UnknownMemory(MemoriesError):
    """There is no memory of that number."""


class ToolError(GroundlingError):
    """A tool is not there, is wrongly configured, or fails."""

    exit_code = 13


class WaitsForPerson(GroundlingError):
    """A run waits for a person, and nobody is there to be asked; it can be resumed."""

    exit_code = 14


class TuningError(GroundlingError):
    """Examples, a recipe, a training run or an adapter are wrong."""

    exit_code = 15
