# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The server in `loopback_hub.py` answers the real clients as the Hub does; what else relies on it relies on this."""

import json
import os
from urllib.request import urlopen

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from loopback_hub import LoopbackHub


WEIGHTS = bytes(range(256)) * 400
METRIC = """
import datasets
import evaluate


class Total(evaluate.Metric):
    def _info(self):
        features = datasets.Features({"predictions": datasets.Value("float64")})
        return evaluate.MetricInfo(description="", citation="", inputs_description="", features=features)

    def _compute(self, predictions):
        return {"total": sum(predictions)}
"""


@pytest.fixture(scope="module")
def server():
    with LoopbackHub() as server:
        yield server


@pytest.fixture
def hub(server, monkeypatch, tmp_path):
    """The server without what other tests left, and reachable although the tests are offline."""
    for kept in (server.repositories, server.tokens, server.lfs, server.requests, server.unknown_requests):
        kept.clear()
    changes = {"HF_HUB_OFFLINE": False, "HF_HUB_DISABLE_XET": True, "HF_HUB_CACHE": str(tmp_path / "cache")}
    for name, value in changes.items():
        monkeypatch.setattr(constants, name, value)
    yield server
    assert server.unknown_requests == []
    assert server.faults == []


@pytest.fixture
def waits(monkeypatch):
    """The seconds that the client would have waited between its attempts."""
    waits = []
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", waits.append)
    return waits


@pytest.fixture
def login(hub):
    def login(name, role="write"):
        return HfApi(endpoint=hub.url, token=hub.add_user(name, role))

    return login


@pytest.fixture
def ada(login):
    return login("ada")


