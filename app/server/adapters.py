"""The adapters of the served model: which there are, and which of them answers.

`groundling tune promote` in another process is heard with the next run: the pointer is read
for each. A run keeps to what was promoted when it began, so that one trace tells of one model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from groundling.errors import AdapterError, ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from groundling.home import Home
    from groundling.models.adapter_shelf import Shelved


class Adapters:
    """The adapters of the served model; safe for threads. All methods read files.

    Args:
        home: whose model and adapters they are.
        elsewhere: another model than the configured one answers, and takes no adapters.
    """

    def __init__(self, home: Home, *, elsewhere: bool) -> None:
        self._home = home
        self._elsewhere = elsewhere or home.settings.model.base_url is not None
        self._model: Path | None = None

    @property
    def usable(self) -> bool:
        """Whether the model that answers is run here."""
        return not self._elsewhere

    def all(self) -> list[Shelved]:
        """Return those that were trained on the served model, the newest first."""
        from groundling.models.adapter_shelf import AdapterShelf, fingerprint

        folder = self._home.settings.adapters_path
        if not (self.usable and folder.is_dir()):  # a model's hash is not worked out for nothing
            return []
        try:
            return AdapterShelf(folder).of(fingerprint(self._file()))
        except ModelError:  # it is not on this machine yet
            return []

    def answering(self, wanted: str | None = None) -> tuple[Shelved, ...]:
        """Return those that answer at this moment.

        Args:
            wanted: names joined by "+", `promoted` or `none`; None: as configured.

        Raises:
            AdapterError: there is none of that name, it is of another base, or the model that
                answers takes none.
            ModelNotFound: the model is not on this machine.
        """
        from groundling.models.adapter_names import NONE, PROMOTED, answering

        if self.usable:
            return answering(self._home.settings, self._file(), wanted)
        if wanted in (None, NONE, PROMOTED):
            return ()
        raise AdapterError(
            f"The adapter {wanted} cannot be used: the model that answers is not run here.",
            hint="Leave it out.",
        )

    def _file(self) -> Path:
        if self._model is None:
            name = self._home.settings.model.name
            self._model = self._home.models.resolve(name).path
        return self._model
