# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""What is published arrives whole, and a stranger draws the same pictures with it.

The real clients of Transformers, `datasets`, `evaluate` and the Hub, in processes of their own, against the server in
`loopback_hub.py`. `pytest tests/publishing -k stranger` is the short way from a push to a stranger's pictures.
"""

import getpass
import json
import os
import re
import shlex
import shutil
import socket
import sys
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import HfApi, constants
from loopback_hub import LoopbackHub
from transformers import pipeline

from mnist_text_gen import MnistTextGenerationPipeline, load_pipeline
from mnist_text_gen.commands import draw_dataset, sample_hf, train_classifier, train_hf
from mnist_text_gen.publishing import GENERATED, hash_weights, open_repository, upload_folder


ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow

# Where the package is installed, importing it fails as where it is not.
STRANGER = "import sys; sys.modules['mnist_text_gen'] = None\n"
FEW = "--num_train_samples 20 --num_eval_samples 5"
SHOW = """
def show(draw):
    return [[r["generated_text"], r["score"]] for r in draw("7", seed=0)]
"""


@pytest.fixture(scope="session")
def hub():
    """One for all tests of a process: Transformers keeps the address that it saw first."""
    with LoopbackHub() as hub:
        yield hub


@pytest.fixture(scope="session")
def ada(hub):
    return hub.add_user("ada")


@pytest.fixture
def run(hub, tmp_path):
    """Run a command, or Python code that prints JSON in its last line, with an empty `HF_HOME` or the one named."""

    def run(command, token=None, home=None, **variables):
        return hub.run(command, token, home or tmp_path / f"home-{os.urandom(4).hex()}", **variables)

    return run


@pytest.fixture
def online(hub, monkeypatch, tmp_path):
    """Make the server the Hub of this process too, for what needs no process of its own."""

    def online(user, role="write"):
        monkeypatch.setenv("HF_TOKEN", "hf_unknown" if user == "unknown" else hub.add_user(user, role))
        if user is None:
            monkeypatch.delenv("HF_TOKEN")

    template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    changes = {"ENDPOINT": hub.url, "HUGGINGFACE_CO_URL_TEMPLATE": template, "HF_HUB_CACHE": str(tmp_path / "cache")}
    for name, value in {**changes, "HF_HUB_OFFLINE": False, "HF_HUB_DISABLE_XET": True}.items():
        monkeypatch.setattr(constants, name, value)
    # Transformers keeps one client, of the Hub that was there when it was first asked for
    monkeypatch.setattr("transformers.utils.hub._hf_api", None)
    return online


@pytest.fixture(scope="session")
def pushed(hub, ada, tiny_files, tmp_path_factory):
    """The repository `ada/digits`, pushed twice, and what was drawn before the push."""
    code = SHOW + (
        "import json, mnist_text_gen\n"
        "from transformers import pipeline\n"
        f"draw = pipeline('mnist-text-gen', model={str(tiny_files)!r})\n"
        "before = show(draw)\n"
        "commits = [draw.push_to_hub('digits').oid for _ in range(2)]\n"
        "print(json.dumps([before, commits]))\n"
    )
    before, commits = hub.run(code, ada, tmp_path_factory.mktemp("ada") / "home")
    return {"id": "ada/digits", "before": before, "commits": commits}


def test_repository_is_complete_leaks_nothing_and_a_second_push_makes_no_commit(hub, pushed, tiny_files):
    files = hub.files(pushed["id"])
    assert set(files) - {".gitattributes"} == {
        *("README.md", "config.json", "generation_config.json", "model.safetensors"),
        *("tokenizer.json", "tokenizer_config.json", "custom_generate/generate.py"),
        *("cached_gpt2.py", "custom_generate/cached_gpt2.py"),
        *("classifier/config.json", "classifier/model.safetensors"),
        *("classifier/configuration_mnist_cnn.py", "classifier/modeling_mnist_cnn.py", "classifier/weights.py"),
        *("binary_images.py", "candidates.py", "class_names.py", "completion.py", "configuration_mnist_cnn.py"),
        *("given_images.py", "language_model.py", "selection.py"),
        *("likelihood.py", "logits_process.py", "modeling_mnist_cnn.py", "pipeline_mnist_text_generation.py"),
        *("predictive_sampling.py", "sampling_arguments.py", "streaming.py", "tokenization_mnist_text.py"),
        "weights.py",
    }
    check_that_nothing_leaks(files, tiny_files)
    first, second = pushed["commits"]
    assert first == second and hub.unknown_requests == []


def check_that_nothing_leaks(files, *folders):
    """No pickle, and no path, user or name of this machine."""
    for name, content in files.items():
        assert not name.endswith((".bin", ".pt", ".pth", ".pkl")) and "checkpoint-" not in name
        assert not content.startswith((b"\x80\x02", b"\x80\x04", b"PK\x03\x04")), name
        for word in {*map(str, folders), str(ROOT), str(Path.home()), sys.prefix}:
            assert word.encode() not in content, (name, word)
        if name.endswith((".json", ".md")):
            assert not re.search(rb"/(home|root|tmp|work|Users)\b", content), name
            for word in (getpass.getuser(), socket.gethostname()):
                assert not re.search(rf"\b{re.escape(word)}\b", content.decode()), (name, word)


def test_stranger_draws_the_same_pictures_offline_too_and_from_what_was_saved_again(run, pushed, tmp_path):
    """A fresh process without the package draws the same eight; then one offline, from the cache and from a copy."""
    load = (
        "import json\n"
        "from transformers import pipeline\n"
        "draw = pipeline(model={model!r}, trust_remote_code=True)\n"
        "drawn.append(show(draw))\n"
    )
    home, saved, again = (tmp_path / name for name in ("home", "saved", "again"))
    begin = STRANGER + SHOW + "drawn = []\n" + load.format(model=pushed["id"])
    end = "draw.save_pretrained({folder!r})\nprint(json.dumps(drawn))"
    assert run(begin + end.format(folder=str(saved)), home=home) == [pushed["before"]]
    from_copy = load.format(model=str(saved)) + end.format(folder=str(again))
    assert run(begin + from_copy, home=home, HF_HUB_OFFLINE="1") == [pushed["before"]] * 2
    names = [{str(path.relative_to(folder)) for path in folder.rglob("*.*")} for folder in (saved, again)]
    assert names[0] == names[1] >= {"classifier/model.safetensors", "custom_generate/generate.py"}


def test_stranger_draws_a_class_by_name_from_images_of_another_size(online, run, named_files):
    online("ada")
    draw = load_pipeline(named_files)
    draw.push_to_hub("ada/clothes")
    arguments = {"num_candidates": 2, "num_return_sequences": 1, "seed": 3}
    (expected,) = draw("Ankle boot", **arguments)
    label, text, size, refusal = run(
        STRANGER + "import json\n"
        "from transformers import pipeline\n"
        "draw = pipeline('mnist-text-gen', model='ada/clothes', trust_remote_code=True)\n"
        f"(result,) = draw('Ankle boot', **{arguments})\n"
        "try:\n"
        "    draw('Sneaker')\n"
        "except ValueError as error:\n"
        "    refusal = str(error)\n"
        "print(json.dumps([result['label'], result['generated_text'], result['image'].size, refusal]))\n"
    )
    assert (label, text, size) == ("Ankle boot", expected["generated_text"], [12, 12])
    assert refusal.endswith("must be 0 to 2 or one of the names 'T-shirt/top', 'Ankle boot', 'Bag', got 'Sneaker'")


def test_stranger_loads_the_parts_with_trust(run, pushed):
    code = STRANGER + (
        "import json, torch\n"
        "from transformers import AutoModelForCausalLM, AutoModelForImageClassification, AutoTokenizer\n"
        f"name, trust = {pushed['id']!r}, dict(trust_remote_code=True)\n"
        "tokenizer = AutoTokenizer.from_pretrained(name, **trust)\n"
        "model = AutoModelForCausalLM.from_pretrained(name, **trust)\n"
        "classifier = AutoModelForImageClassification.from_pretrained(name, subfolder='classifier', **trust)\n"
        "prompts = torch.tensor([[7], [3]])\n"
        "ids = model.generate(prompts, custom_generate=name, seeds=[0, 1], attention_mask=torch.ones_like(prompts),\n"
        "                     **trust)\n"
        "shape = list(classifier(torch.zeros(2, 1, 30, 30)).logits.shape)\n"
        "images = tokenizer.decode_images([':'.join('7') + ':' * 150 + ')'])\n"
        "names = [type(part).__name__ for part in (tokenizer, classifier)]\n"
        "print(json.dumps([*names, shape, images.shape, ids[:, 0].tolist()]))\n"
    )
    names = ["MnistTextTokenizer", "MnistCnnForImageClassification"]
    assert run(code) == [*names, [2, 10], [1, 30, 30], [7, 3]]


def test_stranger_without_trust_gets_stock_classes_or_is_told_what_is_missing(run, pushed, tmp_path):
    code = STRANGER + (
        "import json\n"
        "from huggingface_hub import snapshot_download\n"
        "from transformers import AutoModelForCausalLM, AutoModelForImageClassification, AutoTokenizer\n"
        "from transformers import pipeline, set_seed\n"
        f"name = {pushed['id']!r}\n"
        f"model = AutoModelForCausalLM.from_pretrained(name, revision={pushed['commits'][0]!r})\n"
        "tokenizer = AutoTokenizer.from_pretrained(name)\n"
        "set_seed(0)\n"
        "texts = [pipeline('text-generation', model=name)('7')[0]['generated_text'] for _ in range(2)]\n"
        "errors = []\n"
        "for load in (lambda: AutoModelForImageClassification.from_pretrained(name, subfolder='classifier'),\n"
        "             lambda: pipeline('mnist-text-gen', model=name)):\n"
        "    try: load()\n"
        "    except Exception as error: errors.append(f'{type(error).__name__}: {error}')\n"
        "files = snapshot_download(name)\n"
        "again = AutoTokenizer.from_pretrained(files)\n"
        "ids = tokenizer('7:y)')['input_ids']\n"
        "print('\\n' + json.dumps([type(model).__name__, type(tokenizer).__name__, ids, texts, errors, len(again)]))\n"
    )
    model, tokenizer, ids, texts, errors, size = run(code)
    assert (model, tokenizer, ids, size) == ("GPT2LMHeadModel", "TokenizersBackend", [7, 10, 73, 74], 75)
    assert all(text.startswith("7") and len(text) <= 152 for text in texts)
    assert len(errors) == 2 and all("trust_remote_code" in error for error in errors), errors


def test_card_is_written_and_an_edited_one_is_kept(hub, online, pushed, tiny_files, tmp_path):
    card = hub.files(pushed["id"])["README.md"].decode()
    front_matter = yaml.safe_load(card.split("---\n")[1])
    assert front_matter["library_name"] == "transformers" and "model-index" not in front_matter
    assert GENERATED in card and 'model="ada/digits"' in card
    online("ada")
    draw = pipeline("mnist-text-gen", model=str(tiny_files))
    draw.push_to_hub("edited", private=True, tags=["first"])
    assert "- first\n" in hub.files("ada/edited")["README.md"].decode()
    HfApi().upload_file(path_or_fileobj=b"mine", path_in_repo="README.md", repo_id="ada/edited")
    draw.push_to_hub("edited", revision="other")
    draw.push_to_hub("edited", commit_message="third")
    assert {hub.files("ada/edited", branch)["README.md"] for branch in ("main", "other")} == {b"mine"}
    draw.save_pretrained(tmp_path / "here", push_to_hub=True, repo_id="ada/saved", revision="v2")
    assert "model.safetensors" in hub.files("ada/saved", "v2")
    assert "model.safetensors" not in hub.files("ada/saved")


def test_commands_in_the_docs_publish_model_data_set_and_metric(hub, ada, run, tmp_path):
    """Each as it stands there, but with a recipe of seconds and images that need no network."""
    page = (ROOT / "docs" / "publishing.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- publish commands -->\n```bash\n(.*?)```", page, flags=re.DOTALL).group(1)
    changes = {
        "you/": "ada/",
        "recipes/fast.yaml": f"{ROOT}/recipes/smoke.yaml",
        "runs/": f"{tmp_path}/runs/",
        "mnist-text-gen-dataset": f"mnist-text-gen-dataset --dataset_name mnist-5k {FEW}",
        "train_hf.py": f"{ROOT}/train_hf.py",
        "metrics/image_nats": f"{ROOT}/metrics/image_nats",
    }
    commands = [line for line in block.splitlines() if not line.startswith("#")]
    assert len(commands) == 4
    for command in commands:
        run(shlex.split(replace(command, changes)), token=ada)
    check_model(hub, tmp_path / "runs" / "mine")
    code = (
        "import json, evaluate\n"
        "from datasets import load_dataset\n"
        "from mnist_text_gen.data import load_images\n"
        "rows = load_dataset('ada/mnist-text')\n"
        "first = next(iter(load_dataset('ada/mnist-text', split='test', streaming=True)))\n"
        "nats = evaluate.load('ada/image_nats').compute(token_losses=[[1.0, 2.0]])['nats_per_image']\n"
        "sizes, same = {name: len(split) for name, split in rows.items()}, first['text'] == rows['test'][0]['text']\n"
        "to_train_on = load_images('ada/mnist-text')['train'].images.shape\n"
        "print(json.dumps([sizes, same, first['image'].size, len(first['text']), nats, to_train_on]))\n"
    )
    assert run(code) == [{"train": 20, "test": 5}, True, [28, 28], 152, 3.0, [20, 28, 28]]
    check_python_blocks(hub, ada, run, page, changes)


def replace(text, changes):
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


def check_python_blocks(hub, ada, run, page, changes):
    """The one that publishes, and the one of a stranger, who can pass on model and code without the package."""
    publish, use = (replace(block, changes) for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL))
    run(f"{publish}\nprint('null')", token=ada)
    pushed = hub.files("ada/my-digits")
    assert {name for name in pushed if name != "README.md"} == set(hub.files("ada/mnist-text-gen")) - {"README.md"}
    save = (
        "import json\n"
        "from pathlib import Path\n"
        "pipe.save_pretrained('again')\n"
        "files = [path for path in Path('again').rglob('*') if path.is_file()]\n"
        "print(json.dumps({str(path.relative_to('again')): path.read_bytes().hex() for path in files}))\n"
    )
    again = run(f"{STRANGER}{use}\n{save}")
    original = hub.files("ada/mnist-text-gen")
    records = {"README.md", ".gitattributes", "run.json", "classifier/run.json"}
    assert set(again) == {name for name in original if name not in records and not name.startswith("sample_img/")}
    assert [name for name in again if bytes.fromhex(again[name]) != original[name]] == []


def check_model(hub, folder):
    files = hub.files("ada/mnist-text-gen")
    check_that_nothing_leaks(files, folder)
    assert {f"sample_img/{digit}.png" for digit in range(10)} <= set(files)
    run = json.loads(files["run.json"])
    assert run["weights"] == {"model.safetensors": hash_weights(folder)["model.safetensors"]}
    assert run["training"][0]["dataset"] == "mnist-5k" and run["training"][0]["num_steps"] == 4
    front_matter = yaml.safe_load(files["README.md"].decode().split("---\n")[1])
    results = front_matter["model-index"][0]["results"]
    metrics = {metric["type"]: metric["value"] for result in results for metric in result["metrics"]}
    assert metrics["image_nats"] == run["results"]["image_nats"]["value"]
    assert "sample_img/7.png" in files["README.md"].decode()


@pytest.mark.parametrize(
    ("who", "repo_id", "found"),
    [
        (None, "ada/x", "needs a token that the Hub knows; run `hf auth login`"),
        ("unknown", "ada/x", "needs a token that the Hub knows; run `hf auth login`"),
        ("reader", "eve/x", "must have write access to 'eve/x'"),
        ("eve", "ada/digits", "must have write access to 'ada/digits'"),
        ("eve", "ada/new", "must have write access to 'ada/new'"),
        ("eve", "eve/name.git", "name.git"),
    ],
)
def test_training_that_may_not_be_published_is_refused_before_it_begins(
    pushed, online, refusal_of, tmp_path, who, repo_id, found
):
    online(who, role="read" if who == "reader" else "write")
    options = ["--output_dir", tmp_path / "run", "--use_cpu", "--push_to_hub", "--hub_model_id", repo_id]
    assert found in refusal_of(train_hf, ROOT / "recipes/smoke.yaml", *options)
    assert not (tmp_path / "run").exists()


def test_model_whose_classifier_does_not_fit_is_refused_before_its_training(
    hub, online, refusal_of, tmp_path, tiny_files
):
    online("ada")
    options = ["--output_dir", tmp_path / "run", "--use_cpu", "--push_to_hub", "--hub_model_id", "never"]
    line = refusal_of(train_hf, ROOT / "recipes/smoke.yaml", *options, "--image_size", "24")
    assert "must have 2 to 10 labels, 1 channel and an image size of 24, got 10, 1 and 30" in line
    options += ["--classifier_name_or_path", tiny_files, "--class_names", *"abcdefghij"]
    line = refusal_of(train_hf, ROOT / "recipes/smoke.yaml", *options)
    assert "language model and the classifier must have the same classes, got 'a', 'b'" in line
    assert not (tmp_path / "run").exists() and not [key for key in hub.repositories if "ada/never" in key]


def test_what_holds_pickles_is_not_published(online, refusal_of, tmp_path):
    online("ada")
    options = ["--output_dir", tmp_path / "run", "--use_cpu", "--push_to_hub"]
    for strategy in ("checkpoint", "all_checkpoints"):
        line = refusal_of(train_hf, ROOT / "recipes/smoke.yaml", *options, "--hub_strategy", strategy)
        assert "`hub_strategy` must not publish checkpoints" in line
    line = refusal_of(train_classifier, ROOT / "recipes/smoke_classifier.yaml", *options)
    assert "train_hf.py --push_to_hub" in line


@pytest.fixture
def waits(monkeypatch):
    """The seconds that were waited, without waiting; those of the Hub's client too, which tries uploads again."""
    seconds = []
    monkeypatch.setattr("time.sleep", seconds.append)
    return seconds


