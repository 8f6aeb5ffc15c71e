"""Oracle: the same pool scored again, in another order, and by another number of actors."""

import dataclasses
import math
import shutil
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pytest
import torch

from hybridal_ray.detectors.building import build_detector
from hybridal_ray.detectors.checkpoint import save_detector
from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.dispatch import ActorPlan
from hybridal_ray.errors import UserError
from hybridal_ray.pool.decoding import UnreadableVideo, iter_frames
from hybridal_ray.pool.round_tables import SCORES_SCHEMA
from hybridal_ray.pool.tables import Video
from hybridal_ray.scoring.pool_scorer import read_scores, score_pool
from hybridal_ray.scoring.video_scoring import UncertaintySettings

SPEC = DetectorSpec("compact", 3, input_size=32, clip_frames=4, clip_stride=2, options={"width": 8, "pyramid_width": 8})
SETTINGS = UncertaintySettings(
    passes=3,
    reading="mean_of_log",
    reduction="mean",
    foreground_threshold=0.1,  # the fresh detector of these tests predicts little foreground
    empty_frame_score=0.0,
    frames_per_video=2,
    sigma=8 / 3,
    window=4,
    spacing="window",
)


def write_video(path: Path, num_frames: int) -> Video:
    random = np.random.default_rng(num_frames)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for _ in range(num_frames):
            pixels = random.integers(0, 256, (4, 6, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return Video(path.stem, str(path), "train", "g", num_frames, 48, 32)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = str(tmp_path_factory.mktemp("checkpoint"))
    torch.manual_seed(2)
    save_detector(directory, SPEC, build_detector(SPEC).state_dict(), None)
    return directory


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Video]:
    folder = tmp_path_factory.mktemp("videos")
    return [write_video(folder / f"clip{i}.mp4", 9 + 3 * i) for i in range(5)]


def score(videos: Sequence[Video], checkpoint: str, out: Path, **options) -> pa.Table:
    arguments = {
        "labelled": {"clip1": [3, 4]},
        "settings": SETTINGS,
        "run_seed": 11,
        "round_index": 0,
        "feature_cache": None,
        "score_index": None,
    }
    plan = {"actors": 0, "device": "cpu", "videos_per_chunk": 2, "seconds_per_video": 60}
    for name, value in options.items():
        (arguments if name in arguments else plan)[name] = value
    score_pool(videos, checkpoint_dir=checkpoint, out_dir=str(out), plan=ActorPlan(**plan), **arguments)
    return read_scores(str(out))


def test_same_again_bit_by_bit_in_any_order_and_in_any_chunks(videos, checkpoint, tmp_path: Path) -> None:
    first = score(videos, checkpoint, tmp_path / "a")
    assert first["video_id"].to_pylist() == sorted(video.video_id for video in videos)
    assert first.schema == SCORES_SCHEMA
    assert first["error"].null_count == len(videos)
    assert score(videos, checkpoint, tmp_path / "b").equals(first)
    assert score(videos[::-1], checkpoint, tmp_path / "c", videos_per_chunk=5).equals(first)
    assert score(videos[1:2], checkpoint, tmp_path / "d").equals(first.slice(1, 1))


def test_scores_with_kept_features_are_the_same_bit_by_bit_and_decode_nothing(
    videos, checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = score(videos, checkpoint, tmp_path / "without")
    kept = str(tmp_path / "kept")
    assert score(videos, checkpoint, tmp_path / "first", feature_cache=kept).equals(expected)

    forbid_decoding(monkeypatch)
    assert score(videos, checkpoint, tmp_path / "second", feature_cache=kept).equals(expected)


def test_rows_hold_what_selection_needs(videos, checkpoint, tmp_path: Path) -> None:
    rows = score(videos, checkpoint, tmp_path).to_pylist()
    for video, row in zip(videos, rows, strict=True):
        assert len(row["profile"]) == video.num_frames
        assert len(row["frames"]) == 2
        assert all(map(math.isfinite, row["latent"]))
    assert any(row["video_score"] > 0 for row in rows)  # some foreground, or the scores say nothing
    assert not {3, 4} & set(rows[1]["frames"])
    assert len({tuple(row["latent"]) for row in rows}) == len(rows)


def test_seed_and_round_change_the_scores(videos, checkpoint, tmp_path: Path) -> None:
    first, *others = (
        score(videos[:1], checkpoint, tmp_path / name, **options)
        for name, options in [("a", {}), ("b", {"run_seed": 12}), ("c", {"round_index": 1})]
    )
    assert not any(other["profile"].equals(first["profile"]) for other in others)


def test_unreadable_videos_are_reported_and_the_others_scored(videos, checkpoint, tmp_path: Path) -> None:
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(b"this is no video")
    missing = dataclasses.replace(videos[0], video_id="absent", uri=str(tmp_path / "absent.mp4"))
    short = dataclasses.replace(videos[0], video_id="short", num_frames=videos[0].num_frames + 9)
    broken = [missing, dataclasses.replace(missing, video_id="torn", uri=str(torn)), short]
    scores = score([*broken, videos[1]], checkpoint, tmp_path / "out")
    failed = {row["video_id"]: row["error"] for row in scores.to_pylist() if row["error"]}
    assert sorted(failed) == ["absent", "short", "torn"]
    assert failed["absent"] == "no such file"
    assert "only 9 frames" in failed["short"]
    assert scores.filter(pa.compute.field("error").is_null())["video_id"].to_pylist() == ["clip1"]


def test_pool_in_which_every_video_fails_is_refused(videos, checkpoint, tmp_path: Path) -> None:
    missing = [dataclasses.replace(video, uri=str(tmp_path / "absent.mp4")) for video in videos]
    with pytest.raises(UserError, match=r"all 5 videos failed, clip0 with: no such file"):
        score(missing, checkpoint, tmp_path / "out")


def test_missing_checkpoint_is_named(videos, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere/detector.json"):
        score(videos, str(tmp_path / "nowhere"), tmp_path / "out")


def test_of_labels_only_frame_numbers_can_enter() -> None:
    hints = typing.get_type_hints(score_pool)
    assert hints["labelled"] == Mapping[str, Sequence[int]]
    assert hints["videos"] == Sequence[Video]
    assert not {"tubes", "boxes", "classes", "class_id", "mask"} & {field.name for field in dataclasses.fields(Video)}
    assert all(hint is not pa.Table for name, hint in hints.items() if name != "return")


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(uri: str, size: int) -> Iterator[np.ndarray]:
        yield pytest.fail(f"{uri} was opened")

    monkeypatch.setattr("hybridal_ray.scoring.video_scoring.iter_frames", opened)


def test_finished_scoring_is_not_computed_again(
    videos, checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = str(tmp_path / "index")
    first = score(videos, checkpoint, tmp_path / "a", score_index=index)
    forbid_decoding(monkeypatch)
    # A later pass keeps to the portions that it finds.
    assert score(videos, checkpoint, tmp_path / "b", score_index=index, videos_per_chunk=5).equals(first)
    assert len(list((tmp_path / "index").iterdir())) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"run_seed": 12},
        {"round_index": 1},
        {"labelled": {"clip1": [3, 5]}},
        {"settings": dataclasses.replace(SETTINGS, passes=2)},
    ],
)
def test_scoring_that_differs_is_computed(videos, checkpoint, tmp_path: Path, change: dict) -> None:
    index = str(tmp_path / "index")
    score(videos, checkpoint, tmp_path / "a", score_index=index)
    found = score(videos, checkpoint, tmp_path / "b", score_index=index, **change)
    assert found.equals(score(videos, checkpoint, tmp_path / "c", **change))
    assert len(list((tmp_path / "index").iterdir())) == 2


def test_other_weights_and_other_videos_are_scored_and_lost_scorings_forgotten(
    videos, checkpoint, tmp_path: Path
) -> None:
    index = str(tmp_path / "index")
    first = score(videos, checkpoint, tmp_path / "a", score_index=index)
    other = str(tmp_path / "other")
    torch.manual_seed(3)
    save_detector(other, SPEC, build_detector(SPEC).state_dict(), None)
    assert not score(videos, other, tmp_path / "b", score_index=index).equals(first)
    assert len(score(videos[1:], checkpoint, tmp_path / "c", score_index=index)) == 4
    shutil.rmtree(tmp_path / "a")
    assert score(videos, checkpoint, tmp_path / "d", score_index=index).equals(first)


def test_a_scoring_that_was_done_anew_in_its_place_is_not_taken_for_the_former(
    videos, checkpoint, tmp_path: Path
) -> None:
    index = str(tmp_path / "index")
    first = score(videos, checkpoint, tmp_path / "a", score_index=index)
    shutil.rmtree(tmp_path / "a")
    score(videos, checkpoint, tmp_path / "a", score_index=index, run_seed=12)
    assert score(videos, checkpoint, tmp_path / "b", score_index=index).equals(first)


def test_scoring_with_failures_is_not_kept(videos, checkpoint, tmp_path: Path) -> None:
    absent = dataclasses.replace(videos[0], uri=str(tmp_path / "absent.mp4"))
    index = tmp_path / "index"
    score([absent, *videos[1:]], checkpoint, tmp_path / "a", score_index=str(index))
    assert not index.exists()


def test_storage_that_fails_while_a_video_is_read_does_not_lose_it(
    videos, checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = score(videos, checkpoint, tmp_path / "a")
    tries: dict[str, int] = {}

    def flaky(uri: str, size: int) -> Iterator[np.ndarray]:
        tries[uri] = tries.get(uri, 0) + 1
        frames = iter_frames(uri, size)
        yield next(frames)
        if tries[uri] <= 2:
            raise UnreadableVideo(uri, "cannot be read") from OSError("connection reset")
        yield from frames

    monkeypatch.setattr("hybridal_ray.scoring.video_scoring.iter_frames", flaky)
    monkeypatch.setattr("hybridal_ray.storage_patience.time.sleep", lambda seconds: None)
    assert score(videos, checkpoint, tmp_path / "b").equals(expected)
    assert set(tries.values()) == {3}


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_number_of_actors_does_not_show_in_the_scores(videos, checkpoint, tmp_path: Path) -> None:
    one = score(videos, checkpoint, tmp_path / "one", actors=1, videos_per_chunk=1)
    three = score(videos, checkpoint, tmp_path / "three", actors=3, cpus_per_actor=0.5, videos_per_chunk=1)
    assert three.equals(one)
    kept = str(tmp_path / "kept")
    for again in ("first", "second"):  # the actors keep features in one place, then read them
        assert score(videos, checkpoint, tmp_path / again, actors=2, feature_cache=kept).equals(one)
    assert one["error"].null_count == len(videos)
