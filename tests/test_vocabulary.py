"""A finished model takes in another tokenizer (`model.vocabulary`)."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import LlavaOnevisionForConditionalGeneration, PreTrainedTokenizerFast

from varco_vision.chat import IMAGE_TOKEN
from varco_vision.errors import InputError
from varco_vision.geometry import AnyResConfig
from varco_vision.markup import MARKERS
from varco_vision.model import checkpoint
from varco_vision.model.compose import LanguageSize, TowerSize, compose, new_language_model, new_tower, pinpoints
from varco_vision.model.tokenizer import build_tokenizer, syllable_parts
from varco_vision.model.vocabulary import exchange_tokenizer

CORPUS = ["이 그림에서 빨간색 원은 어디에 있나요?", "Where is the red circle in the picture?", "수도는 서울입니다."] * 3
TOWER = TowerSize(width=32, layers=1, heads=2, mlp=48, tile=32, patch=8)
LANGUAGE = LanguageSize(width=32, layers=2, heads=2, kv_heads=2, mlp=48)


def a_model(tied: bool = True) -> checkpoint.Loaded:
    own = build_tokenizer(CORPUS, merges=200, first_words=2)
    anyres = AnyResConfig(tile=32, patch=8, pinpoints=pinpoints(32, 4))
    model = compose(new_tower(TOWER, 0), new_language_model(LANGUAGE, own, 0), own, anyres, seed=0)
    if not tied:
        model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = False
        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
    return checkpoint.Loaded(model.eval(), own, anyres, (0.5,) * 3, (0.5,) * 3, digits=2, calibration={"old": 1})


def logits(loaded: checkpoint.Loaded, text: str) -> tuple[list[int], torch.Tensor]:
    ids = loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        return ids, loaded.model(input_ids=torch.tensor([ids])).logits[0]


@pytest.mark.parametrize("tied", [True, False])
def test_tokens_that_both_know_are_said_as_before(tied: bool) -> None:
    """Another corpus: other ids and other pieces; a text of common tokens gets the old logits at the tokens' new places."""
    loaded = a_model(tied)
    text = f"{MARKERS[0]}abc 가 0.12{MARKERS[1]}힘"
    old_vocabulary = loaded.tokenizer.get_vocab()
    old_ids, before = logits(loaded, text)
    other = exchange_tokenizer(
        loaded, build_tokenizer([*CORPUS[::-1], "전혀 다른 말 zebra"] * 2, merges=60, first_words=0)
    )
    ids, after = logits(other, text)
    assert other.tokenizer.convert_ids_to_tokens(ids) == tokens_of(old_vocabulary, old_ids)
    assert ids != old_ids, "the test needs ids that moved"
    both = [t for t in other.tokenizer.get_vocab() if t in old_vocabulary]
    assert 300 < len(both) < len(old_vocabulary)
    new_places = [other.tokenizer.get_vocab()[t] for t in both]
    assert torch.equal(after[:, new_places], before[:, [old_vocabulary[t] for t in both]])
    assert (other.model.lm_head.weight is other.model.get_input_embeddings().weight) == tied
    assert other.calibration == {}, "confidences of the old vocabulary say nothing about the new one"


def tokens_of(vocabulary: dict[str, int], ids: list[int]) -> list[str]:
    tokens = {n: t for t, n in vocabulary.items()}
    return [tokens[n] for n in ids]


def test_a_new_syllable_begins_as_its_letters() -> None:
    loaded = a_model()
    old = loaded.model.get_input_embeddings().weight.detach().clone()
    old_tokenizer = loaded.tokenizer
    other = exchange_tokenizer(loaded, build_tokenizer(CORPUS, merges=200, first_words=2, syllables=["가", "힘"]))
    rows = other.model.get_input_embeddings().weight
    assert len(syllable_parts(other.tokenizer)) == 3  # 히 on the way to 힘
    for syllable in ("가", "힘"):
        [n] = other.tokenizer(syllable)["input_ids"]
        letters = old_tokenizer(syllable)["input_ids"]
        assert len(letters) == len(syllable_parts(other.tokenizer)[n]) > 1
        assert torch.equal(rows[n], old[letters].sum(0) / math.sqrt(len(letters)))


def test_a_word_that_is_one_token_now_begins_as_what_spelled_it() -> None:
    loaded = a_model()
    old = loaded.model.get_input_embeddings().weight.detach().clone()
    letters = loaded.tokenizer("zebra")["input_ids"]
    other = exchange_tokenizer(loaded, build_tokenizer(["zebra"] * 9, merges=10, first_words=3))
    [n] = other.tokenizer("zebra")["input_ids"]
    assert torch.allclose(other.model.get_input_embeddings().weight[n], old[letters].sum(0) / math.sqrt(5))


def test_what_it_saves_is_a_checkpoint_like_any_other(tmp_path: Path) -> None:
    other = exchange_tokenizer(a_model(), build_tokenizer(CORPUS, merges=200, syllables=["가", "힘", "서", "울"]))
    checkpoint.save(other, tmp_path / "model")
    again = checkpoint.load(tmp_path / "model", device="cpu")
    assert again.tokenizer.get_vocab() == other.tokenizer.get_vocab()
    assert again.stop_ids == other.stop_ids
    plain = LlavaOnevisionForConditionalGeneration.from_pretrained(tmp_path / "model").eval()
    assert plain.config.image_token_index == again.tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    ids, own = logits(other, "서울힘")
    assert len(ids) == 3
    assert torch.allclose(plain(input_ids=torch.tensor([ids])).logits[0], own, atol=1e-5)


def test_a_tokenizer_that_the_old_one_cannot_spell_is_refused() -> None:
    strange = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"그림▁": 0, "[UNK]": 1}, unk_token="[UNK]")), eos_token="</s>"
    )
    with pytest.raises(InputError, match="cannot spell"):
        exchange_tokenizer(a_model(), strange)
