"""The files of the demo pool, decoded with PyAV, and what is drawn in them, against their tables."""

from pathlib import Path

import av
import numpy as np
import pytest

from hybridal_ray.errors import UserError
from hybridal_ray.pool.demo import DemoDifficulty, demo_tables, generate_demo_pool
from hybridal_ray.pool.demo.rendering import draw
from hybridal_ray.pool.demo.scenes import paint_backdrop
from hybridal_ray.pool.demo.sources import draw_source
from hybridal_ray.pool.demo.staging import Staging, stage_clip
from hybridal_ray.pool.tables import Pool, load_pool

VIDEOS, SEED = 8, 4


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return generate_demo_pool(str(tmp_path_factory.mktemp("demo")), videos=VIDEOS, seed=SEED)


def decode(uri: str) -> np.ndarray:
    with av.open(uri) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_every_file_is_h264_with_the_frames_and_the_size_of_its_row(pool: Pool) -> None:
    videos = [*pool.usable_videos("train"), *pool.usable_videos("test")]
    assert len(videos) == VIDEOS
    for video in videos:
        frames = decode(video.uri)
        assert frames.shape == (video.num_frames, video.height, video.width, 3)
        assert 48 <= video.num_frames <= 80


def test_equal_arguments_give_equal_tables_and_pixels(pool: Pool, tmp_path: Path) -> None:
    again = generate_demo_pool(str(tmp_path), videos=VIDEOS, seed=SEED)
    assert again.identity() == pool.identity()
    for one, other in zip(pool.usable_videos("train"), again.usable_videos("train"), strict=True):
        assert Path(one.uri).read_bytes() == Path(other.uri).read_bytes()
        assert np.array_equal(decode(one.uri), decode(other.uri))


def test_another_seed_gives_other_videos(pool: Pool) -> None:
    assert demo_tables(pool.root, videos=VIDEOS, seed=SEED + 1).identity() != pool.identity()


def test_the_written_pool_is_the_returned_one_and_its_paths_are_relative(pool: Pool) -> None:
    read = load_pool(pool.root)
    assert read.identity() == pool.identity()
    assert all(uri.startswith("videos/") for uri in read.videos["uri"].to_pylist())
    assert not any(read.tubes["mask"].is_valid().to_pylist())


def test_a_generation_that_fails_leaves_no_pool(tmp_path: Path) -> None:
    (tmp_path / "videos").write_text("a file where the folder of the videos should be")
    with pytest.raises(UserError, match="videos"):
        generate_demo_pool(str(tmp_path), videos=8, seed=0)
    assert not (tmp_path / "pool.json").exists()


def test_a_generation_that_fails_leaves_no_pool_of_former_tables_either(tmp_path: Path) -> None:
    (tmp_path / "pool.json").write_text('{"name": "demo", "classes": [], "format_version": 1}')
    (tmp_path / "videos").write_text("a file where the folder of the videos should be")
    with pytest.raises(UserError, match="videos"):
        generate_demo_pool(str(tmp_path), videos=8, seed=0)
    assert not (tmp_path / "pool.json").exists()


def test_a_demo_pool_is_replaced_by_the_same_alone(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    for stray in ("source-0099-clip-0.mp4", "mine.mp4"):
        (tmp_path / "videos" / stray).touch()
    pool = generate_demo_pool(str(tmp_path), videos=8, seed=0)
    files = {file.name for file in (tmp_path / "videos").iterdir()}
    assert files == {"mine.mp4", *(uri.rpartition("/")[2] for uri in pool.videos["uri"].to_pylist())}
    for videos, seed in ((8, 1), (9, 0)):
        with pytest.raises(UserError, match=r"pool\.json: another demo pool is there; expected the same"):
            generate_demo_pool(str(tmp_path), videos=videos, seed=seed)
    assert load_pool(str(tmp_path)).identity() == generate_demo_pool(str(tmp_path), videos=8, seed=0).identity()


def test_a_pool_of_another_kind_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "pool.json").write_text('{"name": "street", "classes": [], "format_version": 1}')
    with pytest.raises(UserError, match=r"pool\.json: the pool 'street' is there already"):
        generate_demo_pool(str(tmp_path), videos=8, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["pool.json"]


@pytest.mark.parametrize("index", range(6))
def test_an_actor_is_where_its_box_says(index: int) -> None:
    """What differs from the bare backdrop lies in the box of the only actor, and reaches its edges."""
    difficulty = DemoDifficulty(pair_share=0.0, bystanders=(0, 0), box_jitter=0.0, swing_room=0.0)
    source = draw_source(SEED, index, difficulty)
    staging, backdrop = stage_clip(source, SEED, 0, difficulty), paint_backdrop(source, SEED)
    drawn = draw(staging, backdrop)
    bare = draw(Staging(staging.num_frames, staging.camera, ()), backdrop)
    # Shadows darken by at most 30 %; figures change a pixel by more in nearly every place.
    changed = (np.abs(drawn - bare) > 0.35 * bare + 6).any(axis=-1)
    (performance,) = staging.performances
    for frame, (x1, y1, x2, y2) in zip(performance.frames, performance.boxes, strict=True):
        rows, columns = np.nonzero(changed[frame])
        inside = (columns >= x1 - 2) & (columns < x2 + 2) & (rows >= y1 - 2) & (rows < y2 + 2)
        assert inside.mean() > 0.99
        reached = np.array([columns.min() - x1, rows.min() - y1, x2 - columns.max() - 1, y2 - rows.max() - 1])
        assert np.abs(reached).max() < 5
        assert inside.sum() > 0.2 * (x2 - x1) * (y2 - y1)


def test_nobody_is_annotated_before_coming_in_or_after_leaving() -> None:
    difficulty = DemoDifficulty(pair_share=0.0, bystanders=(0, 0), idle_share=0.0, entrance_share=1.0)
    source = draw_source(SEED, 1, difficulty)
    staging, backdrop = stage_clip(source, SEED, 0, difficulty), paint_backdrop(source, SEED)
    bare = draw(Staging(staging.num_frames, staging.camera, ()), backdrop)
    empty = ~(np.abs(draw(staging, backdrop) - bare) > 1).any(axis=(1, 2, 3))
    (performance,) = staging.performances
    assert len(performance.frames) < staging.num_frames
    assert not empty[performance.frames].any()


def test_an_idle_actor_is_in_view_but_in_no_tube() -> None:
    difficulty = DemoDifficulty(pair_share=0.0, idle_share=1.0)
    source = draw_source(SEED, 2, difficulty)
    for clip in range(4):
        (performance,) = stage_clip(source, SEED, clip, difficulty).performances
        boxes = performance.limbs.tight_boxes()
        idle = np.setdiff1d(np.arange(len(boxes)), performance.frames)
        assert len(idle) >= 6
        assert (boxes[idle, :2] > -2).all()
        assert (boxes[idle, 2:] < 98).all()


def test_bystanders_have_no_tubes() -> None:
    difficulty = DemoDifficulty()
    sources = (draw_source(SEED, index, difficulty) for index in range(60))
    crowded = next(source for source in sources if source.scene == "crowded")
    performances = stage_clip(crowded, SEED, 0, difficulty).performances
    silent = [performance for performance in performances if performance.action is None]
    assert len(silent) == len(crowded.bystanders) >= 2
    assert all(len(performance.frames) == 0 for performance in silent)
