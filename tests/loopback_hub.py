# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""A small Hugging Face Hub on 127.0.0.1, for the real clients of Transformers, `datasets`, `evaluate` and the Hub.

It has repositories of models, data sets and Spaces with branches and tags, commits that happen whole or not at all,
LFS, tokens that may and may not write, private repositories, and the status codes and headers that the clients tell
errors by. Faults can be ordered: an answer of 500 or 429, or a connection that breaks in the middle of a body.

What the true Hub does besides: it stores large files with Xet, sends downloads to a CDN by a redirect, takes very
large files in parts, opens pull requests and discussions, gates repositories, has organizations, pages its long lists,
squashes histories, builds Spaces, converts and serves data sets (`refs/convert/parquet`, the data set viewer), scans
what is uploaded, limits rates, and checks front matter against its own lists of names.
"""

import base64
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml


KINDS = {"model": "models", "dataset": "datasets", "space": "spaces"}
LFS_SUFFIXES = (".safetensors", ".parquet", ".bin", ".pt", ".png", ".arrow", ".onnx")
LFS_SIZE = 5_000_000
NAME = re.compile(r"(?!.*(--|\.\.))(?!.*\.git$)[A-Za-z0-9_][\w.-]{0,94}[A-Za-z0-9_]?")
ATTRIBUTES = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES)


class HubError(Exception):
    """An answer that is an error; `code` is what the clients know it by."""

    def __init__(self, status: int, message: str, code: str | None = None, **body: Any):
        super().__init__(message)
        self.status, self.message, self.code, self.body = status, message, code, body


@dataclass(frozen=True)
class Blob:
    content: bytes
    is_lfs: bool

    @property
    def oid(self) -> str:
        """What tells the clients whether a file has changed: git's SHA-1 of a blob, or LFS's SHA-256."""
        if self.is_lfs:
            return hashlib.sha256(self.content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()


@dataclass(frozen=True)
class Commit:
    oid: str
    title: str
    files: dict[str, Blob]
    parent: "Commit | None" = None


@dataclass
class Repository:
    kind: str
    owner: str
    name: str
    private: bool
    sdk: str | None
    branches: dict[str, Commit] = field(default_factory=dict)
    tags: dict[str, Commit] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return f"{self.owner}/{self.name}"

    def commit_of(self, revision: str) -> Commit:
        for commits in (self.branches, self.tags):
            if revision in commits:
                return commits[revision]
        for head in [*self.branches.values(), *self.tags.values()]:
            for commit in history(head):
                if commit.oid == revision:
                    return commit
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def add(self, branch: str, title: str, files: dict[str, Blob]) -> Commit:
        parent = self.branches.get(branch)
        names = [f"{name}:{blob.oid}" for name, blob in sorted(files.items())]
        seed = "\n".join([self.kind, self.id, title, parent.oid if parent else "", *names])
        commit = Commit(hashlib.sha1(seed.encode()).hexdigest(), title, files, parent)
        self.branches[branch] = commit
        return commit


def history(commit: Commit | None) -> Iterator[Commit]:
    while commit is not None:
        yield commit
        commit = commit.parent


@dataclass
class Fault:
    pattern: str
    status: int | None = None
    retry_after: int | None = None
    after_bytes: int | None = None


class LoopbackHub:
    """The Hub, as a context manager; `url` is its endpoint."""

    def __init__(self):
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.tokens: dict[str, tuple[str, str]] = {}
        self.lfs: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        self.unknown_requests: list[str] = []
        self.faults: list[Fault] = []
        self.lock = threading.RLock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> "LoopbackHub":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception) -> None:
        self.server.shutdown()
        self.server.server_close()

    def add_user(self, name: str, role: str = "write") -> str:
        """A token of a user, with the right to `"write"`, or only to `"read"`."""
        token = f"hf_{name}_{role}"
        self.tokens[token] = (name, role)
        return token

    def environment(self, token: str | None, home: str) -> dict[str, str]:
        """The variables of a process that takes this for the Hub, and has nothing in its cache."""
        environment = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": home,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_OFFLINE": "0",
            "NO_PROXY": "127.0.0.1",
        }
        return {**environment, "HF_TOKEN": token} if token else environment

    def run(self, command: str | list, token: str | None, home: Path, check: bool = True, **variables: str) -> Any:
        """Run Python code, or a command, in a process of its own, in the folder that `home` is in.

        Gives what the last line of the code's output says in JSON, or for a command the `CompletedProcess`.
        """
        home.parent.mkdir(parents=True, exist_ok=True)
        scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {"PATH": scripts, "OMP_NUM_THREADS": "1", **self.environment(token, str(home)), **variables}
        argv = [sys.executable, "-c", command] if isinstance(command, str) else [str(part) for part in command]
        done = subprocess.run(argv, capture_output=True, text=True, cwd=home.parent, env=environment)
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout.splitlines()[-1]) if isinstance(command, str) else done

    def files(self, repo_id: str, revision: str = "main", repo_type: str = "model") -> dict[str, bytes]:
        commit = self.repositories[repo_type, repo_id].commit_of(revision)
        return {name: blob.content for name, blob in commit.files.items()}

    def commits(self, repo_id: str, revision: str = "main", repo_type: str = "model") -> list[Commit]:
        """The newest first; the last is the empty one of the new repository."""
        return list(history(self.repositories[repo_type, repo_id].commit_of(revision)))

    def fail_next(self, pattern: str, status: int, retry_after: int | None = None, times: int = 1) -> None:
        """Answer the next requests whose `"METHOD path"` has the pattern with an error."""
        self.faults += [Fault(pattern, status=status, retry_after=retry_after) for _ in range(times)]

    def break_next(self, pattern: str, after_bytes: int, times: int = 1) -> None:
        """Close the connection of the next such requests in the middle of what is sent, up or down."""
        self.faults += [Fault(pattern, after_bytes=after_bytes) for _ in range(times)]

    def take_fault(self, request: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if re.search(fault.pattern, request):
                    self.faults.remove(fault)
                    return fault
        return None

    def find(self, kind: str, repo_id: str, user: str | None) -> Repository:
        repository = self.repositories.get((kind, repo_id))
        if repository is None or (repository.private and repository.owner != user):
            # who may not see it is not told whether it is there
            raise HubError(404 if user else 401, "Repository not found", "RepoNotFound")
        return repository


@dataclass
class Request:
    hub: LoopbackHub
    method: str
    path: str
    query: dict[str, str]
    headers: Any
    body: bytes

    @property
    def user(self) -> str | None:
        return self._account[0]

    @property
    def _account(self) -> tuple[str | None, str]:
        header = self.headers.get("Authorization")
        if header is None:
            return None, "none"
        token = header.removeprefix("Bearer ")
        if token not in self.hub.tokens:
            raise HubError(401, "Invalid credentials in Authorization header")
        return self.hub.tokens[token]

    def json(self) -> Any:
        try:
            return json.loads(self.body or b"{}")
        except ValueError as error:
            raise HubError(400, "Invalid JSON") from error

    def check_writer(self, owner: str) -> None:
        user, role = self._account
        if user is None:
            raise HubError(401, "Invalid username or password.")
        if user != owner or role != "write":
            raise HubError(403, f"You don't have the rights to write under the namespace {owner}")


ROUTES: list[tuple[str, re.Pattern, Callable]] = []


def route(method: str, pattern: str) -> Callable:
    """`{kind}`, `{id}` and `{revision}` stand for what their names say, `{path}` for the rest."""
    parts = {
        "{kind}": "(?P<kind>models|datasets|spaces)",
        "{id}": r"(?P<id>[^/]+/[^/]+)",
        "{revision}": "(?P<revision>[^/]+)",
        "{path}": "(?P<path>.+)",
    }
    for name, part in parts.items():
        pattern = pattern.replace(name, part)

    def register(function: Callable) -> Callable:
        ROUTES.append((method, re.compile(pattern), function))
        return function

    return register


def repository_of(request: Request, kind: str, id: str) -> Repository:
    return request.hub.find(kind.removesuffix("s"), id, request.user)


@route("GET", "/api/whoami-v2")
def whoami(request: Request) -> dict:
    name, role = request._account
    if name is None:
        raise HubError(401, "Invalid username or password.")
    token = {"displayName": role, "role": role}
    return {"type": "user", "id": name, "name": name, "orgs": [], "auth": {"accessToken": token}}


@route("POST", "/api/repos/create")
def create_repository(request: Request) -> dict:
    wanted = request.json()
    kind, user = wanted.get("type") or "model", request.user
    owner, name = wanted.get("organization") or user, wanted["name"]
    request.check_writer(owner)
    if not NAME.fullmatch(name):
        raise HubError(400, f"Invalid repo name: {name}")
    if kind == "space" and not wanted.get("sdk"):
        raise HubError(400, "A Space needs an SDK")
    private = wanted.get("private") or wanted.get("visibility") == "private"
    repository = Repository(kind, owner, name, private, wanted.get("sdk"))
    url = f"{request.hub.url}/{'' if kind == 'model' else KINDS[kind] + '/'}{repository.id}"
    if (kind, repository.id) in request.hub.repositories:
        raise HubError(409, "You already created this repo", url=url)
    repository.add("main", "initial commit", {".gitattributes": Blob(ATTRIBUTES.encode(), is_lfs=False)})
    request.hub.repositories[kind, repository.id] = repository
    return {"url": url, "name": repository.id, "id": repository.id}


@route("GET", "/api/{kind}/{id}/auth-check(?P<write>/write)?")
def check_access(request: Request, kind: str, id: str, write: str | None) -> dict:
    repository = repository_of(request, kind, id)
    if write:
        request.check_writer(repository.owner)
    return {}


@route("POST", "/api/validate-yaml")
def validate_yaml(request: Request) -> dict:
    content = request.json().get("content", "")
    front_matter = re.match(r"---\n(.*?)\n---", content, flags=re.DOTALL)
    try:
        parsed = yaml.safe_load(front_matter.group(1)) if front_matter else {}
    except yaml.YAMLError as error:
        raise HubError(400, "Invalid YAML", errors=[{"message": str(error)}], warnings=[]) from error
    if not isinstance(parsed, dict):
        raise HubError(400, "Invalid metadata", errors=[{"message": "no mapping"}], warnings=[])
    return {"errors": [], "warnings": []}


@route("GET", "/api/{kind}/{id}/refs")
def list_references(request: Request, kind: str, id: str) -> dict:
    repository = repository_of(request, kind, id)

    def entries(commits: dict[str, Commit], group: str) -> list[dict]:
        return [
            {"name": name, "ref": f"refs/{group}/{name}", "targetCommit": commit.oid}
            for name, commit in commits.items()
        ]

    return {
        "branches": entries(repository.branches, "heads"),
        "tags": entries(repository.tags, "tags"),
        "converts": [],
    }


@route("(POST|DELETE)", "/api/{kind}/{id}/(?P<group>branch|tag)/{revision}")
def change_reference(request: Request, kind: str, id: str, group: str, revision: str) -> dict:
    repository = repository_of(request, kind, id)
    request.check_writer(repository.owner)
    commits = repository.branches if group == "branch" else repository.tags
    wanted = request.json()
    # a tag's name stands in the body, and in the path what it is put on
    name = revision if group == "branch" or request.method == "DELETE" else wanted["tag"]
    if request.method == "DELETE":
        if name not in commits:
            raise HubError(404, "Invalid rev id", "RevisionNotFound")
        del commits[name]
        return {}
    if name in commits:
        raise HubError(409, f"Reference {name} exists already")
    commits[name] = repository.commit_of(wanted.get("startingPoint") or ("main" if group == "branch" else revision))
    return {}


@route("GET", "/api/{kind}/{id}(?:/revision/{revision})?")
def describe_repository(request: Request, kind: str, id: str, revision: str | None) -> dict:
    repository = repository_of(request, kind, id)
    commit = repository.commit_of(revision or "main")
    card = commit.files.get("README.md", Blob(b"", is_lfs=False)).content.decode()
    front_matter = re.match(r"---\n(.*?)\n---", card, flags=re.DOTALL)
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {
        "id": repository.id,
        "_id": repository.id,
        "author": repository.owner,
        "sha": commit.oid,
        "private": repository.private,
        "gated": False,
        "disabled": False,
        "lastModified": now,
        "createdAt": now,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "cardData": yaml.safe_load(front_matter.group(1)) if front_matter else {},
        "siblings": [{"rfilename": name} for name in sorted(commit.files)],
        **({"modelId": repository.id} if kind == "models" else {}),
        **({"sdk": repository.sdk} if kind == "spaces" else {}),
    }


def describe_file(name: str, blob: Blob) -> dict:
    entry = {"type": "file", "path": name, "size": len(blob.content), "oid": blob.oid[:40]}
    if blob.is_lfs:
        entry["lfs"] = {"oid": blob.oid, "size": len(blob.content), "pointerSize": 134}
    return entry


def describe_folder(name: str) -> dict:
    return {"type": "directory", "path": name, "size": 0, "oid": hashlib.sha1(name.encode()).hexdigest()}


@route("GET", "/api/{kind}/{id}/tree/{revision}(?:/{path})?")
def list_tree(request: Request, kind: str, id: str, revision: str, path: str | None) -> list[dict]:
    files = repository_of(request, kind, id).commit_of(revision).files
    prefix = f"{path.rstrip('/')}/" if path else ""
    inside = {name: blob for name, blob in sorted(files.items()) if name.startswith(prefix)}
    if prefix and not inside:
        raise HubError(404, f"{path} does not exist on {revision}", "EntryNotFound")
    recursive = request.query.get("recursive", "").lower() in ("1", "true")
    entries, folders = [], {}
    for name, blob in inside.items():
        parts = name.removeprefix(prefix).split("/")
        for depth in range(1, len(parts)):
            if recursive or depth == 1:
                folders.setdefault(prefix + "/".join(parts[:depth]), None)
        if recursive or len(parts) == 1:
            entries.append(describe_file(name, blob))
    return [*map(describe_folder, folders), *entries]


@route("POST", "/api/{kind}/{id}/paths-info/{revision}")
def list_paths(request: Request, kind: str, id: str, revision: str) -> list[dict]:
    files = repository_of(request, kind, id).commit_of(revision).files
    form = parse_qs(request.body.decode())
    entries = []
    for path in form.get("paths", []):
        if path in files:
            entries.append(describe_file(path, files[path]))
        elif any(name.startswith(f"{path.rstrip('/')}/") for name in files):
            entries.append(describe_folder(path.rstrip("/")))
    return entries


@route("POST", "/api/{kind}/{id}/preupload/{revision}")
def choose_upload_modes(request: Request, kind: str, id: str, revision: str) -> dict:
    repository = repository_of(request, kind, id)
    request.check_writer(repository.owner)
    present = repository.commit_of(revision).files
    files = []
    for file in request.json()["files"]:
        is_lfs = file["path"].endswith(LFS_SUFFIXES) or file["size"] > LFS_SIZE
        oid = present[file["path"]].oid if file["path"] in present else None
        mode = "lfs" if is_lfs else "regular"
        files.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
    return {"files": files}


@route("POST", "/{path}\\.git/info/lfs/objects/batch")
def offer_lfs_upload(request: Request, path: str) -> dict:
    kind, _, repo_id = path.rpartition("s/") if path.startswith(("datasets/", "spaces/")) else ("model", "", path)
    repository = request.hub.find(kind, repo_id, request.user)
    request.check_writer(repository.owner)
    objects = []
    for wanted in request.json()["objects"]:
        entry = {"oid": wanted["oid"], "size": wanted["size"]}
        if wanted["oid"] not in request.hub.lfs:
            href = f"{request.hub.url}/lfs/{wanted['oid']}"
            entry["actions"] = {"upload": {"href": href}, "verify": {"href": f"{href}/verify"}}
        objects.append(entry)
    return {"transfer": "basic", "objects": objects}


@route("PUT", "/lfs/(?P<oid>[0-9a-f]{64})")
def store_lfs(request: Request, oid: str) -> dict:
    # signed as the true one is: whoever was given the address may write
    if hashlib.sha256(request.body).hexdigest() != oid:
        raise HubError(400, "The content does not have the SHA-256 that was announced")
    request.hub.lfs[oid] = request.body
    return {}


@route("POST", "/lfs/(?P<oid>[0-9a-f]{64})/verify")
def verify_lfs(request: Request, oid: str) -> dict:
    if len(request.hub.lfs.get(oid, b"")) != request.json()["size"]:
        raise HubError(404, "The object has not arrived")
    return {}


@route("POST", "/api/{kind}/{id}/commit/{revision}")
def commit(request: Request, kind: str, id: str, revision: str) -> dict:
    repository = repository_of(request, kind, id)
    request.check_writer(repository.owner)
    if "create_pr" in request.query:
        raise HubError(403, "Pull requests are not open here")
    if revision not in repository.branches:
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    try:
        lines = [json.loads(line) for line in request.body.splitlines() if line.strip()]
        header = next(line["value"] for line in lines if line["key"] == "header")
    except (ValueError, KeyError, StopIteration) as error:
        raise HubError(400, "The commit is not NDJSON with a header") from error
    with request.hub.lock:
        head = repository.branches[revision]
        if header.get("parentCommit") not in (None, head.oid):
            raise HubError(412, "A commit has happened since. Please refresh and try again.")
        files = dict(head.files)
        for line in lines:
            apply_operation(request.hub, files, line["key"], line["value"])
        # here and not before: all of it, or nothing
        made = repository.add(revision, header["summary"], files)
    url = f"{request.hub.url}/{'' if kind == 'models' else kind + '/'}{id}/commit/{made.oid}"
    return {"success": True, "commitOid": made.oid, "commitUrl": url, "hookOutput": ""}


def apply_operation(hub: LoopbackHub, files: dict[str, Blob], key: str, value: dict) -> None:
    if key == "file":
        files[value["path"]] = Blob(base64.b64decode(value["content"]), is_lfs=False)
    elif key == "lfsFile":
        if value["oid"] not in hub.lfs:
            raise HubError(400, f"The LFS object of {value['path']} has not been uploaded")
        files[value["path"]] = Blob(hub.lfs[value["oid"]], is_lfs=True)
    elif key in ("deletedFile", "deletedFolder"):
        path = value["path"].rstrip("/")
        gone = [name for name in files if name == path or (key == "deletedFolder" and name.startswith(f"{path}/"))]
        if not gone:
            raise HubError(404, f"{path} does not exist", "EntryNotFound")
        for name in gone:
            del files[name]
    elif key != "header":
        raise HubError(400, f"Unknown operation {key}")


@route("(GET|HEAD)", "(?:/(?P<kind>datasets|spaces))?/{id}/resolve/{revision}/{path}")
def resolve(request: Request, kind: str | None, id: str, revision: str, path: str) -> "File":
    repository = request.hub.find((kind or "models").removesuffix("s"), id, request.user)
    commit = repository.commit_of(revision)
    if path not in commit.files:
        raise HubError(404, "Entry not found", "EntryNotFound")
    return File(commit.files[path], commit.oid)


@dataclass(frozen=True)
class File:
    """The answer to a download."""

    blob: Blob
    commit: str

    def headers(self) -> dict[str, str]:
        headers = {"X-Repo-Commit": self.commit, "ETag": f'"{self.blob.oid}"', "Accept-Ranges": "bytes"}
        if self.blob.is_lfs:
            headers |= {"X-Linked-ETag": f'"{self.blob.oid}"', "X-Linked-Size": str(len(self.blob.content))}
        return headers


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"
    # headers and body are two writes; the second would wait for the acknowledgement of the first, some 40 ms
    disable_nagle_algorithm = True

    def log_message(self, *arguments) -> None:
        pass

    def handle_any(self) -> None:
        name = f"{self.command} {self.path}"
        fault = self.hub.take_fault(name)
        try:
            if fault is not None and fault.after_bytes is not None and self.command in ("POST", "PUT"):
                self.rfile.read(min(fault.after_bytes, int(self.headers.get("Content-Length", fault.after_bytes))))
                return self.hang_up()
            body = self.read_body()
            if fault is not None and fault.status is not None:
                retry = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
                return self.answer(fault.status, b'{"error": "ordered by the test"}', retry)
            self.dispatch(body, fault.after_bytes if fault else None)
        except ConnectionError:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

    def dispatch(self, body: bytes, after_bytes: int | None) -> None:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        request = Request(self.hub, self.command, parts.path, query, self.headers, body)
        try:
            self.hub.requests.append((self.command, parts.path, request.user))
            result = self.find_answer(request)
        except HubError as error:
            content = json.dumps({"error": error.message, **error.body}).encode()
            headers = {"X-Error-Message": error.message, **({"X-Error-Code": error.code} if error.code else {})}
            return self.answer(error.status, content, headers)
        if isinstance(result, File):
            return self.send_file(result, after_bytes)
        self.answer(200, json.dumps(result).encode(), {"Content-Type": "application/json"})

    def find_answer(self, request: Request) -> Any:
        for method, pattern, function in ROUTES:
            found = pattern.fullmatch(request.path)
            if found and re.fullmatch(method, request.method):
                return function(request, **{k: v and unquote(v) for k, v in found.groupdict().items()})
        self.hub.unknown_requests.append(f"{request.method} {request.path}")
        raise HubError(404, f"No such endpoint: {request.path}")

    def send_file(self, file: File, after_bytes: int | None) -> None:
        content, status, headers = file.blob.content, 200, file.headers()
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted:
            start, end = int(wanted[1]), min(int(wanted[2] or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            content, status = content[start : end + 1], 206
        if after_bytes is not None:
            self.answer(status, content[:after_bytes], headers, announced=len(content))
            return self.hang_up()
        self.answer(status, content, headers)

    def answer(self, status: int, content: bytes, headers: dict[str, str], announced: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(announced or len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)