@pytest.fixture
def anyone(hub):
    return HfApi(endpoint=hub.url, token=False)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Digits\n")
    (folder / "sub" / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    return folder


@pytest.fixture
def digits(ada, folder):
    ada.create_repo("digits")
    ada.upload_folder(repo_id="ada/digits", folder_path=folder)
    return "ada/digits"


def status_of(call, *arguments, **keywords):
    with pytest.raises(HfHubHTTPError) as error:
        call(*arguments, **keywords)
    return error.value.response.status_code


def test_token_says_who_and_what_role(hub, ada, login, anyone):
    assert ada.whoami()["name"] == "ada"
    assert login("eve", role="read").whoami()["auth"]["accessToken"]["role"] == "read"
    assert status_of(HfApi(endpoint=hub.url, token="hf_unknown").whoami) == 401


def test_creation_is_refused_with_the_status_that_says_why(hub, ada, login, anyone):
    assert ada.create_repo("ada/digits") == f"{hub.url}/ada/digits"
    assert ada.create_repo("ada/digits", exist_ok=True) == f"{hub.url}/ada/digits"
    assert status_of(ada.create_repo, "ada/digits") == 409
    # of another kind, and so another repository
    assert ada.create_repo("ada/digits", repo_type="dataset") == f"{hub.url}/datasets/ada/digits"
    assert status_of(anyone.create_repo, "ada/new") == 401
    assert status_of(HfApi(endpoint=hub.url, token="hf_unknown").create_repo, "ada/new") == 401
    assert status_of(login("eve").create_repo, "ada/new") == 403
    assert status_of(login("ada", role="read").create_repo, "ada/new") == 403
    # the client itself refuses the worst of names, so past it
    body = {"name": "a b", "organization": None, "type": "model"}
    answer = httpx2.post(f"{hub.url}/api/repos/create", json=body, headers=ada._build_hf_headers())
    assert answer.status_code == 400


def test_what_is_uploaded_comes_back_from_the_right_store(hub, ada, anyone, digits, folder):
    assert sorted(anyone.list_repo_files(digits)) == [
        ".gitattributes",
        "README.md",
        "model.safetensors",
        "sub/config.json",
    ]
    for name in ("model.safetensors", "sub/config.json"):
        with open(anyone.hf_hub_download(digits, name), "rb") as file:
            assert file.read() == (folder / name).read_bytes()
    weights, config = anyone.get_paths_info(digits, ["model.safetensors", "sub/config.json"])
    assert weights.lfs.size == weights.size == len(WEIGHTS) and config.lfs is None
    large = os.urandom(6_000_000)
    ada.upload_file(path_or_fileobj=large, path_in_repo="large.txt", repo_id=digits)
    assert ("PUT", f"/lfs/{anyone.get_paths_info(digits, 'large.txt')[0].lfs.sha256}", None) in hub.requests
    assert hub.files(digits)["large.txt"] == large


def test_repository_tells_about_itself(ada, anyone, digits):
    info = anyone.model_info(digits)
    assert (info.author, info.private, info.card_data.license) == ("ada", False, "apache-2.0")
    assert info.sha == anyone.list_repo_commits(digits)[0].commit_id
    assert [commit.title for commit in anyone.list_repo_commits(digits)] == [
        "Upload folder using huggingface_hub",
        "initial commit",
    ]
    assert anyone.repo_exists(digits) and not anyone.repo_exists(digits, repo_type="dataset")
    assert anyone.file_exists(digits, "README.md") and not anyone.file_exists(digits, "other")
    top = {entry.path for entry in anyone.list_repo_tree(digits)}
    assert {"sub", "README.md"} < top and "sub/config.json" not in top
    assert [entry.path for entry in anyone.list_repo_tree(digits, "sub")] == ["sub/config.json"]
    with pytest.raises(EntryNotFoundError):
        list(anyone.list_repo_tree(digits, "missing"))


def test_second_upload_of_the_same_makes_no_commit(hub, ada, digits, folder):
    first = hub.commits(digits)[0].oid
    assert ada.upload_folder(repo_id=digits, folder_path=folder).oid == first
    (folder / "sub" / "config.json").write_text("[]")
    ada.upload_folder(repo_id=digits, folder_path=folder)
    assert len(hub.commits(digits)) == 3
    assert [request[0] for request in hub.requests].count("PUT") == 1


def test_branches_and_tags_and_pinned_revisions_keep_what_they_had(hub, ada, anyone, digits):
    first = anyone.repo_info(digits).sha
    ada.create_tag(digits, tag="v1")
    ada.create_branch(digits, branch="try/this")
    ada.upload_file(path_or_fileobj=b"[1]", path_in_repo="sub/config.json", repo_id=digits, revision="try/this")
    ada.upload_file(path_or_fileobj=b"[2]", path_in_repo="sub/config.json", repo_id=digits)
    for revision, content in {"v1": "{}", first: "{}", "try/this": "[1]", "main": "[2]"}.items():
        with open(anyone.hf_hub_download(digits, "sub/config.json", revision=revision)) as file:
            assert file.read() == content, revision
    refs = anyone.list_repo_refs(digits)
    assert {branch.name for branch in refs.branches} == {"main", "try/this"}
    assert [(tag.name, tag.target_commit) for tag in refs.tags] == [("v1", first)]
    assert status_of(ada.create_tag, digits, tag="v1") == 409
    ada.create_branch(digits, branch="try/this", exist_ok=True)
    ada.delete_tag(digits, tag="v1")
    ada.delete_branch(digits, branch="try/this")
    with pytest.raises(RevisionNotFoundError):
        anyone.repo_info(digits, revision="v1")


def test_private_repository_is_not_there_for_others(hub, ada, login, anyone, digits):
    ada.update_repo_settings(digits, private=True)
    assert ada.repo_info(digits).private
    for other, status in ((anyone, 401), (login("eve"), 404)):
        for call in (other.repo_info, other.list_repo_files, other.snapshot_download):
            with pytest.raises(RepositoryNotFoundError) as error:
                call(digits)
            assert error.value.response.status_code == status
        url = f"{hub.url}/{digits}/resolve/main/README.md"
        with pytest.raises(RepositoryNotFoundError):
            other.get_hf_file_metadata(url=url, token=other.token)
    ada.update_repo_settings(digits, private=False)
    assert not anyone.repo_info(digits).private


def test_read_token_and_strangers_write_nothing(hub, ada, login, anyone, digits):
    before = hub.commits(digits)
    for api, status in ((login("ada", role="read"), 403), (login("eve"), 403), (anyone, 401)):
        with pytest.raises(HfHubHTTPError) as error:
            api.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=digits)
        assert error.value.response.status_code == status
        assert status_of(api.delete_repo, digits) == status
        assert status_of(api.create_tag, digits, tag="v1") == status
    assert hub.commits(digits) == before


