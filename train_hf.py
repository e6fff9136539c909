"""Train the language model: `accelerate launch train_hf.py recipes/fast.yaml --output_dir runs/fast`.

The code is in `src/mnist_text_gen/commands/train_hf.py`. An installed package has it as `mnist-text-gen-train`.
"""

from mnist_text_gen.commands.train_hf import main


if __name__ == "__main__":
    main()
