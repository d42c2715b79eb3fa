"""Shards: every kind holds what was put in, damage is named, and training and checking read them like JSON lines."""

import json
import pickle
import subprocess
import sys
import tarfile
import unicodedata

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from varco_vision.cli.data import app
from varco_vision.data import files
from varco_vision.data.jsonl import JsonlSource, write
from varco_vision.data.records import encode, store
from varco_vision.data.sample import Sample
from varco_vision.data.shards import KINDS, SetWriter, ShardSet
from varco_vision.data.source import Mixture, Repeated, Source
from varco_vision.errors import InputError


def sample(
    name: str, *images: Image.Image | str, question: str = "무엇이 보이나요?", answer: str = "고양이", **more
) -> Sample:
    content = [*({"type": "image"} for _ in images), {"type": "text", "text": question}]
    messages = (
        {"role": "user", "content": content},
        {"role": "assistant", "content": [{"type": "text", "text": answer}]},
    )
    return Sample(name, tuple(images), "vqa", "ko", messages, **more)


def noise(seed: int, size=(24, 16)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8))


def groups_of_samples() -> list[list[Sample]]:
    one, two, three = noise(1), noise(2), noise(3, (70, 5))
    turn = {"role": "assistant", "content": [{"type": "text", "text": "개"}]}
    other = {"role": "assistant", "content": [{"type": "text", "text": "소"}]}
    pair = sample("p", three)
    pair = Sample("p", (three,), "vqa", "ko", pair.messages[:1], chosen=(turn,), rejected=(other,))
    return [
        [
            sample("a1", one),
            sample("a2", one, answer="<obj>개</obj><bbox>0.1, 0.2, 0.3, 0.4</bbox>", meta={"numbers": [[0.1, 2]]}),
        ],
        [sample("b", one, two, question="둘은 무엇이 다른가요?")],
        [sample("c", question="수도는?", answer="서울")],
        [pair],
    ]


def written(folder, kind, groups=None, size=3, **more) -> ShardSet:
    writer = SetWriter(folder, kind, "train", size, {"made": "here"}, **more)
    for number, group in enumerate(groups or groups_of_samples()):
        writer.add(store(number, group))
    return writer.finish()


def comparable(found: Sample) -> tuple:
    images = tuple((i if isinstance(i, Image.Image) else Image.open(i)).tobytes() for i in found.images)
    return found.id, images, found.task, found.lang, found.messages, found.chosen, found.rejected, found.meta


@pytest.mark.parametrize("kind", KINDS)
def test_what_goes_in_comes_out(tmp_path, kind):
    made = written(tmp_path / "set", kind)
    assert [shard.samples for shard in made.shards] == [3, 2]
    expected = [comparable(s) for group in groups_of_samples() for s in group]
    assert [comparable(s) for s in files.read(tmp_path / "set")] == expected
    source = files.open_files(tmp_path / "set")
    assert isinstance(source, Source)
    assert [[s.id for s in source.group(k)] for k in range(len(source))] == [["a1", "a2"], ["b"], ["c"], ["p"]]
    assert [comparable(s) for k in range(len(source)) for s in source.group(k)] == expected
    assert all(report.ok for report in files.check(tmp_path / "set"))


@pytest.mark.parametrize("kind", ["parquet", "tar"])
def test_samples_of_a_group_share_the_decoded_picture(tmp_path, kind):
    written(tmp_path / "set", kind)
    first, second = files.open_files(tmp_path / "set").group(0)
    assert first.images[0] is second.images[0]


@pytest.mark.parametrize("kind", KINDS)
def test_sources_go_to_other_processes(tmp_path, kind):
    written(tmp_path / "set", kind)
    source = files.open_files(tmp_path / "set")
    source.group(0)
    copy = pickle.loads(pickle.dumps(source))
    assert [s.id for s in copy.group(3)] == ["p"]


def test_shards_in_a_mixture_equal_json_lines(tmp_path):
    """What training does with a source: repeated, mixed, read in any order."""
    plain = tmp_path / "plain" / "x.jsonl"
    write([s for group in groups_of_samples() for s in group], plain)
    streams = []
    for source in (JsonlSource(plain), *(files.open_files(_made(tmp_path / kind, kind)) for kind in KINDS)):
        mixture = Mixture({"a": Repeated(source, 1), "b": Repeated(source, 2)}, {"a": 3, "b": 1}, 5)
        streams.append([[comparable(s) for s in mixture.group(k)] for k in range(20)])
    assert streams[1:] == streams[:1] * 3