def test_what_is_missing_has_its_own_error(ada, anyone, digits):
    with pytest.raises(EntryNotFoundError):
        anyone.hf_hub_download(digits, "missing.txt")
    with pytest.raises(RevisionNotFoundError):
        anyone.hf_hub_download(digits, "README.md", revision="v9")
    with pytest.raises(RepositoryNotFoundError):
        anyone.hf_hub_download("ada/missing", "README.md")
    ada.delete_repo(digits)
    with pytest.raises(RepositoryNotFoundError):
        ada.hf_hub_download(digits, "README.md")


def test_commit_on_an_outdated_parent_is_refused(hub, ada, digits):
    parent = hub.commits(digits)[0].oid
    ada.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=digits, parent_commit=parent)
    late = {"path_or_fileobj": b"2", "path_in_repo": "a.txt", "repo_id": digits}
    assert status_of(ada.upload_file, **late, parent_commit=parent) == 412
    assert hub.files(digits)["a.txt"] == b"1"


def test_commit_happens_whole_or_not_at_all(hub, ada, digits):
    operations = [CommitOperationAdd("a.txt", b"a"), CommitOperationDelete("missing.txt")]
    assert status_of(ada.create_commit, digits, operations, commit_message="half") == 404
    assert "a.txt" not in hub.files(digits)
    operations = [CommitOperationAdd("a.txt", b"a"), CommitOperationDelete("sub/")]
    ada.create_commit(digits, operations, commit_message="whole")
    assert {"a.txt"} == set(hub.files(digits)) - {".gitattributes", "README.md", "model.safetensors"}
    unsent = {"path": "b.bin", "algo": "sha256", "oid": "0" * 64, "size": 1}
    lines = [{"key": "header", "value": {"summary": "no blob"}}, {"key": "lfsFile", "value": unsent}]
    for body in ("\n".join(map(json.dumps, lines)), "no json", json.dumps(lines[1])):
        url = f"{hub.url}/api/models/{digits}/commit/main"
        assert httpx2.post(url, content=body, headers=ada._build_hf_headers()).status_code == 400
    assert len(hub.commits(digits)) == 3


def test_lfs_takes_only_the_bytes_that_were_announced(hub, ada, digits):
    before = len(hub.lfs)
    assert httpx2.put(f"{hub.url}/lfs/{'0' * 64}", content=b"other").status_code == 400
    assert len(hub.lfs) == before


def test_front_matter_that_is_no_yaml_is_refused(hub, ada, digits):
    before = hub.commits(digits)
    with pytest.raises(ValueError, match="Invalid metadata"):
        ada.upload_file(path_or_fileobj=b"---\na: [\n---\n", path_in_repo="README.md", repo_id=digits)
    assert hub.commits(digits) == before


def test_snapshot_has_every_file_once_and_is_of_one_revision(hub, ada, anyone, digits, folder):
    path = anyone.snapshot_download(digits)
    assert path.endswith(hub.commits(digits)[0].oid)
    with open(f"{path}/model.safetensors", "rb") as file:
        assert file.read() == WEIGHTS
    gets = len([name for method, name, _ in hub.requests if method == "GET" and "/resolve/" in name])
    assert gets == len(hub.files(digits))
    assert anyone.snapshot_download(digits) == path
    assert len([name for method, name, _ in hub.requests if method == "GET" and "/resolve/" in name]) == gets


def test_part_of_a_file_can_be_asked_for(hub, digits):
    url = f"{hub.url}/{digits}/resolve/main/model.safetensors"
    answer = httpx2.get(url, headers={"Range": "bytes=100-199"})
    assert (answer.status_code, answer.content) == (206, WEIGHTS[100:200])
    assert answer.headers["Content-Range"] == f"bytes 100-199/{len(WEIGHTS)}"
    with urlopen(url) as whole:
        assert whole.read() == WEIGHTS


