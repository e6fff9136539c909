"""Write the text data set: `python build_dataset.py --output_dir mnist-text --push_to_hub_id you/mnist-text`.

The command lives in `src/mnist_text_gen/commands/build_dataset.py`, so that an installed wheel has it too
(`mnist-text-gen-dataset`).
"""

from mnist_text_gen.commands.build_dataset import main


if __name__ == "__main__":
    main()
