"""Draw digits: `python sample_hf.py --digits 3 7 --output_dir sample_img`.

The code is in `src/mnist_text_gen/commands/sample_hf.py`. An installed package has it as `mnist-text-gen-sample`.
"""

from mnist_text_gen.commands.sample_hf import main


if __name__ == "__main__":
    main()
