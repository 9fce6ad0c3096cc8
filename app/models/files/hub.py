"""A file of a model hub: where its bytes are, how many, and their sha256.

huggingface_hub knows the hub's protocol: the address of a file at a revision, the token in
the user's own configuration, gated repositories, and the sha256 that the hub keeps of every
large file. The bytes themselves are fetched by `groundling.models.files.download`, because
hf_hub_download (1.33) throws an interrupted transfer away, and a model of gigabytes should
not start from zero.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from groundling.errors import DownloadError, Offline
from groundling.models.files.download import Span, public, unreachable
from groundling.models.files.sources import HubFile


@dataclass(frozen=True)
class HubAnswer:
    """What the hub says of a file. Small files have no sha256 there."""

    span: Span
    size: int | None
    sha256: str | None
    commit: str | None


def look_up(file: HubFile, endpoint: str | None, token: str | None) -> HubAnswer:
    """Ask the hub for a file.

    Args:
        file: repository, path and revision.
        endpoint: another hub; None takes huggingface_hub's own setting.
        token: None takes the one that huggingface_hub finds in its own configuration.

    Raises:
        Offline: the hub could not be reached.
        DownloadError: there is no such file, or it is not for everyone.
    """
    import httpx
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    base = endpoint.rstrip("/") if endpoint else constants.ENDPOINT
    try:
        url = hf_hub_url(file.repo, file.path, revision=file.revision, endpoint=base)
        # Its own user agent tells which other libraries are installed here.
        agent = {"user-agent": "groundling"}
        found = get_hf_file_metadata(url, token=token, endpoint=base, headers=agent)
        headers = build_hf_headers(token=token)
    except GatedRepoError as error:
        raise DownloadError(
            f"{file.repo} is gated: its owner lets in only those who accepted the terms",
            hint=f"Accept them at {base}/{file.repo}, then give a token: "
            "GROUNDLING_DOWNLOAD__HUB_TOKEN=hf_… groundling model pull …  (or: hf auth login)",
        ) from error
    except RevisionNotFoundError as error:
        raise DownloadError(f"{file.repo} has no revision {file.revision}") from error
    except RepositoryNotFoundError as error:
        raise DownloadError(
            f"{public(base)} has no repository {file.repo}, or it is private",
            hint="Check the name; for a private one give a token: "
            "GROUNDLING_DOWNLOAD__HUB_TOKEN=hf_… groundling model pull …",
        ) from error
    except EntryNotFoundError as error:
        raise DownloadError(f"{file.repo} has no file {file.path} at {file.revision}") from error
    except OfflineModeIsEnabled as error:
        raise Offline("the hub is switched off by HF_HUB_OFFLINE") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        hint = (
            "The token is missing or wrong: GROUNDLING_DOWNLOAD__HUB_TOKEN=hf_… "
            "groundling model pull …"
            if status in (401, 403)
            else None
        )
        raise DownloadError(f"{public(base)} answered HTTP {status}", hint=hint) from error
    except HFValidationError as error:
        raise DownloadError(f"{file}: {error}") from error
    except (httpx.HTTPError, OSError) as error:
        raise unreachable(base, error) from error
    digest = found.etag if re.fullmatch(r"[0-9a-f]{64}", found.etag or "") else None
    # Pinned to the commit, so that a resumed transfer cannot meet another revision's bytes.
    pinned = hf_hub_url(
        file.repo, file.path, revision=found.commit_hash or file.revision, endpoint=base
    )
    sent = {name: value for name, value in headers.items() if name.lower() == "authorization"}
    return HubAnswer(Span(pinned, headers=sent), found.size, digest, found.commit_hash)