@pytest.mark.parametrize("fault", ["upload", "commit", "429", "503"])
def test_upload_that_fails_for_a_moment_is_completed_and_never_half_visible(
    hub, online, tiny_checkpoint, waits, fault
):
    online("ada")
    name = open_repository(f"moment-{fault}")
    request = f"POST /api/models/{name}/commit"
    if fault == "upload":
        # no other upload has brought the server these bytes
        (tiny_checkpoint / "extra.safetensors").write_bytes(os.urandom(200_000))
        hub.break_next("PUT /lfs", after_bytes=1000)
    elif fault == "commit":
        hub.break_next(request, after_bytes=100)
    else:
        hub.fail_next(request, status=int(fault), retry_after=7 if fault == "429" else None)
    upload_folder(tiny_checkpoint, name)
    assert hub.faults == [] and waits[-1] == (7 if fault == "429" else 1)
    assert len(hub.commits(name)) == 2  # the first is the empty one
    assert hub.files(name)["model.safetensors"] == (tiny_checkpoint / "model.safetensors").read_bytes()


@pytest.mark.parametrize(("status", "retry_after"), [(503, None), (429, 3600), ("commit", None), ("upload", None)])
@pytest.mark.usefixtures("waits")
def test_hub_that_stays_down_is_told_about_and_nothing_is_published(hub, online, tiny_checkpoint, status, retry_after):
    online("ada")
    name = open_repository(f"down-{status}")
    request = f"POST /api/models/{name}/commit"
    if status == "commit":
        hub.break_next(request, after_bytes=100, times=4)
    elif status == "upload":
        (tiny_checkpoint / "extra.safetensors").write_bytes(os.urandom(200_000))
        hub.break_next("PUT /lfs", after_bytes=1000, times=100)
    else:
        hub.fail_next(request, status=status, retry_after=retry_after, times=4)
    with pytest.raises(ConnectionError) as error:
        upload_folder(tiny_checkpoint, name)
    told = f"cannot be reached for '{name}'" if isinstance(status, str) else f"the Hub answers {status} for '{name}'"
    assert told in str(error.value)
    assert set(hub.files(name)) == {".gitattributes"}
    hub.faults.clear()
    upload_folder(tiny_checkpoint, name)
    assert "model.safetensors" in hub.files(name)


