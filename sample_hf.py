"""Draw digits: `python sample_hf.py --digits 3 7 --output_dir sample_img`.

The command lives in `src/mnist_text_gen/commands/sample_hf.py`, so that an installed wheel has it too
(`mnist-text-gen-sample`).
"""

from mnist_text_gen.commands.sample_hf import main


if __name__ == "__main__":
    main()
