"""Oracle: the whole video held in memory, its clips scored one by one and averaged in plain loops."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from torch import Tensor, nn

from hybridal_ray.detectors.clips import tile_clips
from hybridal_ray.detectors.dropout import ChannelDropout, seeded_dropout
from hybridal_ray.detectors.interface import DetectorOutput, DetectorSpec, normalise
from hybridal_ray.detectors.monte_carlo import monte_carlo_passes, video_pass_seeds
from hybridal_ray.pool.decoding import UnreadableVideo
from hybridal_ray.pool.round_tables import SCORES_SCHEMA
from hybridal_ray.pool.tables import Video
from hybridal_ray.scoring.shortcuts import Shortcuts
from hybridal_ray.scoring.uncertainty import frame_uncertainty
from hybridal_ray.scoring.video_scoring import UncertaintySettings, VideoScorer

SIZE = 8
SPEC = DetectorSpec("unused", num_classes=2, input_size=SIZE, clip_frames=4, clip_stride=2)
SETTINGS = UncertaintySettings(
    passes=3,
    reading="mean_of_log",
    reduction="mean",
    foreground_threshold=0.45,
    empty_frame_score=0.125,
    frames_per_video=3,
    sigma=8 / 3,
    window=4,
    spacing="window",
)


class TinyDetector(nn.Module):
    """Bright pixels are foreground; dropout makes the passes differ."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv3d(3, 6, kernel_size=3, padding=1)
        self.dropout = ChannelDropout(0.5)
        self.head = nn.Conv3d(6, 1, kernel_size=1)

    def encode(self, clips: Tensor) -> Tensor:
        return torch.cat([self.features(clips), clips.mean(dim=1, keepdim=True)], dim=1)

    def decode(self, features: Tensor) -> DetectorOutput:
        noisy = self.dropout(features[:, :6])
        logits = self.head(noisy)[:, 0] + 3 * features[:, 6]
        latent = noisy.amax(dim=(2, 3, 4))
        return DetectorOutput(logits, latent[:, :2], latent)


def make_detector() -> TinyDetector:
    torch.manual_seed(0)
    return TinyDetector().eval()


def make_video(num_frames: int, name: str = "walk") -> Video:
    return Video(name, f"/nowhere/{name}.mp4", "train", "g", num_frames, 64, 48)


def make_frames(num_frames: int, seed: int = 0) -> np.ndarray:
    """Dark noise in which a bright block moves; on every fifth frame it is absent."""
    random = np.random.default_rng(seed)
    frames = random.integers(0, 60, (num_frames, SIZE, SIZE, 3), dtype=np.uint8)
    for index in range(num_frames):
        if index % 5:
            frames[index, 2:5, index % SIZE : index % SIZE + 3] += 150
    return frames


def make_scorer(
    run_seed: int = 7,
    round_index: int = 1,
    clips_per_batch: int = 3,
    settings: UncertaintySettings = SETTINGS,
    **ways: Any,
) -> VideoScorer:
    return VideoScorer(
        make_detector(),
        SPEC,
        settings,
        run_seed=run_seed,
        round_index=round_index,
        device=torch.device("cpu"),
        clips_per_batch=clips_per_batch,
        **ways,
    )


@pytest.mark.parametrize("num_frames", [1, 3, 8, 9, 21, 37])
def test_agrees_with_the_whole_video_in_memory(num_frames: int) -> None:
    video, frames = make_video(num_frames), make_frames(num_frames)
    clips = tile_clips(num_frames, 4, 2)
    seeds = video_pass_seeds(7, 1, "walk", len(clips), 3)
    evidence: list[list[float]] = [[] for _ in range(num_frames)]
    latents = []
    for number, clip in enumerate(clips):
        passes = monte_carlo_passes(
            make_detector(), normalise(torch.from_numpy(frames[clip][None])), seeds[number : number + 1]
        )
        latents.append(passes.latents[0].numpy())
        scored = frame_uncertainty(
            passes.mask_probabilities[0],
            reading="mean_of_log",
            reduction="mean",
            foreground_threshold=0.45,
            empty_frame_score=0.0,
        )
        for place, frame in enumerate(clip):
            if not scored.empty[place]:
                evidence[frame].append(float(scored.scores[place]))

    found = make_scorer().uncertainty(video, iter(frames))

    expected = [sum(scores) / len(scores) if scores else 0.125 for scores in evidence]
    np.testing.assert_allclose(found.profile, expected, rtol=1e-5)
    np.testing.assert_array_equal(found.empty, [not scores for scores in evidence])
    np.testing.assert_allclose(found.latent, np.mean(latents, axis=0), rtol=1e-5)
    if num_frames == 37:
        assert 0 < found.empty.sum() < num_frames  # or the test would not see both kinds of frame


