"""Making sets: the same bytes whatever happens on the way, clear sentences, and nothing lost."""

import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from varco_vision.cli.data import app
from varco_vision.data import disk, files
from varco_vision.data.make import Order, make
from varco_vision.data.shards import KINDS, LIST, SetWriter, ShardSet
from varco_vision.errors import InputError
from varco_vision.synth.sources import make_source

SCENES = partial(make_source, "scenes", 3, questions=4)


def order(folder: Path, **changes) -> Order:
    return Order(**{"folder": folder, "spec": {"source": "scenes"}, "count": 90, "shard_size": 20, **changes})


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.stat().st_size
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "set"
    make(SCENES, order(folder))
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_count_ids_and_samples(tmp_path, kind):
    made = make(SCENES, order(tmp_path / "set", kind=kind))
    assert made.samples == 90
    assert [shard.samples for shard in made.shards] == [20, 20, 20, 20, 10]
    found = list(files.read(tmp_path / "set"))
    ids = [sample.id for sample in found]
    assert len(set(ids)) == 90
    source = SCENES()
    assert ids == [sample.id for k in range(23) for sample in source.group(k)][:90]


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_do_not_change_a_byte(tmp_path, whole, workers):
    make(SCENES, order(tmp_path / "set"), workers=workers)
    assert content(tmp_path / "set") == content(whole)


class Stop(Exception):
    pass


@pytest.mark.parametrize("stop_at", [0, 1, 33, 60, 89])
def test_going_on_after_an_interruption(tmp_path, whole, stop_at):
    def interrupt(done: int) -> None:
        if done > stop_at:
            raise Stop

    with pytest.raises(Stop):
        make(SCENES, order(tmp_path / "set"), progress=interrupt)
    assert not ShardSet.load(tmp_path / "set").finished
    make(SCENES, order(tmp_path / "set"))
    assert content(tmp_path / "set") == content(whole)


