"""Turns a GGUF file into a folder vLLM serves. Runs as a script inside the engine's interpreter, never in Hearth's own.

    PYTHON -I convert_gguf.py SOURCE.gguf OUT_FOLDER

Knows transformers and torch; knows nothing of Hearth, which the engine's interpreter need not have installed. Weights
are dequantised to bfloat16. OUT_FOLDER must be empty or absent; exit code 0 means it is whole.
"""

from __future__ import annotations

import sys
from pathlib import Path


def convert(source: Path, out: Path) -> None:
    """Reads the weights, the tokenizer and the chat template out of `source` and saves all three in `out`."""
    import torch  # noqa: PLC0415
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig  # noqa: PLC0415

    where = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    model = AutoModelForCausalLM.from_pretrained(
        **where, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16
    )
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(**where).save_pretrained(out)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
