"""The tokenizer made here, composing, freezing, and the published layout."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import picture_processor, tiny_tokenizer, write_tiny
from transformers import AutoTokenizer, LlavaOnevisionForConditionalGeneration, Qwen2Config, Qwen2ForCausalLM

from varco_vision.chat import decode
from varco_vision.errors import InputError
from varco_vision.geometry import AnyResConfig
from varco_vision.markup import MARKERS
from varco_vision.model import checkpoint
from varco_vision.model.compose import (
    LanguageSize,
    TowerSize,
    add_markers,
    compose,
    new_language_model,
    new_tower,
    pinpoints,
)
from varco_vision.model.freeze import freeze, listing, part_of, unused
from varco_vision.model.initialise import sincos_positions
from varco_vision.model.tokenizer import NUMBERS, build_tokenizer, common_first_words, number_ids, syllable_parts

CORPUS = ["이 그림에서 빨간색 원은 어디에 있나요?", "Where is the red circle in the picture?", "수도는 서울입니다."] * 3
TOWER = TowerSize(width=32, layers=3, heads=2, mlp=48, tile=32, patch=8)
LANGUAGE = LanguageSize(width=32, layers=2, heads=2, kv_heads=2, mlp=48)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(CORPUS, merges=200, first_words=2)


@pytest.fixture()
def whole():
    own = build_tokenizer(CORPUS, merges=200)
    anyres = AnyResConfig(tile=32, patch=8, pinpoints=pinpoints(32, 4))
    model = compose(new_tower(TOWER, 0), new_language_model(LANGUAGE, own, 0), own, anyres, seed=0)
    return checkpoint.Loaded(model, own, anyres, (0.5,) * 3, (0.5,) * 3, digits=2)


def test_every_syllable_is_representable(tokenizer) -> None:
    syllables = [chr(c) for c in range(0xAC00, 0xD7A4)]
    for form in ("NFC", "NFD"):
        texts = [unicodedata.normalize(form, s) for s in syllables]
        assert [decode(ids, tokenizer) for ids in tokenizer(texts)["input_ids"]] == syllables
    assert max(map(len, tokenizer(syllables)["input_ids"])) == 3


@given(text=st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_text_survives_up_to_composition(tokenizer, text: str) -> None:
    plain = unicodedata.normalize("NFC", text)
    if "<|" in plain:
        return
    ids = tokenizer(plain, split_special_tokens=True)["input_ids"]
    assert decode(ids, tokenizer) == unicodedata.normalize("NFC", unicodedata.normalize("NFD", plain))


def test_running_words_merge_and_bare_words_stay_spelled(tokenizer) -> None:
    length = lambda text: len(tokenizer(text)["input_ids"])  # noqa: E731
    assert length(" 어디에") == 1 and length("어디에") == 6
    assert length(" circle") == 1 and length("circle") == 6


def test_common_first_words_are_whole_and_only_where_they_stand_alone() -> None:
    texts = [
        "<obj>빨간색 원</obj> 옆",
        "빨간색 별",
        "Where is it?",
        "Where?",
        "<char>서울</char>",
        "<char>서울</char>",
        "Once",
    ]
    assert common_first_words(texts, 5) == ["Where", "빨간색"]
    own = build_tokenizer(texts, merges=10, first_words=5)
    length = lambda text: len(own(text)["input_ids"])  # noqa: E731
    assert length("빨간색") == 1 and length("<obj>빨간색") == length("<obj>") + 1
    assert length("빨간색은") == 12 and length("Whereas") == 7
    assert decode(own("빨간색 Where 빨간색은")["input_ids"], own) == "빨간색 Where 빨간색은"


def test_commonest_syllables_are_single_tokens_and_all_others_stay_spelled() -> None:
    texts = [*CORPUS, *CORPUS]
    own = build_tokenizer(texts, merges=200, first_words=2, syllables=["가", "각", "힘", "을"])
    pieces = lambda text: own.convert_ids_to_tokens(own(text)["input_ids"])  # noqa: E731
    assert [len(pieces(text)) for text in ("가", "각", "힘", "갂", "히", "뷁", "각가힘")] == [1, 1, 1, 2, 1, 3, 3]
    for text in ("각힘가 갂뷁", "빨간색을 <char>힘</char>", unicodedata.normalize("NFD", "각")):
        assert decode(own(text)["input_ids"], own) == unicodedata.normalize("NFC", text)
    running = [text for text in CORPUS if " " in text]
    assert running
    for text in running:  # words of running text are as whole as without syllables
        plain = build_tokenizer(texts, merges=200, first_words=2)
        assert len(own(text)["input_ids"]) <= len(plain(text)["input_ids"])


def test_rows_of_syllables_begin_as_the_sum_of_their_letters() -> None:
    own = build_tokenizer(CORPUS, merges=50, syllables=["각", "힘"])
    vocabulary = own.get_vocab()
    parts = syllable_parts(own)
    assert {own.decode([n]) for n in parts} == {unicodedata.normalize("NFD", s) for s in ("가", "각", "히", "힘")}
    rows = new_language_model(LANGUAGE, own, 0).get_input_embeddings().weight
    for row, jamo in parts.items():
        assert [own.decode([j]) for j in jamo] == list(own.decode([row]))
        assert torch.allclose(rows[row], rows[jamo].sum(0) / len(jamo) ** 0.5)
    assert set(parts) <= set(vocabulary.values())
    assert syllable_parts(build_tokenizer(CORPUS, merges=200)) == {}


def test_numbers_of_boxes_are_single_tokens_and_other_numbers_are_not(tokenizer) -> None:
    ids = number_ids(tokenizer)
    assert len(ids) == len(NUMBERS) == 101
    assert tokenizer("0.12, 0.5, 1.0, 0.03")["input_ids"][::2] == [ids[12], ids[50], ids[100], ids[3]]
    for text in ("0.123", "10.05", "3.141", "0.5a"):
        assert not set(tokenizer(text)["input_ids"]) & set(ids), text


def test_markers_are_single_tokens_with_mean_rows(tokenizer) -> None:
    own = build_tokenizer(CORPUS, merges=200)
    language = new_language_model(LANGUAGE, own, 0)
    known = len(own)
    mean = language.get_input_embeddings().weight[:known].mean(0)
    ids = add_markers(own, language)
    assert len(set(ids)) == 9 and min(ids) >= known
    for marker, number in zip(MARKERS, ids, strict=True):
        assert own(f"a{marker}b")["input_ids"][1] == number
    rows = language.get_input_embeddings().weight[ids]
    assert torch.allclose(rows, mean.expand_as(rows), atol=1e-6)
    assert language.get_input_embeddings().num_embeddings % 64 == 0
    assert add_markers(own, language) == ids, "adding twice changes nothing"


def test_untied_output_rows_start_at_their_mean_and_wide_matrices_keep_their_shape() -> None:
    own = tiny_tokenizer()
    plain = build_tokenizer(CORPUS, merges=50)
    config = Qwen2Config(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
        vocab_size=2048, tie_word_embeddings=False,
    )  # fmt: skip
    language = Qwen2ForCausalLM(config)
    known = len(plain)
    mean = language.lm_head.weight[:known].mean(0).clone()
    ids = add_markers(plain, language)
    assert language.lm_head.weight.shape[0] == 2048
    assert torch.allclose(language.lm_head.weight[ids], mean.expand(9, -1), atol=1e-6)
    assert len(own) != len(plain)


def test_positions_are_distinct_and_smooth() -> None:
    table = sincos_positions(8, 32)
    distance = torch.cdist(table, table)
    near = distance[0, 1]
    assert distance.fill_diagonal_(9).min() > 0.1 and near < distance[0, 7]


def test_a_new_tower_attends_to_what_is_near_first() -> None:
    """Equal queries and keys over sine-cosine positions: on an empty picture weights fall with the distance."""
    tower = new_tower(TowerSize(width=64, layers=1, heads=2, mlp=64, tile=64, patch=8), seed=3)
    tower.set_attn_implementation("eager")
    weights_PP = tower(torch.zeros(1, 3, 64, 64), output_attentions=True).attentions[0][0].mean(0)
    cells = torch.stack(torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij"), -1).view(64, 2)
    distance_PP = torch.cdist(cells, cells)
    assert weights_PP[distance_PP <= 1].mean() > 2 * weights_PP[distance_PP >= 4].mean()


@pytest.mark.parametrize(
    ("trainable", "expected"),
    [
        (["projector", "newline"], {"projector", "newline"}),
        (["tower", "projector", "newline", "language"], {"tower", "projector", "newline", "language"}),
        (["language"], {"language"}),
    ],
)
def test_exactly_the_named_parts_train(whole, trainable: list[str], expected: set[str]) -> None:
    parts = freeze(whole.model, trainable)
    on = {name for name, p in whole.model.named_parameters() if p.requires_grad}
    assert {part_of(name) for name in on} == expected
    wanted = {n for n, _ in whole.model.named_parameters() if part_of(n) in expected} - unused(whole.model)
    assert on == wanted
    text = listing(parts)
    assert text.count("TRAINABLE") == len(expected) and text.count("Frozen") == 4 - len(expected)


def test_unknown_part_is_named(whole) -> None:
    with pytest.raises(InputError, match="unknown part to train: vision; the parts are tower"):
        freeze(whole.model, ["vision"])


def test_what_no_forward_reads_is_never_trained(whole) -> None:
    assert {n.rsplit(".", 2)[-2] for n in unused(whole.model)} == {"post_layernorm"}


def test_round_trip_through_the_published_layout(whole, tmp_path: Path) -> None:
    checkpoint.save(whole, tmp_path, {"note": "a record"})
    again = checkpoint.load(tmp_path, device="cpu")
    assert again.record == {"note": "a record"} and again.digits == 2 and again.anyres == whole.anyres
    text = "빨간색 원은 어디에 있나요? <bbox>0.12, 0.5, 1.0, 0.03</bbox> red circle"
    for reread in (again.tokenizer, AutoTokenizer.from_pretrained(tmp_path)):
        assert reread(text)["input_ids"] == whole.tokenizer(text)["input_ids"]
    for (name, a), (_, b) in zip(whole.model.state_dict().items(), again.model.state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    plain = LlavaOnevisionForConditionalGeneration.from_pretrained(tmp_path)
    assert plain.config.image_token_id == AutoTokenizer.from_pretrained(tmp_path).convert_tokens_to_ids("<image>")
    checkpoint.save(again, tmp_path / "copy")
    assert str(tmp_path) not in "".join(p.read_text() for p in (tmp_path / "copy").glob("*.json"))
    names = {p.name for p in tmp_path.iterdir()}
    assert {"config.json", "tokenizer.json", "chat_template.jinja", "preprocessor_config.json"} <= names


def test_saved_picture_settings_are_transformers_own(whole, tmp_path: Path) -> None:
    checkpoint.save(whole, tmp_path)
    saved = json.loads((tmp_path / "preprocessor_config.json").read_text())
    kind = type(picture_processor(whole.model.config))
    reread = kind.from_pretrained(tmp_path)
    assert reread.size["height"] == 32 and list(reread.image_mean) == saved["image_mean"]
    assert [list(p) for p in reread.image_grid_pinpoints] == [list(p) for p in whole.anyres.pinpoints]


def test_checkpoint_written_by_transformers_loads(tmp_path: Path) -> None:
    loaded = checkpoint.load(write_tiny(tmp_path), device="cpu")
    assert loaded.digits == 3 and loaded.anyres.side == 4 and loaded.mean == (0.5, 0.5, 0.5)


def test_faulty_checkpoints_are_refused_by_name(whole, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a checkpoint directory nor a hub id"):
        checkpoint.load(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"without config\.json"):
        checkpoint.load(tmp_path)
    checkpoint.save(whole, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["text_config"]["num_hidden_layers"] = 3
    config["text_config"]["layer_types"] = ["full_attention"] * 3
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="missing keys"):
        checkpoint.load(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match="'bert'"):
        checkpoint.load(tmp_path)


def test_a_tower_of_another_size_is_refused() -> None:
    own = build_tokenizer(CORPUS, merges=20)
    with pytest.raises(InputError, match="the tower works on tile/patch 32/8, the recipe asks for 64/8"):
        compose(new_tower(TOWER, 0), new_language_model(LANGUAGE, own, 0), own, AnyResConfig(tile=64, patch=8), seed=0)
