"""Train the classifier: `accelerate launch train_classifier.py recipes/classifier.yaml --output_dir runs/classifier`.

The code is in `src/mnist_text_gen/commands/train_classifier.py`. An installed package has it as
`mnist-text-gen-train-classifier`.
"""

from mnist_text_gen.commands.train_classifier import main


if __name__ == "__main__":
    main()