def test_upload_that_breaks_is_tried_again_and_shows_no_half(hub, ada, digits, folder, waits):
    (folder / "model.safetensors").write_bytes(WEIGHTS[::-1])
    hub.break_next("PUT /lfs", after_bytes=1000)
    made = ada.upload_folder(repo_id=digits, folder_path=folder)
    assert waits == [1]
    assert hub.commits(digits)[0].oid == made.oid
    assert len(hub.commits(digits)) == 3
    assert hub.files(digits)["model.safetensors"] == WEIGHTS[::-1]


def test_upload_that_stays_broken_leaves_no_revision_and_can_be_repeated(hub, ada, digits, folder, waits):
    before = hub.commits(digits)
    (folder / "model.safetensors").write_bytes(WEIGHTS[::-1])
    hub.break_next("PUT /lfs", after_bytes=1000, times=6)
    with pytest.raises(RuntimeError, match=r"model\.safetensors"):
        ada.upload_folder(repo_id=digits, folder_path=folder)
    assert hub.commits(digits) == before
    ada.upload_folder(repo_id=digits, folder_path=folder)
    assert hub.files(digits)["model.safetensors"] == WEIGHTS[::-1]


def test_commit_that_breaks_happens_not_at_all(hub, ada, digits, waits):
    before = hub.commits(digits)
    hub.break_next(f"POST /api/models/{digits}/commit/", after_bytes=10)
    with pytest.raises(httpx2.TransportError):
        ada.upload_file(path_or_fileobj=b"a", path_in_repo="a.txt", repo_id=digits)
    assert hub.commits(digits) == before
    ada.upload_file(path_or_fileobj=b"a", path_in_repo="a.txt", repo_id=digits)
    assert hub.files(digits)["a.txt"] == b"a"


@pytest.mark.parametrize(("status", "retry_after", "waited"), [(429, 7, 8), (429, None, 1), (503, None, 1)])
def test_client_waits_as_it_is_told(hub, ada, digits, waits, status, retry_after, waited):
    hub.fail_next(f"POST /api/models/{digits}/preupload/", status=status, retry_after=retry_after)
    ada.upload_file(path_or_fileobj=b"a", path_in_repo="a.txt", repo_id=digits)
    assert waits == [waited]
    assert hub.files(digits)["a.txt"] == b"a"


def test_download_that_breaks_goes_on_where_it_stopped(hub, anyone, digits, waits):
    hub.break_next("GET /ada/digits/resolve/.*/model.safetensors", after_bytes=1000)
    with open(anyone.hf_hub_download(digits, "model.safetensors"), "rb") as file:
        assert file.read() == WEIGHTS
    assert waits == [1]


@pytest.mark.slow
def test_data_set_is_pushed_loaded_and_streamed(hub, ada, tmp_path):
    code = (
        "import json\n"
        "from datasets import Dataset, DatasetDict, load_dataset\n"
        "rows = Dataset.from_dict({'digit': list(range(10))})\n"
        "DatasetDict(train=rows, test=rows.select([3])).push_to_hub('ada/rows', private=True)\n"
        "rows.select([4]).push_to_hub('ada/rows', split='extra')\n"
        "loaded = load_dataset('ada/rows')\n"
        "streamed = [row['digit'] for row in load_dataset('ada/rows', split='train', streaming=True)]\n"
        "print(json.dumps([{name: len(split) for name, split in loaded.items()}, streamed]))\n"
    )
    assert hub.run(code, ada.token, tmp_path / "home") == [{"train": 10, "test": 1, "extra": 1}, list(range(10))]
    assert hub.repositories["dataset", "ada/rows"].private


@pytest.mark.slow
def test_metric_is_loaded_from_a_space(hub, ada, anyone, tmp_path):
    ada.create_repo("ada/total", repo_type="space", space_sdk="gradio")
    ada.upload_file(path_or_fileobj=METRIC.encode(), path_in_repo="total.py", repo_id="ada/total", repo_type="space")
    assert anyone.space_info("ada/total").sdk == "gradio"
    code = "import evaluate\nprint(evaluate.load('ada/total').compute(predictions=[1.0, 2.0])['total'])\n"
    assert hub.run(code, None, tmp_path / "home") == 3.0
