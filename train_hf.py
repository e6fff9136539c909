"""Train the language model: `accelerate launch train_hf.py recipes/fast.yaml --output_dir runs/fast`.

The command lives in `src/mnist_text_gen/commands/train_hf.py`, so that an installed wheel has it too
(`mnist-text-gen-train`).
"""

from mnist_text_gen.commands.train_hf import main


if __name__ == "__main__":
    main()
