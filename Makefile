.PHONY: test test-lowest test-newest test-versions quality style smoke pictures wasm bench bench-train bench-gpu

test:  ## all tests; needs the test extra
	python -m pytest -n 2 --dist loadfile

test-lowest: PYTHON = 3.10
test-lowest: RESOLUTION = --resolution lowest-direct --constraint .github/constraints-lowest.txt
test-lowest: test-versions  ## with the lowest versions that pyproject.toml allows; needs uv

test-newest: PYTHON = 3.14
test-newest: RESOLUTION = --upgrade
test-newest: test-versions  ## with the newest ones; PRERELEASE=allow takes pre-releases too

# All quick tests, and of the slow ones those of a process without this package, of trainings and of their checkpoints:
# they depend most on the inside of Transformers. The others start browsers, notebooks and commands once more.
PRERELEASE ?= if-necessary-or-explicit
test-versions:
	uv venv --clear --seed --python $(PYTHON) .venv-versions
	uv pip install --python .venv-versions $(RESOLUTION) --prerelease $(PRERELEASE) -e ".[test]"
	uv pip list --python .venv-versions
	.venv-versions/bin/python -m pytest -n 2 --dist loadfile -m "not slow"
	.venv-versions/bin/python -m pytest -n 2 --dist loadfile -m slow tests/publishing tests/training

quality:  ## what CI checks, without changing a file
	ruff check .
	ruff format --check .
	mypy

style:  ## format, and mend what can be mended
	ruff check --fix .
	ruff format .

smoke:  ## train a few steps, with no network
	python train_hf.py recipes/smoke.yaml

pictures:  ## sample_img/, from the shipped weights
	python sample_hf.py --seed 0 --output_dir sample_img

PYTHON = python
WASM = src/mnist_text_gen/page/engine.wasm
wasm:  ## the engine of the page, from its source in C; needs the wasm extra
	$(PYTHON) -m ziglang cc -target wasm32-freestanding -O3 -s -msimd128 -Wl,--no-entry -Wl,--export-memory \
	  src/mnist_text_gen/page/engine.c -o $(WASM)

bench:  ## the side-by-side measurements
	python benchmarks/sampling.py

bench-gpu:  ## decoding, tests and trainings on a GPU, about eight minutes; may be cut off and started again
	python benchmarks/gpu.py --source $(MNIST) --output_dir runs/gpu-figures

MNIST ?= ylecun/mnist
bench-train:  ## the same of training, more than an hour; MNIST=folder of the IDX files, the Hub by default
	python benchmarks/training.py speed --source $(MNIST)
	python benchmarks/training.py nats --source $(MNIST) --output_dir docs/time_to_nats