def test_scores_are_the_same_again_and_differ_by_seed_and_round() -> None:
    video, frames = make_video(20), make_frames(20)
    first = make_scorer().uncertainty(video, frames)
    again = make_scorer().uncertainty(video, frames)
    np.testing.assert_array_equal(first.profile, again.profile)
    np.testing.assert_array_equal(first.latent, again.latent)
    for other in (make_scorer(run_seed=8), make_scorer(round_index=2)):
        assert (other.uncertainty(video, frames).profile != first.profile).any()


@pytest.mark.parametrize("clips_per_batch", [1, 2, 50])
def test_size_of_the_batch_is_a_matter_of_speed(clips_per_batch: int) -> None:
    video, frames = make_video(37), make_frames(37)
    expected, found = (make_scorer(clips_per_batch=n).uncertainty(video, frames) for n in (3, clips_per_batch))
    np.testing.assert_allclose(found.profile, expected.profile, rtol=1e-5)
    np.testing.assert_allclose(found.latent, expected.latent, rtol=1e-5)


def test_videos_scored_before_leave_no_trace() -> None:
    scorer = make_scorer()
    scorer.uncertainty(make_video(30, "another"), make_frames(30, seed=5))
    after_another = scorer.uncertainty(make_video(20), make_frames(20))
    alone = make_scorer().uncertainty(make_video(20), make_frames(20))
    np.testing.assert_array_equal(after_another.profile, alone.profile)


def test_video_shorter_than_the_pool_says_is_unreadable() -> None:
    with pytest.raises(UnreadableVideo, match="only 12 frames"):
        make_scorer().uncertainty(make_video(20), make_frames(12))


class TestRow:
    @pytest.fixture(autouse=True)
    def _frames_from_memory(self, monkeypatch) -> None:
        def iter_frames(uri: str, size: int):
            assert size == SIZE
            if "missing" in uri:
                raise UnreadableVideo(uri, "no such file")
            return iter(make_frames(20))

        monkeypatch.setattr("hybridal_ray.scoring.video_scoring.iter_frames", iter_frames)

    def test_row_is_of_the_schema_and_consistent(self) -> None:
        row = make_scorer().score_video(make_video(20), [4])
        assert list(row) == SCORES_SCHEMA.names
        assert len(row["profile"]) == 20
        assert len(set(row["frames"]) - {4}) == 3
        assert row["frame_scores"] == [row["profile"][frame] for frame in row["frames"]]
        adjusted = [s - p for s, p in zip(row["frame_scores"], row["frame_penalties"], strict=True)]
        assert row["video_score"] == pytest.approx(sum(adjusted) / 3)
        assert row["empty_frames"] == row["profile"].count(0.125)
        assert row["error"] is None

    def test_what_is_unknown_of_the_class_is_added_on_request(self) -> None:
        without = make_scorer().score_video(make_video(20), [4])
        twice = dataclasses.replace(SETTINGS, class_weight=2.0)
        row = make_scorer(settings=twice).score_video(make_video(20), [4])
        unknown = entropy(row["class_scores"], base=2)
        assert row["video_score"] == pytest.approx(without["video_score"] + 2 * unknown)
        assert {**row, "video_score": None} == {**without, "video_score": None}
        assert make_scorer(settings=twice).score_video(make_video(20), range(20))["video_score"] is None

    def test_only_the_choice_depends_on_labelled_frames(self) -> None:
        free, labelled = (make_scorer().score_video(make_video(20), frames) for frames in ([], range(0, 20, 2)))
        assert (free["profile"], free["latent"]) == (labelled["profile"], labelled["latent"])
        assert all(frame % 2 for frame in labelled["frames"])

    def test_video_labelled_throughout_keeps_its_latent(self) -> None:
        row = make_scorer().score_video(make_video(20), range(20))
        assert (row["video_score"], row["frames"], row["error"]) == (None, [], None)
        assert len(row["latent"]) == 6

    def test_unreadable_video_gets_a_row_with_the_reason(self) -> None:
        row = make_scorer().score_video(make_video(20, "missing"), [])
        assert row == {**dict.fromkeys(SCORES_SCHEMA.names), "video_id": "missing", "error": "no such file"}


@pytest.mark.data
def test_real_video_is_read_at_the_detectors_size(hybridal_data: Path) -> None:
    path = sorted((hybridal_data / "jhmdb21" / "videos" / "wave").glob("*.avi"))[0]
    row = make_scorer().score_video(Video("wave", str(path), "train", "g", 15, 320, 240), [])
    assert row["error"] is None
    assert np.isfinite(row["profile"]).all()