def test_pinned_revision_is_loaded_with_its_own_classifier(online, named_files):
    online("ada")

    def load(name, **revision):
        return pipeline("mnist-text-gen", str(name), pipeline_class=MnistTextGenerationPipeline, **revision)

    def show(draw):
        return [(result["generated_text"], result["score"]) for result in draw("Bag", seed=0)]

    draw = load(named_files)
    first, first_commit = show(draw), draw.push_to_hub("pinned").oid
    for parameter in [*draw.model.parameters(), *draw.classifier.parameters()]:
        parameter.data.mul_(1.5)
    second = show(draw)
    assert draw.push_to_hub("pinned").oid != first_commit and first != second
    assert show(load("ada/pinned", revision=first_commit)) == first
    assert show(load("ada/pinned")) == second


def test_labelled_data_set_of_weights_on_the_hub_is_pushed_under_the_name_of_the_tokens_owner(
    hub, online, pushed, tmp_path
):
    online("ada")
    folder = tmp_path / "drawn"
    options = ["--num_images", "6", "--num_images_per_shard", "4", "--push_to_hub_id", "drawn"]
    draw_dataset.main([*options, "--model_name_or_path", pushed["id"], "--output_dir", str(folder)])
    settings = json.loads((folder / "generation.json").read_text())
    assert settings["weights"] == {"id": pushed["id"], "commit": pushed["commits"][0]}
    files = hub.files("ada/drawn", repo_type="dataset")
    paths = [path.relative_to(folder) for path in folder.rglob("*.*") if path.is_file()]
    # the hashes of the shards stay at home
    local = {str(path): (folder / path).read_bytes() for path in paths if path.parts[0] != ".sha256"}
    assert {name: files.get(name) for name in local} == local
    assert {"README.md", "generation.json", "data/train-00001-of-00002.parquet"} <= set(files)


@pytest.mark.parametrize("broken", ["pickle", "short", "classifier", "private", "missing", "download"])
def test_repository_that_cannot_be_loaded_is_named(hub, online, refusal_of, tiny_files, tmp_path, broken):
    name = f"ada/broken-{broken}"
    online("ada")
    copy = tmp_path / "copy"
    shutil.copytree(tiny_files, copy)
    if broken == "pickle":
        (copy / "model.safetensors").unlink()
        torch.save({}, copy / "pytorch_model.bin")
    elif broken in ("short", "classifier"):
        path = copy / ("model.safetensors" if broken == "short" else "classifier/model.safetensors")
        path.write_bytes(path.read_bytes()[:-1000])
    if broken != "missing":
        HfApi().create_repo(name, private=broken == "private")
        HfApi().upload_folder(repo_id=name, folder_path=copy)
    online(None)
    if broken == "download":
        hub.fail_next(f"GET /{name}/resolve/.*/model.safetensors", status=500, times=20)
    line = refusal_of(sample_hf, "--model_name_or_path", name, "--output_dir", tmp_path / "out")
    hub.faults.clear()
    assert name in line
    assert not (tmp_path / "out").exists()
