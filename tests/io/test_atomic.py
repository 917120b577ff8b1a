"""What is at a place is whole at any moment, wherever a process is killed, and nothing but a file is ever replaced."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.numpy_helper import from_array, to_array

from helpers.forking import fork
from helpers.killing import killed_everywhere
from helpers.saying import load_skeleton, written
from onnx_n2n import load, save
from onnx_n2n.errors import ModelError, OptionError
from onnx_n2n.io import folders
from onnx_n2n.io.atomic import drafting
from onnx_n2n.io.folders import making_folder
from onnx_n2n.io.rooms import PREFIX, Journal, room, sweep
from onnx_n2n.io.sources import BLOCK, Pages, Source


def model_with(number: int, folder: Path) -> Path:
    """Write a model whose weights, in a file of their own, are all one number."""
    graph = onnx.parser.parse_graph("g (float[N,40] x) => (float[N,40] y) { y = MatMul(x, w) }")
    graph.initializer.append(from_array(np.full((40, 40), number, np.float32), "w"))
    folder.mkdir(exist_ok=True)
    model = onnx.helper.make_model(graph)
    return written(model, folder, save_as_external_data=True, location="weights.bin", size_threshold=0)


def number_in(model: Path) -> float:
    """Return the number that all weights of a model are, as the onnx package reads them."""
    found = np.unique(to_array(onnx.load(model).graph.initializer[0]))
    assert len(found) == 1
    return float(found[0])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("same", [False, True], ids=["another student", "the same student again"])
def test_a_model_that_replaces_another_is_old_or_new_at_any_moment(same: bool, tmp_path: Path) -> None:
    one, two = (model_with(number, tmp_path / str(number)) for number in (1, 1 if same else 2))
    out = tmp_path / "out"
    out.mkdir()
    place, seen = out / "student.onnx", set()

    def begin() -> None:
        for path in out.iterdir():
            path.unlink()
        save(load(one), place)
        (out / "precious").write_text("mine")

    begin()
    for moment in killed_everywhere(lambda: save(load(two), place, force=True)):
        seen.add(number_in(place))
        sweep(out)
        assert number_in(place) in (seen if same else {1, 2}), moment
        (data,) = (entry.value for entry in load_skeleton(place)[0].external_data if entry.key == "location")
        assert names(out) == sorted(["precious", "student.onnx", data]), moment
        begin()
    assert seen == {1} if same else seen == {1, 2}
    assert number_in(place) == (1 if same else 2)
    assert len(names(out)) == 3, "the old weights are gone"


def test_a_record_follows_its_model_or_neither_is_there(tmp_path: Path) -> None:
    def publish() -> None:
        with drafting(tmp_path / "model", also=[tmp_path / "record"], force=True) as draft:
            draft.path.write_text("new")
            draft.also[tmp_path / "record"].write_text("new")
            draft.publish()

    seen = set()
    for _ in killed_everywhere(publish):
        sweep(tmp_path)
        seen.add("".join((tmp_path / name).read_text() for name in ("model", "record") if (tmp_path / name).exists()))
        for path in tmp_path.iterdir():
            path.unlink()
    assert seen == {"", "newnew"}


def test_a_folder_is_old_or_new_at_any_moment(tmp_path: Path) -> None:
    place = tmp_path / "export"

    def begin() -> None:
        place.mkdir(exist_ok=True)
        (place / "notes").mkdir(exist_ok=True)
        (place / "notes" / "mine").write_text("precious")
        for name in ("weights", "graph", "stale"):
            (place / name).write_text("old")

    def publish() -> None:
        with making_folder(place, lambda _: frozenset(("weights", "graph", "stale")), force=True) as draft:
            (draft / "weights").write_text("new")
            (draft / "graph").write_text("new")

    begin()
    for moment in killed_everywhere(publish):
        state = {name: (place / name).read_text() for name in ("weights", "graph", "stale") if (place / name).exists()}
        assert state in ({"weights": "old", "graph": "old", "stale": "old"}, {"weights": "new", "graph": "new"}), moment
        assert (place / "notes" / "mine").read_text() == "precious"
        sweep(tmp_path)
        assert names(tmp_path) == ["export"]
        begin()
    assert names(place) == ["graph", "notes", "weights"]


def test_rooms_of_those_at_work_are_left_alone(tmp_path: Path) -> None:
    with room(tmp_path) as one, room(tmp_path) as other:
        sweep(tmp_path)
        assert one.is_dir()
        assert other.is_dir()
    assert names(tmp_path) == []


def test_what_only_looks_like_a_room_is_no_reason_to_fail(tmp_path: Path) -> None:
    (tmp_path / f"{PREFIX}file").write_text("mine")
    (tmp_path / f"{PREFIX}link").symlink_to(tmp_path)
    (tmp_path / f"{PREFIX}broken").mkdir()
    (tmp_path / f"{PREFIX}broken" / "journal.json").write_text('{"moves": 7}')
    before = names(tmp_path)
    sweep(tmp_path)
    assert names(tmp_path) == before


SPECIAL: dict[str, Callable[[Path], object]] = {
    "pipe": lambda place: os.mkfifo(place),
    "folder": lambda place: place.mkdir(),
    "link": lambda place: place.symlink_to(place.with_name("real")),
    "link to 'nowhere'": lambda place: place.symlink_to("nowhere"),
}


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("role", ["model", "record"])
def test_only_a_file_is_ever_replaced(role: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / "real").write_text("precious")
    SPECIAL[kind](tmp_path / role)
    before = {path.name: path.lstat() for path in tmp_path.iterdir()}
    drafts = drafting(tmp_path / "model", also=[tmp_path / "record"], force=True)
    with pytest.raises(OptionError, match=f"is a {kind}"), drafts:
        pass
    after = {path.name: path.lstat() for path in tmp_path.iterdir()}
    assert {name: (s.st_ino, s.st_mode, s.st_size) for name, s in before.items()} == {
        name: (s.st_ino, s.st_mode, s.st_size) for name, s in after.items()
    }


@pytest.fixture
def teacher(tmp_path: Path) -> Iterator[Path]:
    """A file with other names."""
    (tmp_path / "below").mkdir()
    path = tmp_path / "teacher"
    path.write_text("precious")
    os.link(path, tmp_path / "hard")
    (tmp_path / "below" / "up").symlink_to(tmp_path)
    yield path
    assert path.read_text() == "precious"


@pytest.mark.parametrize("name", ["teacher", "hard", "below/up/teacher", "below/../teacher"])
def test_what_is_read_is_never_written_by_whatever_name(teacher: Path, name: str) -> None:
    source, place = Source.of(teacher), teacher.parent / name
    for places in ((place,), (teacher.with_name("student"), place)):
        drafts = drafting(places[0], also=places[1:], force=True, read=[source])
        with pytest.raises(OptionError, match="is an input, and inputs are never written"), drafts:
            pass


@pytest.mark.parametrize("change", ["longer", "cut", "replaced", "removed", "touched"])
def test_nothing_is_published_when_what_was_read_has_changed(teacher: Path, change: str) -> None:
    copy, student = teacher.with_name("copy"), teacher.with_name("student")
    copy.write_bytes(bytes(range(256)) * 8)
    source = Source.of(copy)
    with drafting(student, read=[source]) as draft:
        draft.path.write_text("new")
        if change in ("longer", "cut"):
            os.truncate(copy, 4096 if change == "longer" else 10)
        elif change == "replaced":
            other = copy.with_name("other")
            other.write_bytes(copy.read_bytes())
            os.utime(other, ns=(copy.stat().st_atime_ns, copy.stat().st_mtime_ns))
            other.replace(copy)
        elif change == "removed":
            copy.unlink()
        else:
            os.utime(copy)
        with pytest.raises(ModelError, match="has changed while it was read"):
            draft.publish()
        with pytest.raises(ModelError, match="has changed while it was read"):
            source.read(100, 200)
    assert not student.exists()


def test_a_weight_that_is_cut_off_ends_in_a_sentence(tmp_path: Path) -> None:
    path = model_with(3, tmp_path / "in")
    model = load(path)
    os.truncate(path.with_name("weights.bin"), 100)
    weight = model.graph.initializers["w"].const_value
    assert weight is not None
    with pytest.raises(ModelError, match=r"'weights.bin' of tensor 'w' has changed while it was read"):
        weight.numpy()


def test_pages_are_the_bytes_of_the_file(tmp_path: Path) -> None:
    content = np.random.default_rng(0).bytes(3 * BLOCK + 17)
    (tmp_path / "file").write_bytes(content)
    pages, rng = Pages(Source.of(tmp_path / "file")), np.random.default_rng(1)
    assert len(pages) == len(content)
    for start, length in zip(rng.integers(0, len(content), 300), 10 ** rng.uniform(0, 5.3, 300), strict=True):
        assert pages[int(start)] == content[start]
        assert pages[int(start) : int(start + length)] == content[start : int(start + length)]


def test_a_file_keeps_its_permissions(tmp_path: Path) -> None:
    place = tmp_path / "model"
    place.write_text("old")
    place.chmod(0o640)
    with drafting(place, force=True) as draft:
        draft.path.write_text("new")
        draft.publish()
    assert (place.read_text(), place.stat().st_mode & 0o777) == ("new", 0o640)


def test_a_room_that_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdtemp, made = tempfile.mkdtemp, []

    def swept(**options: str) -> str:
        made.append(mkdtemp(**options))
        if len(made) < 3:
            sweep(tmp_path)
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", swept)
    with room(tmp_path) as inside:
        assert inside.is_dir()
        assert str(inside.parent) == made[2]
    assert names(tmp_path) == []


def test_what_another_run_has_put_in_the_place_meanwhile_is_not_taken_back(tmp_path: Path) -> None:
    """A run is killed after its data was moved; another one with the same data finishes; then somebody sweeps."""
    hidden = tmp_path / f"{PREFIX}killed"
    (hidden / "new").mkdir(parents=True)
    for name in ("data", "model"):
        (hidden / "new" / name).write_text("mine")
    (tmp_path / "stale").write_text("old")
    journal = Journal.of(hidden / "new", ["data", "model"], 1, [], tmp_path)
    (hidden / "new" / "data").rename(tmp_path / "data")
    (hidden / "journal.json").write_text(json.dumps(asdict(journal)))
    (tmp_path / "other").write_text("mine")
    (tmp_path / "other").replace(tmp_path / "data")
    sweep(tmp_path)
    assert names(tmp_path) == ["data", "stale"]


def test_what_somebody_puts_into_a_folder_at_the_last_moment_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, exchange = tmp_path / "export", folders._exchange
    place.mkdir()
    (place / "weights").write_text("old")

    def late(one: Path, other: Path) -> None:
        (place / "late").write_text("mine")
        exchange(one, other)

    monkeypatch.setattr(folders, "_exchange", late)
    with making_folder(place, lambda _: frozenset(("weights",)), force=True) as draft:
        (draft / "weights").write_text("new")
    assert {path.name: path.read_text() for path in place.iterdir()} == {"weights": "new", "late": "mine"}


@pytest.mark.parametrize("platform", ["linux", "other"])
def test_folders_are_exchanged_on_any_system(platform: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name)
    folders._exchange(tmp_path / "one", tmp_path / "other")
    assert names(tmp_path) == ["one", "other"]
    assert (names(tmp_path / "one"), names(tmp_path / "other")) == (["other"], ["one"])


def test_two_runs_at_once_leave_one_whole_model(tmp_path: Path) -> None:
    teachers = [model_with(number, tmp_path / str(number)) for number in (1, 2, 3, 4)]
    out = tmp_path / "out"
    out.mkdir()
    children = []
    for source in teachers:
        child = fork()
        if child == 0:
            try:
                for _ in range(10):
                    save(load(source), out / "student.onnx", force=True)
            except BaseException:
                os._exit(1)
            os._exit(0)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    assert number_in(out / "student.onnx") in {1, 2, 3, 4}
    assert len(names(out)) == 2


def test_a_record_that_comes_late_replaces_nothing_that_has_come_since(tmp_path: Path) -> None:
    for there in (False, True):
        hidden = tmp_path / f"{PREFIX}killed"
        (hidden / "new").mkdir(parents=True)
        for name in ("model", "record"):
            (hidden / "new" / name).write_text("new")
        journal = Journal.of(hidden / "new", ["model", "record"], 0, [], tmp_path)
        (hidden / "journal.json").write_text(json.dumps(asdict(journal)))
        (hidden / "new" / "model").rename(tmp_path / "model")
        if there:
            (tmp_path / "record").write_text("mine")
        sweep(tmp_path)
        assert names(tmp_path) == ["model", "record"]
        assert (tmp_path / "record").read_text() == ("mine" if there else "new")
        (tmp_path / "record").unlink()