def test_rows_of_training_are_the_same_from_every_kind(tmp_path):
    from transformers import AutoTokenizer

    from varco_vision.data.collate import collate
    from varco_vision.data.pack import Budget, Feeding, RowStream
    from varco_vision.geometry import AnyResConfig
    from varco_vision.model.checkpoint import default_path

    feeding = Feeding(AutoTokenizer.from_pretrained(default_path()), AnyResConfig(tile=64, patch=16, max_tiles=2))
    plain = tmp_path / "plain" / "x.jsonl"
    write([s for group in groups_of_samples() for s in group], plain)
    packed = []
    for source in (JsonlSource(plain), *(files.open_files(_made(tmp_path / kind, kind)) for kind in KINDS)):
        stream = RowStream(Repeated(source, 1), feeding, Budget(300), shard=0, shards=1, lookahead=2)
        packed.append(collate([stream.row() for _ in range(4)], 0, feeding.anyres.side))
    for batch in packed[1:]:
        assert batch.samples == packed[0].samples
        assert (batch.input_ids_RL == packed[0].input_ids_RL).all()
        assert (batch.views_VTTC == packed[0].views_VTTC).all()


def _made(folder, kind):
    written(folder, kind)
    return folder


def test_a_shared_picture_is_stored_once(tmp_path):
    image = noise(5, (200, 200))
    size = len(encode(image).data)
    many = [[sample(f"s{k}", image) for k in range(12)]]
    for kind in ("parquet", "tar"):
        made = written(tmp_path / kind, kind, many, size=100)
        assert size < made.shards[0].bytes < 1.5 * size + 12_000


