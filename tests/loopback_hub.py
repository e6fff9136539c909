# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""A small Hugging Face Hub on 127.0.0.1, for the real clients of Transformers, `datasets`, `evaluate` and the Hub.

It has repositories of models, data sets and Spaces with branches, commits that happen whole or not at all, LFS, tokens
that may and may not write, private repositories, and the status codes and headers that the clients tell errors by.
Faults can be ordered: an answer of 500 or 429, or a connection that breaks in the middle of an upload. What no test
asks for is not there, and `unknown_requests` keeps what a client asked for in vain.
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
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import yaml


LFS_SUFFIXES = (".safetensors", ".parquet", ".bin", ".pt", ".png", ".arrow", ".onnx")
ATTRIBUTES = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES)


class HubError(Exception):
    """An answer that is an error; `code` is what the clients know it by."""

    def __init__(self, status: int, message: str, code: str | None = None, **body: Any):
        super().__init__(message)
        self.status, self.message, self.code, self.body = status, message, code, body


class Blob(NamedTuple):
    content: bytes
    is_lfs: bool

    @property
    def oid(self) -> str:
        """What tells the clients whether a file has changed: git's SHA-1 of a blob, or LFS's SHA-256."""
        if self.is_lfs:
            return hashlib.sha256(self.content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()

    def describe(self, path: str) -> dict:
        entry = {"type": "file", "path": path, "size": len(self.content), "oid": self.oid[:40]}
        lfs = {"oid": self.oid, "size": len(self.content), "pointerSize": 134}
        return entry | ({"lfs": lfs} if self.is_lfs else {})


class Commit(NamedTuple):
    oid: str
    files: dict[str, Blob]


@dataclass
class Repository:
    kind: str
    owner: str
    id: str
    private: bool
    branches: dict[str, list[Commit]]  # the last commit is the newest

    def commit_of(self, revision: str) -> Commit:
        if revision in self.branches:
            return self.branches[revision][-1]
        for commit in (commit for commits in self.branches.values() for commit in commits):
            if commit.oid == revision:
                return commit
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def add(self, branch: str, files: dict[str, Blob]) -> Commit:
        commits = self.branches.setdefault(branch, [])
        seed = [self.kind, self.id, *(f"{name}:{blob.oid}" for name, blob in sorted(files.items())), str(len(commits))]
        commits.append(Commit(hashlib.sha1("\n".join(seed).encode()).hexdigest(), files))
        return commits[-1]


class Fault(NamedTuple):
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

    def run(self, command: str | list, token: str | None, home: Path, **variables: str) -> Any:
        """Run Python code, or a command, in a process that takes this for the Hub, in the folder that `home` is in.

        Gives what the last line of the code's output says in JSON, or for a command the `CompletedProcess`.
        """
        home.parent.mkdir(parents=True, exist_ok=True)
        environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_OFFLINE": "0",
            "NO_PROXY": "127.0.0.1",
            **({"HF_TOKEN": token} if token else {}),
            **variables,
        }
        argv = [sys.executable, "-c", command] if isinstance(command, str) else [str(part) for part in command]
        done = subprocess.run(argv, capture_output=True, text=True, cwd=home.parent, env=environment)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout.splitlines()[-1]) if isinstance(command, str) else done

    def files(self, repo_id: str, revision: str = "main", repo_type: str = "model") -> dict[str, bytes]:
        commit = self.repositories[repo_type, repo_id].commit_of(revision)
        return {name: blob.content for name, blob in commit.files.items()}

    def commits(self, repo_id: str) -> list[Commit]:
        """Those of a model's main branch; the first is the empty one of the new repository."""
        return self.repositories["model", repo_id].branches["main"]

    def fail_next(self, pattern: str, status: int, retry_after: int | None = None, times: int = 1) -> None:
        """Answer the next requests whose `"METHOD path"` has the pattern with an error."""
        self.faults += [Fault(pattern, status=status, retry_after=retry_after)] * times

    def break_next(self, pattern: str, after_bytes: int, times: int = 1) -> None:
        """Close the connection of the next such requests in the middle of what they send."""
        self.faults += [Fault(pattern, after_bytes=after_bytes)] * times

    def take_fault(self, request: str) -> Fault | None:
        with self.lock:
            for index, fault in enumerate(self.faults):
                if re.search(fault.pattern, request):
                    return self.faults.pop(index)
        return None


ROUTES: list[tuple[str, re.Pattern, Callable]] = []
ID = r"(?P<id>[^/]+/[^/]+?)"
REPOSITORY = rf"/api/(?P<kind>models|datasets|spaces)/{ID}"
AT_ROOT = rf"(?:/(?P<kind>datasets|spaces))?/{ID}"
REVISION = "(?P<revision>[^/]+)"


