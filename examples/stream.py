"""An answer as it is being written, a sampled one, and several requests at once: `python examples/stream.py [MODEL]`."""

from __future__ import annotations

import sys
from pathlib import Path

from varco_vision import VarcoVision
from varco_vision.infer.engine import Request
from varco_vision.infer.sampling import Sampling
from varco_vision.infer.service import Service

SCENE = str(Path(__file__).parent / "scene.png")


def main(model: str | None = None) -> None:
    """Print pieces of answers and what is known about them."""
    vision = VarcoVision.from_pretrained(model)
    handle = vision.stream(SCENE, "<gro>\nWhere is the red circle?", constrain=True)
    for delta in handle:
        print(delta.text, end="", flush=True)
    answer = handle.result()
    print(f"\n[{answer.stop_reason}, {answer.prompt_tokens} + {answer.new_tokens} tokens, {answer.timings}]")

    drawn = vision.chat(SCENE, "물체가 몇 개 있나요?", sampling=Sampling(temperature=0.7, top_p=0.8, seed=1))
    print(drawn, "- seed", drawn.seed)

    with Service(vision.engine, queue_limit=16) as service:
        question = [{"type": "image"}, {"type": "text", "text": "How many objects are there?"}]
        handles = [service.submit(Request([{"role": "user", "content": question}], [SCENE])) for _ in range(3)]
        print([str(handle.result()) for handle in handles], service.stats())


if __name__ == "__main__":
    main(*sys.argv[1:])