def test_parquet_opens_as_a_table_with_an_image_column(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    written(tmp_path / "set", "parquet", size=100)
    table = pq.read_table(tmp_path / "set" / "train-00000.parquet")
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["images"] == [{"_type": "Image"}]
    assert set(features) == set(table.column_names)
    row = table.slice(1, 1).to_pylist()[0]
    assert row["images"][0]["bytes"].startswith(b"\x89PNG")
    assert row["messages"][1]["content"] == [{"type": "text", "text": "<obj>개</obj><bbox>0.1, 0.2, 0.3, 0.4</bbox>"}]


def test_tar_follows_the_webdataset_convention(tmp_path):
    written(tmp_path / "set", "tar", size=100)
    with tarfile.open(tmp_path / "set" / "train-00000.tar") as archive:
        names = archive.getnames()
        assert all(member.isfile() for member in archive)
    keys = {}
    for name in names:
        keys.setdefault(name.split(".")[0], []).append(name.split(".", 1)[1])
    assert list(keys.values()) == [["json", "0.png"], ["json", "0.png", "1.png"], ["json"], ["json", "0.png"]]


def test_foreign_parquet_without_groups(tmp_path):
    """A table that another program wrote: plain content, no group column, rows on one picture are found."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    one, two = encode(noise(1)).data, encode(noise(2)).data
    turns = [
        {"role": "user", "content": [{"type": "image", "text": None}, {"type": "text", "text": "무엇?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "집"}]},
    ]
    rows = [
        {"id": f"r{k}", "images": [{"bytes": data, "path": None}], "task": "vqa", "lang": "ko", "messages": turns}
        for k, data in enumerate((one, one, two))
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    source = files.open_files(tmp_path / "x.parquet")
    assert [[s.id for s in source.group(k)] for k in range(len(source))] == [["r0", "r1"], ["r2"]]


# --- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["parquet", "tar"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.5])
def test_cut_files_are_named(tmp_path, kind, keep):
    made = written(tmp_path / "set", kind, size=100)
    path = tmp_path / "set" / made.shards[0].file
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(InputError, match=f"train-00000.{kind}"):
        list(files.read(path))
    with pytest.raises(InputError, match=f"train-00000.{kind}"):
        files.open_files(path)
    (report,) = files.check(path)
    assert not report.ok


def test_tar_cut_between_two_members(tmp_path):
    written(tmp_path / "set", "tar", size=100)
    path = tmp_path / "set" / "train-00000.tar"
    with tarfile.open(path) as archive:
        last = archive.getmembers()[-1]
    path.write_bytes(path.read_bytes()[: last.offset])
    with pytest.raises(InputError, match="cut off behind its last member"):
        files.open_files(path)


def _faulty(tmp_path, kind, change):
    """A shard whose second sample is `change`d after it was checked."""
    stored = [store(k, group) for k, group in enumerate(groups_of_samples())]
    change(stored[0])
    writer = SetWriter(tmp_path / "set", kind, "train", 100, {})
    for group in stored:
        writer.add(group)
    writer.finish()
    return tmp_path / "set" / f"train-00000.{kind}"


@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_of_a_shard_is_found_in_one_run(tmp_path, kind):
    def spoil(group):
        group.records[0]["id"] = "c"
        group.records[1]["messages"][1]["content"] = [
            {"type": "text", "text": "<obj>개</obj><bbox>0.5, 0.2, 0.3, 1.4</bbox><box>1</box>"}
        ]

    path = _faulty(tmp_path, kind, spoil)
    (report,) = files.check(path)
    found = dict(report.faults)
    assert report.samples == 5
    assert "1.4" in " ".join(m for n, m in report.faults if n == 2)
    assert "'<box>' is no marker" in " ".join(m for n, m in report.faults if n == 2)
    assert "used before, in line 1" in found[4]
    with pytest.raises(InputError, match="train-00000"):
        files.open_files(path)


@pytest.mark.parametrize("kind", ["parquet", "tar"])
def test_broken_picture_inside_a_shard(tmp_path, kind):
    def spoil(group):
        object.__setattr__(group.pictures[0], "data", group.pictures[0].data[:60])

    path = _faulty(tmp_path, kind, spoil)
    (report,) = files.check(path)
    assert {number for number, _ in report.faults} == {1, 2}
    assert "cut off" in report.faults[0][1]
    with pytest.raises(InputError, match=r"train-00000.*cut off"):
        files.open_files(path).group(0)


def test_decomposed_text_in_a_shard_is_a_note(tmp_path):
    def spoil(group):
        group.records[1]["messages"][1]["content"] = [{"type": "text", "text": unicodedata.normalize("NFD", "고양이")}]

    path = _faulty(tmp_path, "parquet", spoil)
    (report,) = files.check(path)
    assert report.ok
    assert [number for number, _ in report.notes] == [2]
    assert files.open_files(path).group(0)[1].messages[1]["content"][0]["text"] == "고양이"


def test_ids_must_differ_over_the_whole_folder(tmp_path):
    group = groups_of_samples()[:1]
    written(tmp_path / "set", "parquet", [*group, [sample("x")], *group], size=2)
    reports = files.check(tmp_path / "set")
    assert "train-00000.parquet:1" in reports[1].faults[0][1] or "train-00000.parquet:1" in reports[-1].faults[0][1]


def test_wrong_columns(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"id": ["a"], "image": [b"x"]}), tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"x.parquet has no column 'task' \(its columns are id, image\)"):
        files.open_files(tmp_path / "x.parquet")


def test_other_pictures_in_a_group():
    with pytest.raises(InputError, match="'b' has other pictures than 'a'"):
        store(0, [sample("a", noise(1)), sample("b", noise(2))])


def test_unsound_samples_are_not_stored():
    with pytest.raises(InputError, match="'a' cannot be stored: .*no text"):
        store(0, [sample("a", answer=" ")])


def test_folders(tmp_path):
    with pytest.raises(InputError, match="no files of samples"):
        files.sample_files(tmp_path)
    (tmp_path / "a.tar").touch()
    assert files.sample_files(tmp_path) == [tmp_path / "a.tar"]
    (tmp_path / "a.parquet").touch()
    with pytest.raises(InputError, match="parquet and tar"):
        files.sample_files(tmp_path)


def test_parquet_names_its_extra():
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from varco_vision.data.parquet import arrow\n"
        "try: arrow()\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.startswith("InputError")
    assert "varco-vision-open[data]" in out


# --- stats and preview of shards --------------------------------------------------------------------------------------


def run(*args):
    return CliRunner().invoke(app, [str(a) for a in args])


def test_verbs_read_shards(tmp_path):
    written(tmp_path / "set", "parquet")
    result = run("validate", tmp_path / "set")
    assert result.exit_code == 0
    found = json.loads(run("stats", tmp_path / "set", "--tokenizer", "default", "--json").stdout)
    assert found["samples"] == 5
    assert found["pictures"] == 4, "the two samples of the first group show one picture"
    assert found["tasks_by_language"] == {"vqa ko": 5}
    assert found["syllables"]["different"] == len(set("무엇이보이나요고양개둘은다른가수도는서울"))
    assert found["text_tokens"]["min"] > found["supervised_tokens"]["min"] > 0
    assert sum(found["text_tokens_histogram"].values()) == 6, "a pair has two conversations"
    page = tmp_path / "page.html"
    assert run("preview", tmp_path / "set", "--out", page, "--first", 2, "--random", 1).exit_code == 0
    assert page.read_text().count("<article") == 2


def test_syllable_coverage_counts_known_sets():
    from varco_vision.data.stats import common_syllables

    assert len(common_syllables()) == 2350
    assert "뷁" not in common_syllables()


def test_random_preview_draws_evenly():
    from varco_vision.data.preview import pick

    stream = [sample(str(k)) for k in range(10)]
    hits = [0] * 10
    for seed in range(600):
        for chosen in pick(stream, 3, seed):
            hits[int(chosen.id)] += 1
    assert min(hits) > 130
    assert max(hits) < 230