def route(method: str, pattern: str) -> Callable:
    def register(function: Callable) -> Callable:
        ROUTES.append((method, re.compile(pattern), function))
        return function

    return register


class _Handler(BaseHTTPRequestHandler):
    """Answers a request by the one of its methods whose route it is."""

    hub: LoopbackHub
    protocol_version = "HTTP/1.1"
    # headers and body are two writes; the second would wait for the acknowledgement of the first, some 40 ms
    disable_nagle_algorithm = True

    def log_message(self, *arguments) -> None:
        pass

    def handle_any(self) -> None:
        fault = self.hub.take_fault(f"{self.command} {self.path}")
        if fault is not None and fault.after_bytes is not None:
            self.rfile.read(fault.after_bytes)
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fault is not None:
            retry = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            self.answer(fault.status, b'{"error": "ordered by the test"}', retry)
            return
        try:
            result = self.find_answer(urlsplit(self.path).path)
        except HubError as error:
            content = json.dumps({"error": error.message, **error.body}).encode()
            headers = {"X-Error-Message": error.message, **({"X-Error-Code": error.code} if error.code else {})}
            self.answer(error.status, content, headers)
        else:
            if result is not None:
                self.answer(200, json.dumps(result).encode(), {"Content-Type": "application/json"})

    do_GET = do_HEAD = do_POST = do_PUT = handle_any

    def find_answer(self, path: str) -> Any:
        for method, pattern, function in ROUTES:
            found = pattern.fullmatch(path)
            if found and re.fullmatch(method, self.command):
                return function(self, **{name: part and unquote(part) for name, part in found.groupdict().items()})
        self.hub.unknown_requests.append(f"{self.command} {path}")
        raise HubError(404, f"No such endpoint: {path}")

    def answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    @property
    def account(self) -> tuple[str | None, str]:
        """The user, and what the token may do."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in self.hub.tokens:
            raise HubError(401, "Invalid credentials in Authorization header")
        return self.hub.tokens.get(token, (None, "none"))

    def check_writer(self, owner: str | None) -> None:
        user, role = self.account
        if user is None:
            raise HubError(401, "Invalid username or password.")
        if user != owner or role != "write":
            raise HubError(403, f"You don't have the rights to write under the namespace {owner}")

    def find(self, kind: str | None, id: str, write: bool = False) -> Repository:
        repository = self.hub.repositories.get(((kind or "models").removesuffix("s"), id))
        user, _ = self.account
        if repository is None or (repository.private and repository.owner != user):
            # who may not see it is not told whether it is there
            raise HubError(404 if user else 401, "Repository not found", "RepoNotFound")
        if write:
            self.check_writer(repository.owner)
        return repository

    @route("POST", "/api/repos/create")
    def create_repository(self) -> dict:
        wanted = json.loads(self.body)
        kind, owner = wanted.get("type") or "model", wanted.get("organization") or self.account[0]
        self.check_writer(owner)
        id, private = f"{owner}/{wanted['name']}", wanted.get("private") or wanted.get("visibility") == "private"
        url = f"{self.hub.url}/{'' if kind == 'model' else kind + 's/'}{id}"
        if (kind, id) in self.hub.repositories:
            raise HubError(409, "You already created this repo", url=url)
        repository = self.hub.repositories[kind, id] = Repository(kind, owner, id, private, {})
        repository.add("main", {".gitattributes": Blob(ATTRIBUTES.encode(), is_lfs=False)})
        return {"url": url, "name": id, "id": id}

    @route("GET", REPOSITORY + "/auth-check(?P<write>/write)?")
    def check_access(self, kind: str, id: str, write: str | None) -> dict:
        self.find(kind, id, write is not None)
        return {}

    @route("POST", "/api/validate-yaml")
    def validate_yaml(self) -> dict:
        front_matter = re.match(r"---\n(.*?)\n---", json.loads(self.body)["content"], flags=re.DOTALL)
        assert front_matter is None or isinstance(yaml.safe_load(front_matter[1]), dict)
        return {"errors": [], "warnings": []}

    @route("POST", REPOSITORY + "/branch/" + REVISION)
    def create_branch(self, kind: str, id: str, revision: str) -> dict:
        branches = self.find(kind, id, write=True).branches
        if revision in branches:
            raise HubError(409, f"Reference {revision} exists already")
        branches[revision] = list(branches["main"])
        return {}

    @route("GET", REPOSITORY + f"(?:/revision/{REVISION})?")
    def describe_repository(self, kind: str, id: str, revision: str | None) -> dict:
        repository = self.find(kind, id)
        commit = repository.commit_of(revision or "main")
        siblings = [{"rfilename": name} for name in sorted(commit.files)]
        return {"id": id, "sha": commit.oid, "private": repository.private, "siblings": siblings}

    @route("GET", REPOSITORY + f"/tree/{REVISION}(?:/(?P<path>.+))?")
    def list_tree(self, kind: str, id: str, revision: str, path: str | None) -> list[dict]:
        files = self.find(kind, id).commit_of(revision).files
        prefix = f"{path.rstrip('/')}/" if path else ""
        inside = {name: blob for name, blob in sorted(files.items()) if name.startswith(prefix)}
        if prefix and not inside:
            raise HubError(404, f"{path} does not exist on {revision}", "EntryNotFound")
        recursive = "recursive=true" in urlsplit(self.path).query.lower()
        entries = {}
        for name, blob in inside.items():
            parts = name.removeprefix(prefix).split("/")
            for depth in range(1, 1 + (len(parts) if recursive else 1)):
                place = prefix + "/".join(parts[:depth])
                entries[place] = describe_folder(place) if depth < len(parts) else blob.describe(name)
        return list(entries.values())

    @route("POST", REPOSITORY + f"/paths-info/{REVISION}")
    def list_paths(self, kind: str, id: str, revision: str) -> list[dict]:
        files = self.find(kind, id).commit_of(revision).files
        paths = [path.rstrip("/") for path in parse_qs(self.body.decode()).get("paths", [])]
        folders = [path for path in paths if any(name.startswith(f"{path}/") for name in files)]
        return [*(files[path].describe(path) for path in paths if path in files), *map(describe_folder, folders)]

    @route("POST", REPOSITORY + f"/preupload/{REVISION}")
    def choose_upload_modes(self, kind: str, id: str, revision: str) -> dict:
        present = self.find(kind, id, write=True).commit_of(revision).files
        files = []
        for path in (file["path"] for file in json.loads(self.body)["files"]):
            mode = "lfs" if path.endswith(LFS_SUFFIXES) else "regular"
            oid = present[path].oid if path in present else None
            files.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return {"files": files}

    @route("POST", AT_ROOT + "[.]git/info/lfs/objects/batch")
    def offer_lfs_upload(self, kind: str | None, id: str) -> dict:
        self.find(kind, id, write=True)
        objects = [{"oid": wanted["oid"], "size": wanted["size"]} for wanted in json.loads(self.body)["objects"]]
        for entry in objects:
            if entry["oid"] not in self.hub.lfs:
                entry["actions"] = {"upload": {"href": f"{self.hub.url}/lfs/{entry['oid']}"}}
        return {"transfer": "basic", "objects": objects}

    @route("PUT", "/lfs/(?P<oid>[0-9a-f]{64})")
    def store_lfs(self, oid: str) -> dict:
        # signed as the true one is: whoever was given the address may write
        assert hashlib.sha256(self.body).hexdigest() == oid
        self.hub.lfs[oid] = self.body
        return {}

    @route("POST", REPOSITORY + f"/commit/{REVISION}")
    def commit(self, kind: str, id: str, revision: str) -> dict:
        repository = self.find(kind, id, write=True)
        with self.hub.lock:
            files = dict(repository.branches[revision][-1].files)
            for line in map(json.loads, self.body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    files[value["path"]] = Blob(base64.b64decode(value["content"]), is_lfs=False)
                elif line["key"] == "lfsFile":
                    files[value["path"]] = Blob(self.hub.lfs[value["oid"]], is_lfs=True)
                else:
                    assert line["key"] == "header"
            # here and not before: all of it, or nothing
            oid = repository.add(revision, files).oid
        url = f"{self.hub.url}/{'' if kind == 'models' else kind + '/'}{id}/commit/{oid}"
        return {"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""}

    @route("(GET|HEAD)", AT_ROOT + f"/resolve/{REVISION}/(?P<path>.+)")
    def resolve(self, kind: str | None, id: str, revision: str, path: str) -> None:
        commit = self.find(kind, id).commit_of(revision)
        if path not in commit.files:
            raise HubError(404, "Entry not found", "EntryNotFound")
        blob = commit.files[path]
        content, status = blob.content, 200
        headers = {"X-Repo-Commit": commit.oid, "ETag": f'"{blob.oid}"', "Accept-Ranges": "bytes"}
        if blob.is_lfs:
            headers |= {"X-Linked-ETag": f'"{blob.oid}"', "X-Linked-Size": str(len(content))}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted:
            start, end = int(wanted[1]), min(int(wanted[2] or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            content, status = content[start : end + 1], 206
        self.answer(status, content, headers)


def describe_folder(path: str) -> dict:
    return {"type": "directory", "path": path, "size": 0, "oid": hashlib.sha1(path.encode()).hexdigest()}
