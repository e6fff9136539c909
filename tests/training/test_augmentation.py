# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""What the Trainer reads in each epoch: distortions of that epoch, also after a resume and with workers."""

import pytest
import torch
from small_trainings import StopAt
from transformers import Trainer, TrainingArguments, default_data_collator

from mnist_text_gen.data import load_corpus, set_epoch
from mnist_text_gen.data.arguments import AugmentedSourceArguments
from mnist_text_gen.training.augmentation import AugmentationCallback


NUM_IMAGES, BATCH_SIZE, NUM_EPOCHS = 6, 2, 3


class Recorder(torch.nn.Module):
    """Learns nothing, and keeps what it was given."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = []

    def forward(self, input_ids, **kwargs):
        self.seen.append(input_ids)
        return {"loss": self.weight.sum()}


def load_rows():
    return load_corpus("mnist-5k", num_train_samples=NUM_IMAGES, num_eval_samples=1, augmentation=1.0)["train"]


def record(output_dir, resume=False, stop=None, **changes):
    """The texts that three epochs read, as ids `[steps, B, 152]`."""
    settings = {"per_device_train_batch_size": BATCH_SIZE, "num_train_epochs": NUM_EPOCHS, "use_cpu": True}
    quiet = {"save_strategy": "no", "report_to": "none", "disable_tqdm": True, "remove_unused_columns": False}
    args = TrainingArguments(output_dir=str(output_dir), **(settings | quiet | changes))
    model = Recorder()
    trainer = Trainer(
        model=model,
        args=args,
        train_dataset=load_rows(),
        data_collator=default_data_collator,
        callbacks=[AugmentationCallback(AugmentedSourceArguments(augmentation=1.0, num_plain_epochs=1)), StopAt(stop)],
    )
    trainer.train(resume_from_checkpoint=resume)
    return torch.stack(model.seen)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return record(tmp_path_factory.mktemp("whole"))


def test_every_epoch_reads_its_own_distortions_and_the_last_the_images_as_they_are(whole):
    rows = load_rows()
    for epoch, strength in enumerate((1.0, 1.0, 0.0)):
        set_epoch(rows, epoch, strength)
        expected = sorted(map(list, rows[:]["input_ids"]))
        assert sorted(whole.view(NUM_EPOCHS, NUM_IMAGES, 152)[epoch].tolist()) == expected


@pytest.mark.parametrize("stop", [2, 3, 4])
def test_a_resumed_run_reads_what_an_uninterrupted_one_would(whole, tmp_path, stop):
    first = record(tmp_path, stop=stop)
    second = record(tmp_path, resume=True)
    assert torch.equal(torch.cat([first, second[-(len(whole) - stop) :]]), whole)


@pytest.mark.slow
@pytest.mark.parametrize("stay", [False, True])
def test_workers_read_the_same(whole, tmp_path, stay):
    seen = record(tmp_path, dataloader_num_workers=1, dataloader_persistent_workers=stay)
    assert torch.equal(seen, whole)