def test_a_finished_set_is_left_alone(tmp_path, whole):
    before = content(whole)

    def never() -> None:
        raise AssertionError

    make(never, order(whole))
    assert content(whole) == before


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_killed_while_writing(tmp_path, kind):
    """The process is killed without warning, several times; what is listed is whole, and the end is the same."""
    command = [sys.executable, "-m", "varco_vision.cli.main", "data", "make", "scenes", "questions=4"]
    command += ["--count", "600", "--shard-size", "20", "--seed", "3", "--workers", "0", "--format", kind]
    subprocess.run([*command, "--out", tmp_path / "calm"], check=True, capture_output=True)
    folder = tmp_path / "killed"
    kills = 0
    for after in (1, 4, 9):
        running = subprocess.Popen([*command, "--out", folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while running.poll() is None and len(list(folder.glob("train-*"))) < after:
            time.sleep(0.002)
        kills += running.poll() is None
        running.send_signal(signal.SIGKILL)
        running.wait()
        listed = ShardSet.load(folder) if (folder / LIST).exists() else ShardSet({})
        for shard in listed.shards:
            assert (folder / shard.file).stat().st_size == shard.bytes
        if (folder / LIST).exists() and not listed.finished:
            with pytest.raises(InputError, match="not finished"):
                files.open_files(folder)
    assert kills, "the command was over before it could be killed"
    subprocess.run([*command, "--out", folder], check=True, capture_output=True)
    assert content(folder) == content(tmp_path / "calm")


def test_torn_leftovers_are_cleared(tmp_path, whole):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / ".train-00000.parquet.0123.part").write_bytes(b"half")
    make(SCENES, order(folder))
    assert content(folder) == content(whole)


def test_torn_pictures_are_cleared(tmp_path):
    make(SCENES, order(tmp_path / "calm", kind="jsonl"))
    make(SCENES, order(tmp_path / "set", kind="jsonl"))
    torn = tmp_path / "set" / "pictures" / ".10bc.png.0123.part"
    torn.write_bytes(b"half")
    make(SCENES, order(tmp_path / "set", kind="jsonl"))
    assert not torn.exists() and content(tmp_path / "set") == content(tmp_path / "calm")


# --- faults ----------------------------------------------------------------------------------------------------------


def test_another_order_in_the_same_folder(whole):
    with pytest.raises(InputError, match="begun with count = 90, now it is 91"):
        make(SCENES, order(whole, count=91))
    with pytest.raises(InputError, match="begun with source = 'scenes', now it is 'words'"):
        make(SCENES, order(whole, spec={"source": "words"}))


def test_a_command_that_failed_at_once_binds_nobody(tmp_path, whole):
    """An option was wrong, nothing was written: the mended command takes the same folder."""
    folder = tmp_path / "set"
    SetWriter(folder, "parquet", "train", 20, {"source": "scenes", "options": {"photos": "/nowhere"}})
    (folder / ".train-00000.parquet.0123.part").write_bytes(b"half")
    make(SCENES, order(folder))
    assert content(folder) == content(whole)


def test_foreign_folder(tmp_path):
    (tmp_path / "thesis.doc").write_text("precious")
    with pytest.raises(InputError, match="holds other files"):
        make(SCENES, order(tmp_path))
    assert (tmp_path / "thesis.doc").read_text() == "precious"


def test_changed_shard(tmp_path):
    folder = tmp_path / "set"
    make(SCENES, order(folder))
    (folder / "train-00001.parquet").write_bytes(b"")
    with pytest.raises(InputError, match=r"train-00001.parquet is missing or changed"):
        make(SCENES, order(folder))


def test_two_processes_in_one_folder(tmp_path):
    folder = tmp_path / "set"

    def second(done: int) -> None:
        with pytest.raises(InputError, match="another process is writing"):
            make(SCENES, order(folder))
        raise Stop

    with pytest.raises(Stop):
        make(SCENES, order(folder), progress=second)


@pytest.mark.parametrize("kind", KINDS)
def test_full_disk_loses_nothing(tmp_path, monkeypatch, kind):
    """The third shard meets a full disk; two are kept, and when there is room again the set becomes the same."""
    folder = tmp_path / "set"
    real = disk.write_whole
    calls = []

    def full(path, fill, sync=True):
        if path.name.startswith("train-00002"):
            calls.append(path)

            def fail(file):
                file.write(b"half of it")
                raise OSError(28, os.strerror(28))

            return real(path, fail, sync)
        return real(path, fill, sync)

    monkeypatch.setattr("varco_vision.data.shards.write_whole", full)
    with pytest.raises(
        InputError, match=r"train-00002\S* cannot be written: No space left on device.* 40 samples in 2 shards"
    ):
        make(SCENES, order(folder, kind=kind))
    assert calls
    assert not list(folder.glob(".*.part"))
    assert [s.id for s in files.read(folder / f"train-00000.{kind}")]
    assert ShardSet.load(folder).samples == 40
    monkeypatch.undo()
    make(SCENES, order(folder, kind=kind))
    make(SCENES, order(tmp_path / "calm", kind=kind))
    assert content(folder) == content(tmp_path / "calm")


def test_file_size_limit_of_the_system(tmp_path):
    """A real failing write: files may not be larger than 9,000 bytes."""
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (9000, {resource.RLIM_INFINITY}))\n"
        "from varco_vision.cli.main import main\n"
        f"main(['data', 'make', 'scenes', '--count', '400', '--shard-size', '400', '--workers', '0', '--out', r'{tmp_path / 'x'}'])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "train-00000.parquet cannot be written: File too large" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert [p.name for p in (tmp_path / "x").iterdir() if not p.name.startswith(".")] == [LIST]


class Empty:
    def group(self, index):
        return []


class Dying:
    def group(self, index):
        os.kill(os.getpid(), signal.SIGKILL)


def test_source_without_samples(tmp_path):
    with pytest.raises(InputError, match="1000 groups in a row hold no sample"):
        make(Empty, order(tmp_path / "set"))


def test_dying_worker(tmp_path):
    with pytest.raises(InputError, match="worker process was ended from outside"):
        make(Dying, order(tmp_path / "set"), workers=1)


def test_workers_end_when_the_writing_process_is_killed(tmp_path):
    """Each worker holds the writing end of a pipe; that closes when all of them are gone."""
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "varco_vision.cli.main", "data", "make", "scenes", "--count", "1000000"]
    command += ["--shard-size", "20", "--workers", "2", "--out", tmp_path / "set"]
    running = subprocess.Popen(command, stdout=writing, stderr=subprocess.DEVNULL)
    os.close(writing)
    while running.poll() is None and not list((tmp_path / "set").glob("train-*")):
        time.sleep(0.01)
    assert running.poll() is None, "the command was over before it could be killed"
    running.kill()
    running.wait()
    assert select.select([reading], [], [], 60)[0], "a worker is still there a minute later"
    assert os.read(reading, 1000) == b"", "nothing was written, all ends were closed"


def _wrong_source():
    raise InputError("the font is missing")


