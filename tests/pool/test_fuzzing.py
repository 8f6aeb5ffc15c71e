"""Corrupted files: none may crash, hang, or be taken for what it is not.

Oracles: every variant of a video is either read, and then alike in every way of reading, or unreadable with a reason;
every variant of an annotation file is either read or refused by an error that names the file.
"""

import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoded_videos import encode

from hybridal_ray.errors import UserError
from hybridal_ray.pool.containers import UnreadableVideo
from hybridal_ray.pool.decoder_process import DecoderProcess
from hybridal_ray.pool.decoding import VideoFacts, read_frames, read_video
from hybridal_ray.pool.formats.act import read_act
from hybridal_ray.pool.formats.ava import read_ava
from hybridal_ray.pool.formats.cvat import read_cvat
from hybridal_ray.pool.formats.label_studio import read_label_studio
from hybridal_ray.pool.formats.label_tables import LabelTables
from hybridal_ray.pool.formats.ucf101_24 import read_ucf101_24
from hybridal_ray.pool.frame_index import build_index

SECONDS = 30.0  # for one variant; the largest takes a second
FACTS = VideoFacts(200, 25.0, 320, 240)


def corrupted(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Variants: bits flipped, cut off, a stretch repeated, zeroed or lost, a number in it made huge."""
    generator = np.random.default_rng(seed)
    for number in range(count):
        data = bytearray(content)
        at = int(generator.integers(0, len(data)))
        length = int(generator.integers(1, max(2, len(data) // 10)))
        match number % 6:
            case 0:
                for place in generator.integers(0, len(data), size=int(generator.integers(1, 50))):
                    data[place] ^= 1 << int(generator.integers(0, 8))
            case 1:
                del data[at:]
            case 2:
                data[at:at] = data[at : at + length]
            case 3:
                data[at : at + length] = bytes(len(data[at : at + length]))
            case 4:
                del data[at : at + length]
            case _:
                data[at : at + 4] = b"\xff\xff\xff\x7f"
        yield bytes(data)


def read_every_way(decoder: DecoderProcess, file: Path) -> str:
    """What became of a video: read, and alike in every way, or the reason why not."""
    try:
        facts = decoder.probe(str(file))  # in a process of its own, which may die of it
    except UnreadableVideo as error:
        return error.reason or pytest.fail(f"{file}: unreadable for no reason")
    whole, index = read_video(str(file), 32), build_index(str(file))
    assert facts == index.facts
    assert len(whole) == facts.num_frames
    last = facts.num_frames - 1
    for frame in {0, last // 2, last, *(point.frame for point in index.points[:3])}:
        np.testing.assert_array_equal(read_frames(str(file), [frame], 32, index)[0], whole[frame])
    return "read"


def fuzz_video(source: Path, folder: Path, count: int, seed: int) -> list[str]:
    found = []
    with DecoderProcess(SECONDS) as decoder:
        for variant in corrupted(source.read_bytes(), count, seed):
            file = folder / f"variant{source.suffix}"
            file.write_bytes(variant)
            found.append(read_every_way(decoder, file))
    return found


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_corrupted_videos_are_read_or_told(tmp_path: Path, suffix: str) -> None:
    found = fuzz_video(encode(tmp_path / f"whole{suffix}", 50, key_frame_every=14), tmp_path, 24, seed=1)
    assert not any("died" in outcome or "more than" in outcome for outcome in found)
    assert 0 < found.count("read") < len(found)


@pytest.mark.data
@pytest.mark.slow
def test_corrupted_real_videos_are_read_or_told(hybridal_data: Path, tmp_path: Path) -> None:
    folder = hybridal_data / "edge_videos"
    small = [file for file in sorted(folder.iterdir()) if file.suffix != ".md" and file.stat().st_size < 100_000]
    files = [*small, *sorted((hybridal_data / "jhmdb21/videos").glob("*/*.avi"))[::150]]
    assert len(files) >= 14
    found = [outcome for seed, file in enumerate(files) for outcome in fuzz_video(file, tmp_path, 18, seed)]
    assert len(found) >= 250
    assert not any("more than" in outcome for outcome in found)


def made_files(folder: Path) -> dict[str, tuple[Path, Callable[[str], object]]]:
    """A small file of every format with its importer."""
    boxes = np.arange(40, dtype=np.uint8).reshape(10, 4) + 1
    tube = {"label": 0, "sf": 0, "ef": 10, "boxes": boxes}
    (folder / "ucf.pkl").write_bytes(pickle.dumps({"Run/a": {"numf": 20, "label": 0, "annotations": [tube]}}, 2))
    (folder / "list.txt").write_text("")
    truth = {
        "labels": ["run"], "train_videos": [["a"]], "test_videos": [[]], "nframes": {"a": 20},
        "resolution": {"a": (240, 320)}, "gttubes": {"a": {0: [np.ones((5, 5), np.float32)]}},
    }  # fmt: skip
    (folder / "act.pkl").write_bytes(pickle.dumps(truth, 2))
    (folder / "ava.csv").write_text("".join(f"v,000{second},0.1,0.2,0.5,0.6,{second},0\n" for second in range(8)))
    shape = '<box frame="{}" outside="0" keyframe="1" xtl="1.0" ytl="2.0" xbr="30.0" ybr="40.0"/>'
    mask = '<mask frame="9" outside="0" rle="1, 2, 3" left="4" top="5" width="3" height="2"/>'
    track = "".join(shape.format(frame) for frame in range(8)) + mask
    task = "<meta><task><size>20</size><start_frame>0</start_frame><source>v.mp4</source></task></meta>"
    (folder / "cvat.xml").write_text(f'<annotations>{task}<track id="0" label="run">{track}</track></annotations>')
    key = {"enabled": True, "x": 1.5, "y": 2.5, "width": 20, "height": 30, "rotation": 0}
    sequence = [key | {"frame": frame, "time": frame / 25} for frame in (1, 4, 9)]
    region = {"type": "videorectangle", "id": "r", "value": {"sequence": sequence, "labels": ["run"]}}
    (folder / "ls.json").write_text(json.dumps({"data": {"video": "v.mp4"}, "annotations": [{"result": [region]}]}))
    return {
        "ucf101-24": (folder / "ucf.pkl", lambda file: read_ucf101_24(file, str(folder / "list.txt"))),
        "act": (folder / "act.pkl", read_act),
        "ava": (folder / "ava.csv", lambda file: read_ava({"train": file})),
        "cvat": (folder / "cvat.xml", read_cvat),
        "label-studio": (folder / "ls.json", read_label_studio),
    }


def fuzz_labels(source: Path, read: Callable[[str], Any], folder: Path, count: int, seed: int) -> list[str]:
    found = []
    for variant in corrupted(source.read_bytes(), count, seed):
        file = folder / f"variant{source.suffix}"
        file.write_bytes(variant)
        try:
            annotations = read(str(file))
            tables = LabelTables()
            for video in annotations.videos:
                tables.add(video.video_id, video.labels(FACTS), FACTS)
            tables.tubes().validate(full=True)
            tables.looked_at().validate(full=True)
            found.append("read")
        except UserError as error:
            found.append(str(error))
    unplaced = [outcome for outcome in found if not any(place in outcome for place in ("read", "variant", "v:"))]
    assert not unplaced
    return found


@pytest.mark.parametrize("name", ["ucf101-24", "act", "ava", "cvat", "label-studio"])
def test_corrupted_labels_are_read_or_refused_by_place(tmp_path: Path, name: str) -> None:
    source, read = made_files(tmp_path)[name]
    assert fuzz_labels(source, read, tmp_path, 1, seed=0)
    found = fuzz_labels(source, read, tmp_path, 60, seed=2)
    assert sum(outcome != "read" for outcome in found) > 5


@pytest.mark.data
@pytest.mark.slow
def test_corrupted_real_labels_are_read_or_refused_by_place(hybridal_data: Path, tmp_path: Path) -> None:
    samples = hybridal_data / "ava_multisports_format_samples"
    shutil.copy(samples / "eval_multisports_gt.pkl", tmp_path / "gt.pkl")
    sources: list[tuple[Path, Callable[[str], object]]] = [
        (tmp_path / "gt.pkl", read_act),
        (samples / "ava_dataset_ava_sample.csv", lambda file: read_ava({"train": file})),
        (hybridal_data / "cvat_real_xml/kabr_DJI_tracks_with_gap.xml", read_cvat),
        (hybridal_data / "cvat_real_xml/datumaro_for_video_annotations.xml", read_cvat),
        (hybridal_data / "labelstudio_opossum/video_bboxes_annotation_1.json", read_label_studio),
    ]
    found = [o for seed, (file, read) in enumerate(sources) for o in fuzz_labels(file, read, tmp_path, 55, seed)]
    assert len(found) >= 250
