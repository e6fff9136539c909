.PHONY: test quality style smoke pictures bench bench-train bench-gpu

test:  ## all tests; needs the test extra
	python -m pytest -n 2 --dist loadfile

quality:  ## what CI checks, without changing a file
	ruff check .
	ruff format --check .

style:  ## format, and mend what can be mended
	ruff check --fix .
	ruff format .

smoke:  ## train a few steps, with no network
	python train_hf.py recipes/smoke.yaml

pictures:  ## sample_img/, from the shipped weights
	python sample_hf.py --seed 0 --output_dir sample_img

bench:  ## the side-by-side measurements
	python benchmarks/sampling.py

bench-gpu:  ## decoding, tests and trainings on a GPU, about eight minutes; may be cut off and started again
	python benchmarks/gpu.py --source $(MNIST) --output_dir runs/gpu-figures

MNIST ?= ylecun/mnist
bench-train:  ## the same of training, more than an hour; MNIST=folder of the IDX files, the Hub by default
	python benchmarks/training.py speed --source $(MNIST)
	python benchmarks/training.py nats --source $(MNIST) --output_dir docs/time_to_nats