def test_fault_in_a_worker_is_the_users_sentence(tmp_path):
    with pytest.raises(InputError, match="the font is missing"):
        make(_wrong_source, order(tmp_path / "set"), workers=1)


# --- command line ----------------------------------------------------------------------------------------------------


def run(*args):
    return CliRunner().invoke(app, ["make", *(str(a) for a in args)])


def test_make_and_look(tmp_path):
    folder = tmp_path / "set"
    args = (
        "synth:words",
        "questions=3",
        "size=[160, 96]",
        "--out",
        folder,
        "--count",
        12,
        "--workers",
        0,
        "--split",
        "eval",
    )
    found = json.loads(run(*args, "--json").stdout)
    assert (found["samples"], found["shards"]) == (12, 1)
    samples = list(files.read(folder))
    assert {s.images[0].size for s in samples} == {(160, 96)}
    assert all("-eval-" in s.id for s in samples)


def test_recipe_mixture_is_what_training_sees_and_reports_shares(tmp_path):
    from varco_vision.train import recipe
    from varco_vision.train.feed import open_mixture

    folder = tmp_path / "set"
    result = run("--recipe", "nano", "--stage", "basic", "--out", folder, "--count", 100, "--workers", 0, "--json")
    found = json.loads(result.stdout)
    nano = recipe.read(recipe.find("nano"))
    stage = next(s for s in nano.stages if s.name == "basic")
    weights = {name: part.weight for name, part in stage.mixture.items()}
    for name, share in found["shares"].items():
        assert share["asked"] == pytest.approx(weights[name] / sum(weights.values()))
    mixture = open_mixture(stage, nano.seed)
    trained = [s for k in range(found["groups"]) for s in mixture.group(k)][:100]
    made = list(files.read(folder))
    assert [s.messages for s in made] == [s.messages for s in trained]
    assert [s.id.split("-", 1)[1] for s in made] == [s.id for s in trained]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("scenes",), "--out is missing"),
        (("--out", "x"), "name either a source"),
        (("scenes", "--recipe", "nano", "--out", "x"), "name either a source"),
        (("scene", "--out", "x"), "unknown source 'scene'; did you mean 'scenes'"),
        (("scenes", "question=3", "--out", "x"), "did you mean 'questions'"),
        (("scenes", "3", "--out", "x"), "has no '='"),
        (("scenes", "size=[1", "--out", "x"), "cannot be read"),
        (("scenes", "--stage", "basic", "--out", "x"), "--stage belongs to --recipe"),
        (("--recipe", "nano", "--out", "x"), "--stage is missing; stages with a mixture are language"),
        (("--recipe", "nano", "--stage", "basis", "--out", "x"), "no stage 'basis'"),
        (("--recipe", "nano", "--stage", "basic", "--split", "eval", "--out", "x"), "of the split 'train'"),
        (("scenes", "--out", "/proc/none/x", "--workers", 0), "the folder /proc/none/x cannot be made"),
    ],
)
def test_wrong_orders(args, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*args)
    assert isinstance(result.exception, InputError)
    assert words in str(result.exception)
    assert not list(tmp_path.iterdir())


# --- shares ----------------------------------------------------------------------------------------------------------


class Named:
    def __init__(self, name):
        self.name = name

    def group(self, index):
        return [(self.name, index)]


@pytest.mark.parametrize(
    "weights", [{"a": 0.62, "b": 0.33, "c": 0.05}, {"a": 1, "b": 1, "c": 1}, {"a": 7, "b": 0, "c": 2}]
)
@pytest.mark.parametrize("taken", [[range(3000)], [range(k, 4000, 8) for k in range(8)], [range(3, 5003)]])
def test_shares_equal_those_asked_for(weights, taken):
    from varco_vision.data.shares import shares
    from varco_vision.data.source import Mixture

    mixture = Mixture({name: Named(name) for name in weights}, weights, 9)
    names = [mixture.group(k)[0][0] for indices in taken for k in indices]
    for share in shares(mixture, weights, taken):
        assert share.groups == names.count(share.name)
        assert share.actual == pytest.approx(names.count(share.name) / len(names))
        assert abs(share.actual - share.asked) <= 0.01


def test_positions_of_a_stage():
    from varco_vision.data.shares import Share, positions, shares_text

    assert [list(r) for r in positions({0: 6, 2: 5}, 3)] == [[0, 3], [2]]
    assert shares_text([Share("scenes", 0.6, 0.601, 3)]) == "scenes 60.1% (asked 60.0%)"
