"""Oracle: a detector whose latent is the colour of the video, so that clusters and their means are known."""

from pathlib import Path

import pytest
import torch
from made_up_labels import SIDE, SPEC
from torch import Tensor, nn

from hybridal_ray.detectors.dropout import ChannelDropout
from hybridal_ray.detectors.interface import DetectorOutput
from hybridal_ray.training.batches import TrainingBatch
from hybridal_ray.training.centres import start_centres
from hybridal_ray.training.sampling import ClipDraw

COLOURS = [(10, 0, 0), (0, 200, 0), (14, 0, 0), (0, 0, 90), (0, 204, 0), (12, 0, 0)]  # three groups


class ColourDetector(nn.Module):
    """Latent is the mean colour of a clip, with dropout that only training would see."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(127.5))
        self.dropout = ChannelDropout(0.9)

    def forward(self, clips: Tensor) -> DetectorOutput:
        colours = self.dropout((clips + 1) * self.scale).mean(dim=(2, 3, 4))
        return DetectorOutput(clips[:, 0], colours, colours)


class ColourSource:
    """Stands for `ClipSource`; remembers which clips were asked for."""

    def __init__(self) -> None:
        self.spec = SPEC
        self.videos = [self] * len(COLOURS)
        self.num_frames = 20
        self.asked: list[ClipDraw] = []

    def batch(self, draws: list[ClipDraw]) -> TrainingBatch:
        self.asked += draws
        frames = torch.tensor([COLOURS[draw.video] for draw in draws], dtype=torch.uint8)
        frames = frames.view(-1, 1, 1, 1, 3).expand(-1, SPEC.clip_frames, SIDE, SIDE, 3)
        return TrainingBatch(frames, *[torch.empty(0)] * 3)


def start(clusters: int, seed: int = 0) -> tuple[list[list[float]], list[float]]:
    detector = ColourDetector().train()
    centres, counts = start_centres(
        detector, ColourSource(), clusters, videos=len(COLOURS), seed=seed, rank=0, world_size=1
    )
    assert detector.training
    assert not centres.requires_grad
    return centres.tolist(), counts.tolist()


@pytest.mark.parametrize("seed", range(4))
def test_centres_are_the_means_of_the_groups_in_an_order_of_their_own(seed: int) -> None:
    centres, counts = start(3, seed)
    expected = [(0, 0, 90), (0, 202, 0), (12, 0, 0)]  # ascending, whatever the seed of k-means
    for centre, mean in zip(centres, expected, strict=True):
        assert centre == pytest.approx(mean, abs=1e-3)
    assert counts == [1, 2, 3]


def test_there_are_no_more_centres_than_videos() -> None:
    centres, counts = start(50)
    assert len(centres) == len(COLOURS)
    assert counts == [1.0] * len(COLOURS)


def test_each_video_is_seen_once_in_its_middle() -> None:
    source = ColourSource()
    start_centres(ColourDetector(), source, 2, videos=len(COLOURS), seed=0, rank=0, world_size=1)
    assert source.asked == [ClipDraw(video, 6, False) for video in range(len(COLOURS))]  # frames 6 … 12 of 20


@pytest.mark.slow
def test_workers_share_the_videos_and_hold_the_same_centres(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(worker, args=(2, str(tmp_path)), nprocs=2)
    alone = start_centres(ColourDetector(), ColourSource(), 3, videos=len(COLOURS), seed=0, rank=0, world_size=1)
    for rank in range(2):
        centres, counts, asked = torch.load(tmp_path / f"{rank}.pt")
        torch.testing.assert_close(centres, alone[0])
        assert torch.equal(counts, alone[1])
        assert asked == list(range(rank, len(COLOURS), 2))


def worker(rank: int, world_size: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world_size
    )
    try:
        source = ColourSource()
        found = start_centres(
            ColourDetector(), source, 3, videos=len(COLOURS), seed=0, rank=rank, world_size=world_size
        )
        torch.save((*found, [draw.video for draw in source.asked]), Path(folder, f"{rank}.pt"))
    finally:
        torch.distributed.destroy_process_group()
