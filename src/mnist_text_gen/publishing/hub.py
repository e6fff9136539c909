# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Publish a folder on the Hugging Face Hub in one commit."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import CommitInfo, HfApi
from huggingface_hub.errors import HfHubHTTPError, HTTPError, LocalTokenNotFoundError, RepositoryNotFoundError
from transformers.utils import logging

from mnist_text_gen.drawing import show_text


logger = logging.get_logger(__name__)

# The Hub's answers while it is busy or down; the same request may succeed later.
RETRIED_STATUS = {429, 500, 502, 503, 504}
MAX_ATTEMPTS = 4
LONGEST_WAIT = 60.0  # seconds; if the Hub asks for more, that is an error

_Result = TypeVar("_Result")


def open_repository(
    repo_id: str, repo_type: str = "model", private: bool | None = None, token: bool | str | None = None
) -> str:
    """Create a repository if it is missing, and check that the token may write to it, before any other work.

    Args:
        repo_id (`str`): `"owner/name"`, or `"name"` for the owner of the token.
        repo_type (`"model"` or `"dataset"`, defaults to `"model"`): the type of the repository.
        private (`bool`, *optional*): whether a new repository is private.
        token (`bool` or `str`, *optional*): by default that of `hf auth login` or the environment.

    Returns:
        `str`: the id with its owner.

    Raises:
        ValueError: if the Hub refuses the name, or the token is missing or may not write there.
        ConnectionError: if the Hub cannot be reached or stays busy.
    """
    api = HfApi()

    def open_it() -> str:
        url = api.create_repo(repo_id, repo_type=repo_type, private=private, token=token, exist_ok=True)
        # `create_repo` also accepts somebody else's repository, which would refuse the upload at the end
        api.auth_check(url.repo_id, repo_type=repo_type, token=token, write=True)
        return url.repo_id

    return _persist(open_it, repo_id)


def upload_folder(
    folder: Path,
    repo_id: str,
    repo_type: str = "model",
    token: bool | str | None = None,
    revision: str | None = None,
    **commit: Any,
) -> CommitInfo:
    """Publish a folder as one commit. If nothing has changed, there is no new commit.

    Args:
        folder (`Path`): the folder.
        repo_id (`str`): the id that [`open_repository`] returned.
        repo_type, token: see [`open_repository`].
        revision (`str`, *optional*): a branch, which is created if it is missing; `main` by default.
        commit: further arguments of [`~huggingface_hub.HfApi.upload_folder`].

    Returns:
        `CommitInfo`: the commit, or the last one if nothing has changed.

    Raises:
        ValueError, ConnectionError: as in [`open_repository`].
    """
    api = HfApi()

    def upload() -> CommitInfo:
        if revision is not None and not revision.startswith("refs/pr/"):
            api.create_branch(repo_id, branch=revision, repo_type=repo_type, token=token, exist_ok=True)
        return api.upload_folder(
            repo_id=repo_id, folder_path=folder, repo_type=repo_type, token=token, revision=revision, **commit
        )

    # safe to repeat: a file that has arrived is not sent again, and a commit that has arrived changes nothing
    return _persist(upload, repo_id)


def _persist(action: Callable[[], _Result], repo_id: str) -> _Result:
    """Repeat an action while the Hub fails temporarily, with longer and longer waits; explain other errors."""
    attempt = 0
    while True:
        attempt += 1
        try:
            return action()
        # HTTPError is the class of the HTTP library that huggingface_hub uses, for bad answers and missing ones
        except (HTTPError, LocalTokenNotFoundError, RuntimeError) as error:
            reason = _find_reason(error)
            wait = _seconds_to_wait(reason, attempt)
            if wait is None:
                raise _explain(reason, repo_id) from error
            logger.warning(
                f"The Hub: {show_text(_first_line(reason))}. Attempt {attempt} of {MAX_ATTEMPTS}; waiting {wait:g} s."
            )
            time.sleep(wait)


def _find_reason(error: Exception) -> Exception:
    """The HTTP error. For uploads of large files, the client hides it in a `RuntimeError`."""
    if isinstance(error, RuntimeError):
        if not isinstance(error.__cause__, HTTPError):
            raise error
        return error.__cause__
    return error


def _seconds_to_wait(error: Exception, attempt: int) -> float | None:
    """How long to wait before the next attempt, or `None` if another attempt makes no sense."""
    if attempt == MAX_ATTEMPTS:
        return None
    wait = float(2 ** (attempt - 1))
    if isinstance(error, LocalTokenNotFoundError):
        return None
    if not isinstance(error, HfHubHTTPError):
        return wait
    if error.response.status_code not in RETRIED_STATUS:
        return None
    asked = error.response.headers.get("Retry-After", "")
    # HTTP also allows a date, which the Hub does not send
    wait = float(asked) if asked.isdigit() else wait
    return wait if wait <= LONGEST_WAIT else None


def _explain(error: Exception, repo_id: str) -> Exception:
    unknown = getattr(getattr(error, "response", None), "status_code", None) == 401
    if isinstance(error, LocalTokenNotFoundError) or (unknown and not isinstance(error, RepositoryNotFoundError)):
        return ValueError(
            f"publishing {repo_id!r} needs a token that the Hub knows; run `hf auth login` or set HF_TOKEN"
        )
    if not isinstance(error, HfHubHTTPError):
        return ConnectionError(f"the Hub cannot be reached for {repo_id!r}: {_first_line(error)}")
    status = error.response.status_code
    if status in RETRIED_STATUS:
        asked = error.response.headers.get("Retry-After")
        later = f" and asks to wait {asked} s" if asked else ""
        return ConnectionError(
            f"the Hub answers {status} for {repo_id!r}{later}; nothing was published, try again later"
        )
    if status in (401, 403, 404):
        return ValueError(f"the token must have write access to {repo_id!r}: {_first_line(error)}")
    return ValueError(f"the Hub refuses {repo_id!r}: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    message = getattr(error, "server_message", None) or str(error) or type(error).__name__
    return message.strip().splitlines()[0].rstrip(".")
