"""Train the classifier: `accelerate launch train_classifier.py recipes/classifier.yaml --output_dir runs/classifier`.

The command lives in `src/mnist_text_gen/commands/train_classifier.py`, so that an installed wheel has it too
(`mnist-text-gen-train-classifier`).
"""

from mnist_text_gen.commands.train_classifier import main


if __name__ == "__main__":
    main()
