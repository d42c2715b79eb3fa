"""A tiny random checkpoint in the published layout, written with transformers' and tokenizers' own classes."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    PreTrainedTokenizerFast,
    Qwen2Config,
    SiglipVisionConfig,
)
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil

from varco_vision.chat import CHAT_TEMPLATE
from varco_vision.markup import MARKERS

CORPUS = [
    "Where is the red circle? There are two blue squares in the picture.",
    "빨간 동그라미는 어디에 있나요? 그림에 파란 네모가 두 개 있습니다.",
    "0.014, 0.106, 0.51, 0.996 이 물체는 무엇인가요? 이미지를 자세히 묘사해줘.",
]
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>", *MARKERS)


def tiny_tokenizer(vocabulary: int = 320) -> PreTrainedTokenizerFast:
    """Byte-level BPE over a few sentences, with the ChatML tokens, <image>, <video> and the nine markers."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator(CORPUS, trainer)
    backend.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=list(SPECIAL[3:]),
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def tiny_config(
    tokenizer: PreTrainedTokenizerFast, tile: int, patch: int, max_tiles: int, side: int
) -> LlavaOnevisionConfig:
    """Two layers of everything; large initial weights, so that a random model's choices are far from ties."""
    steps = [tile * k for k in range(1, side + 1)]
    vision = SiglipVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=tile,
        patch_size=patch,
        vision_use_head=False,
    )
    text = Qwen2Config(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=-(-len(tokenizer) // 64) * 64,
        max_position_embeddings=2048,
        initializer_range=0.4,
        tie_word_embeddings=False,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=None,
        bos_token_id=None,
    )
    return LlavaOnevisionConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=[[height, width] for height in steps for width in steps],
        vision_aspect_ratio=f"anyres_max_{max_tiles}",
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=False,
    )


def write_tiny(
    directory: str | Path, seed: int = 0, tile: int = 32, patch: int = 8, max_tiles: int = 9, side: int = 6
) -> Path:
    """Write the checkpoint and return its directory. `side`: the largest canvas is side x side tiles."""
    directory = Path(directory)
    tokenizer = tiny_tokenizer()
    torch.manual_seed(seed)
    config = tiny_config(tokenizer, tile, patch, max_tiles, side)
    model = LlavaOnevisionForConditionalGeneration(config)
    with torch.no_grad():
        for parameter in model.model.vision_tower.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, 0.3)
        for parameter in model.model.multi_modal_projector.parameters():
            parameter.normal_(0.0, 0.3)
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    picture_processor(config).save_pretrained(directory)
    processor = {
        "processor_class": "LlavaOnevisionProcessor",
        "image_token": "<image>",
        "video_token": "<video>",
        "num_image_tokens": (tile // patch) ** 2,
        "vision_aspect_ratio": config.vision_aspect_ratio,
        "vision_feature_select_strategy": "full",
    }
    (directory / "processor_config.json").write_text(json.dumps(processor, indent=2) + "\n", encoding="utf-8")
    return directory


def picture_processor(config: LlavaOnevisionConfig) -> LlavaOnevisionImageProcessorPil:
    """transformers' picture processor (the variant without torchvision) for a config."""
    tile = config.vision_config.image_size
    return LlavaOnevisionImageProcessorPil(
        image_grid_pinpoints=[list(pair) for pair in config.image_grid_pinpoints],
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
        size={"height": tile, "width": tile},
    )
