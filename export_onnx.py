"""Export to ONNX, for transformers.js and the page in `web/`: `python export_onnx.py --output_dir onnx`.

The command lives in `src/mnist_text_gen/commands/export_onnx.py`, so that an installed wheel has it too
(`mnist-text-gen-export-onnx`).
"""

from mnist_text_gen.commands.export_onnx import main


if __name__ == "__main__":
    main()
