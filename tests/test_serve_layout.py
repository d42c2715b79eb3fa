"""Checkpoints as other servers read them: names and settings that vLLM's `LlavaOnevisionForConditionalGeneration` needs.

What is needed was read in vLLM's `llava_onevision.py`, `siglip.py` and `qwen2.py`; vLLM itself is not run here.
"""

from __future__ import annotations

import json
import re

import pytest
import torch
from safetensors import safe_open
from tiny import write_tiny

from varco_vision.markup import MARKERS
from varco_vision.model import checkpoint

NAMES = [
    r"image_newline",
    r"language_model\.lm_head\.weight",
    r"language_model\.model\.(embed_tokens|norm)\.weight",
    r"language_model\.model\.layers\.\d+\.(input_layernorm|post_attention_layernorm)\.weight",
    r"language_model\.model\.layers\.\d+\.mlp\.(gate|up|down)_proj\.weight",
    r"language_model\.model\.layers\.\d+\.self_attn\.(q|k|v)_proj\.(weight|bias)",
    r"language_model\.model\.layers\.\d+\.self_attn\.(o_proj|q_norm|k_norm)\.weight",
    r"multi_modal_projector\.linear_[12]\.(weight|bias)",
    r"vision_tower\.vision_model\.embeddings\.patch_embedding\.(weight|bias)",
    r"vision_tower\.vision_model\.embeddings\.position_embedding\.weight",
    r"vision_tower\.vision_model\.post_layernorm\.(weight|bias)",
    r"vision_tower\.vision_model\.encoder\.layers\.\d+\.layer_norm[12]\.(weight|bias)",
    r"vision_tower\.vision_model\.encoder\.layers\.\d+\.mlp\.fc[12]\.(weight|bias)",
    r"vision_tower\.vision_model\.encoder\.layers\.\d+\.self_attn\.(q|k|v|out)_proj\.(weight|bias)",
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model that was made anew, written by this project."""
    folder = tmp_path_factory.mktemp("layout")
    loaded = checkpoint.load(write_tiny(folder / "tiny"), device="cpu")
    return loaded, checkpoint.save(loaded, folder / "saved", {})


def weights(directory):
    found = {}
    for shard in directory.glob("*.safetensors"):
        with safe_open(shard, "pt") as file:
            found |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    return found


def test_names_are_the_published_ones(saved):
    found = weights(saved[1])
    unknown = [name for name in found if not any(re.fullmatch(pattern, name) for pattern in NAMES)]
    assert not unknown
    assert sum(name.startswith("vision_tower.vision_model.encoder.layers.1.") for name in found) == 16
    for index in saved[1].glob("*.index.json"):
        assert set(json.loads(index.read_text())["weight_map"]) == set(found)


def test_the_same_weights_come_back(saved):
    loaded, directory = saved
    again = checkpoint.load(directory, device="cpu")
    for name, weight in loaded.model.state_dict().items():
        assert torch.equal(weight, again.model.state_dict()[name]), name
    assert set(weights(checkpoint.save(again, directory.parent / "twice", {}))) == set(weights(directory))


def test_settings_that_the_class_asks_for(saved):
    directory = saved[1]
    config = json.loads((directory / "config.json").read_text())
    assert config["architectures"] == ["LlavaOnevisionForConditionalGeneration"]
    assert config["model_type"] == "llava_onevision" and config["vision_config"]["model_type"] == "siglip_vision_model"
    composed = json.loads(
        (checkpoint.default_path() / "config.json").read_text()
    )  # out of a tower and a language model
    assert composed["text_config"]["architectures"][0].endswith("ForCausalLM")
    assert composed.keys() <= config.keys() | {"dtype", "transformers_version", "tie_word_embeddings"}
    assert config["vision_feature_select_strategy"] == "full" and config["vision_feature_layer"] == -1
    assert config["vision_aspect_ratio"] == "anyres_max_9", "other caps are not read there"
    assert config["projector_hidden_act"] == "gelu" and config["image_grid_pinpoints"]
    tokens = json.loads((directory / "tokenizer.json").read_text())["added_tokens"]
    ids = {token["content"]: token["id"] for token in tokens}
    assert config["image_token_index"] == ids["<image>"] and config["video_token_index"] == ids["<video>"]
    assert all(marker in ids for marker in MARKERS)
    processor = json.loads((directory / "processor_config.json").read_text())
    side = config["vision_config"]["image_size"] // config["vision_config"]["patch_size"]
    assert processor["processor_class"] == "LlavaOnevisionProcessor" and processor["num_image_tokens"] == side**2
    pictures = json.loads((directory / "preprocessor_config.json").read_text())
    assert pictures["image_processor_type"] == "LlavaOnevisionImageProcessor"
    assert pictures["image_grid_pinpoints"] == config["image_grid_pinpoints"]
    assert (directory / "chat_template.jinja").exists() and (directory / "generation_config.json").exists()