def test_of_every_second_clip_the_frames_are_exact_and_those_between_interpolated() -> None:
    video, frames = make_video(16), make_frames(16)  # two blocks of two clips: even frames, odd frames
    exact = make_scorer().uncertainty(video, frames)
    found = make_scorer(shortcuts=Shortcuts(clip_step=2)).uncertainty(video, frames)
    # To rounding: clips pass the detector by ones here and by twos there, and several threads do not add up both alike.
    np.testing.assert_allclose(found.profile[::2], exact.profile[::2], rtol=1e-6)
    np.testing.assert_allclose(found.profile[1:15:2], (exact.profile[:14:2] + exact.profile[2::2]) / 2, atol=1e-12)
    assert found.empty.shape == exact.empty.shape
    assert not np.array_equal(found.profile, exact.profile)


@pytest.mark.parametrize("clips_per_batch", [1, 3])
def test_passes_cut_short_are_the_first_of_the_exact_ones(clips_per_batch: int) -> None:
    video, frames = make_video(21), make_frames(21)
    soon = Shortcuts(stable_ranking=-1.0, passes_at_once=2)  # any ranking will do: two passes of the three
    found = make_scorer(clips_per_batch=clips_per_batch, shortcuts=soon).uncertainty(video, frames)
    seeds = video_pass_seeds(7, 1, "walk", len(tile_clips(21, 4, 2)), 2)
    whole = [
        monte_carlo_passes(make_detector(), normalise(torch.from_numpy(frames[clip][None])), seeds[n : n + 1])
        for n, clip in enumerate(tile_clips(21, 4, 2))
    ]
    latents = torch.cat([passes.latents for passes in whole])
    np.testing.assert_allclose(found.latent, latents.mean(dim=0).numpy(), atol=1e-5)
    never = Shortcuts(stable_ranking=1.0, passes_at_once=3)
    np.testing.assert_allclose(
        make_scorer(shortcuts=never).uncertainty(video, frames).profile,
        make_scorer().uncertainty(video, frames).profile,
        atol=1e-5,
    )


def test_lower_precision_changes_last_digits_only() -> None:
    video, frames = make_video(21), make_frames(21)
    exact, found = (make_scorer(**ways).uncertainty(video, frames) for ways in ({}, {"autocast": torch.bfloat16}))
    np.testing.assert_allclose(found.latent, exact.latent, rtol=0.02, atol=0.02)
    assert not np.array_equal(found.latent, exact.latent)


@pytest.mark.parametrize("ways", [{}, {"shortcuts": Shortcuts(stable_ranking=1.0, passes_at_once=2)}])
def test_class_scores_are_the_mean_probability_over_clips_and_passes(ways: dict) -> None:
    video, frames = make_video(21), make_frames(21)
    detector, probabilities = make_detector(), []
    for number, clip in enumerate(tile_clips(21, 4, 2)):
        features = detector.encode(normalise(torch.from_numpy(frames[clip][None])))
        for seed in video_pass_seeds(7, 1, "walk", len(tile_clips(21, 4, 2)), 3)[number]:
            with torch.inference_mode(), seeded_dropout(detector, [torch.Generator().manual_seed(int(seed))]):
                logits = detector.decode(features).class_scores[0].double()
            probabilities.append((logits.exp() / logits.exp().sum()).numpy())
    found = make_scorer(**ways).uncertainty(video, frames).class_scores
    if not ways:
        np.testing.assert_allclose(found, np.mean(probabilities, axis=0), rtol=1e-5)
    assert found.sum() == pytest.approx(1.0)
    assert found.shape == (2,)


def test_the_measure_is_the_one_that_is_asked_for() -> None:
    video, frames = make_video(12), make_frames(12)
    scorer = VideoScorer(
        make_detector(),
        SPEC,
        dataclasses.replace(SETTINGS, measure="bald", passes=1),
        run_seed=7,
        round_index=1,
        device=torch.device("cpu"),
        clips_per_batch=3,
    )
    found = scorer.uncertainty(video, frames)
    assert not found.empty.all()
    np.testing.assert_allclose(found.profile[~found.empty], 0.0, atol=1e-12)  # one pass agrees with itself


class WholeDetector(nn.Module):
    """The tiny detector without its split, and with torch's own dropout: it runs pass by pass."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.inner, self.inner_dropout = make_detector(), nn.Dropout3d(rate)
        self.inner.dropout = self.inner_dropout

    def forward(self, clips: Tensor) -> DetectorOutput:
        return self.inner.decode(self.inner.encode(clips))


def test_a_detector_that_runs_pass_by_pass_has_class_scores_too() -> None:
    video, frames = make_video(12), make_frames(12)

    def found(detector: nn.Module) -> np.ndarray:
        scorer = VideoScorer(
            detector.eval(),
            SPEC,
            SETTINGS,
            run_seed=7,
            round_index=1,
            device=torch.device("cpu"),
            clips_per_batch=3,
        )
        return scorer.uncertainty(video, frames).class_scores

    split = make_detector()
    split.dropout = ChannelDropout(0.0)
    np.testing.assert_allclose(found(WholeDetector(0.0)), found(split), rtol=1e-5)  # without dropout, the same
    assert (found(WholeDetector(0.5)) != found(split)).any()
