"""The other side of benchmarks/eval.py: lmms-eval with the same checkpoint behind plain transformers. Runs where lmms-eval is.

The model class does what lmms-eval's own wrapper for Hugging Face LLaVA models does: one request at a time, the picture
processor, the chat template, `model.generate`. Its own wrapper cannot be used as it stands, because it wants torchvision.
"""

from __future__ import annotations

import json
import sys
import time
import unicodedata
from pathlib import Path

import torch
from lmms_eval.api.model import lmms
from lmms_eval.evaluator import simple_evaluate
from lmms_eval.tasks import TaskManager
from transformers import AutoTokenizer, LlavaOnevisionForConditionalGeneration, LlavaOnevisionProcessor
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil


class Wrapper(lmms):
    """A LLaVA-OneVision checkpoint behind `model.generate`, batch size 1."""

    is_simple = True

    def __init__(self, directory: str) -> None:
        super().__init__()
        self.model = LlavaOnevisionForConditionalGeneration.from_pretrained(directory, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(directory)
        config = self.model.config
        self.processor = LlavaOnevisionProcessor.__new__(LlavaOnevisionProcessor)  # its __init__ insists on torchvision
        self.processor.image_processor = LlavaOnevisionImageProcessorPil.from_pretrained(directory)
        self.processor.num_image_tokens = (config.vision_config.image_size // config.vision_config.patch_size) ** 2
        self.processor.vision_feature_select_strategy = "full"
        self.processor.vision_aspect_ratio, self.processor.image_token = config.vision_aspect_ratio, "<image>"
        ends = self.model.generation_config.eos_token_id
        self.ends = {self.tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])}
        self.seconds = self.cpu = 0.0

    @torch.inference_mode()
    def generate_until(self, requests):
        begun, cpu = time.monotonic(), time.process_time()
        said = [self._one(*request.args) for request in requests]
        self.seconds += time.monotonic() - begun
        self.cpu += time.process_time() - cpu
        return said

    def _one(self, context, settings, doc_to_visual, doc_id, task, split):
        images = doc_to_visual(self.task_dict[task][split][doc_id])
        content = [*({"type": "image"} for _ in images), {"type": "text", "text": context}]
        inputs = dict(self.processor.image_processor([images], return_tensors="pt"))
        plain = {key: value.tolist() if key != "pixel_values" else value for key, value in inputs.items()}
        counts = iter([self.processor.replace_image_token(plain, k).count("<image>") for k in range(len(images))])
        messages = [{"role": "user", "content": content}]
        prompt = self.tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=False
        )
        image_id = self.model.config.image_token_id
        ids = [t for token in prompt for t in [token] * (next(counts) if token == image_id else 1)]
        out = self.model.generate(
            input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), **inputs,
            max_new_tokens=settings["max_new_tokens"], do_sample=False,
        )  # fmt: skip
        said = [
            t for t in out[0, len(ids) :].tolist() if t not in self.ends
        ]  # box markers are special tokens, and kept
        return unicodedata.normalize("NFC", self.tokenizer.decode(said, skip_special_tokens=False))

    def loglikelihood(self, requests):
        raise NotImplementedError

    def generate_until_multi_round(self, requests):
        raise NotImplementedError


def main(directory: str, tasks: str, task: str, target: str) -> None:
    begun = time.monotonic()
    model = Wrapper(directory)
    loaded = time.monotonic() - begun
    manager = TaskManager(include_path=tasks, include_defaults=False)
    found = simple_evaluate(model=model, tasks=[task], task_manager=manager, batch_size=1, verbosity="ERROR")
    answers = {str(one["doc_id"]): one["resps"][0][0] for one in found["samples"][task]}
    scores = {name: value for name, value in found["results"][task].items() if isinstance(value, float)}
    told = {
        "answering": model.seconds,
        "answering_cpu": model.cpu,
        "loading": loaded,
        "answers": answers,
        "scores": scores,
    }
    Path(target).write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
