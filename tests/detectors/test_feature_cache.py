"""Oracle: the encoder itself, whose calls are counted; files damaged by hand."""

import dataclasses
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from whole_detector import SplitDetector, WholeDetector

from hybridal_ray.detectors.building import build_detector
from hybridal_ray.detectors.feature_cache import FeatureCache
from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.errors import UserError

COMPACT = DetectorSpec("compact", 2, 32, 4, 2, {"width": 8, "pyramid_width": 8})
I3D = DetectorSpec("i3d_pyramid", 2, 32, 4, 2, {"width": 0.125, "pyramid_width": 16})
CLIPS = np.array([[0, 2, 4, 6], [1, 3, 5, 7]])
INPUTS = torch.randn(2, 3, 4, 32, 32, generator=torch.Generator().manual_seed(3))


def make_detector(spec: DetectorSpec = COMPACT, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return build_detector(spec).eval()


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "walk.mp4"
    path.write_bytes(b"twelve bytes")
    return path


class Inputs:
    """Counts how often the clips were asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> torch.Tensor:
        self.asked += 1
        return INPUTS


def encode(cache: FeatureCache, video: Path, inputs: Callable[[], torch.Tensor], clips: np.ndarray = CLIPS) -> Any:
    with torch.inference_mode():
        return cache.encode(str(video), clips, inputs)


def files(location: Path) -> list[Path]:
    return sorted(path for path in location.rglob("*") if path.is_file())


def test_each_precision_has_features_of_its_own(tmp_path: Path, video: Path) -> None:
    detector = make_detector()
    cache, inputs = FeatureCache(str(tmp_path / "cache"), detector, COMPACT), Inputs()
    for read_again in (False, True):
        with torch.autocast("cpu", torch.bfloat16):
            mixed = encode(cache, video, inputs)
            with torch.inference_mode():
                expected = detector.encode(INPUTS)
        exact = encode(cache, video, inputs)
        for found, wanted in zip(flat(mixed), flat(expected), strict=True):
            assert found.dtype == wanted.dtype
            assert torch.equal(found, wanted)
        with torch.inference_mode():
            assert all(map(torch.equal, flat(exact), flat(detector.encode(INPUTS))))
        assert inputs.asked == 2, read_again


def flat(features: Any) -> list[torch.Tensor]:
    return [features] if isinstance(features, torch.Tensor) else list(features)


@pytest.mark.parametrize("spec", [COMPACT, I3D])
def test_what_is_read_is_what_was_computed_bit_for_bit_and_decodes_alike(
    spec: DetectorSpec, tmp_path: Path, video: Path
) -> None:
    detector, inputs = make_detector(spec), Inputs()
    cache = FeatureCache(str(tmp_path / "kept"), detector, spec)
    with torch.inference_mode():
        expected = detector.encode(INPUTS)
        first, again = (encode(cache, video, inputs) for _ in range(2))
        for one, other, reference in zip(first, again, expected, strict=True):
            assert torch.equal(one, reference)
            assert torch.equal(other, reference)
            assert other.stride() == reference.stride()
            assert other.dtype == reference.dtype
        assert torch.equal(detector.decode(again).mask_logits, detector.decode(expected).mask_logits)
    assert inputs.asked == 1
    assert len(files(tmp_path / "kept")) == 1


def test_half_precision_stays_half(tmp_path: Path, video: Path) -> None:
    cache = FeatureCache(str(tmp_path / "kept"), make_detector(), COMPACT)
    half = torch.randn(2, 3).bfloat16()
    cache.features(str(video), CLIPS, lambda: half)
    read = cache.features(str(video), CLIPS, lambda: pytest.fail("computed again"))
    assert read.dtype == torch.bfloat16
    assert torch.equal(read, half)


def test_a_view_is_kept_without_what_it_is_a_view_of(tmp_path: Path, video: Path) -> None:
    cache = FeatureCache(str(tmp_path / "kept"), make_detector(), COMPACT)
    cache.features(str(video), CLIPS, lambda: torch.zeros(1000, 100)[:2])
    assert files(tmp_path / "kept")[0].stat().st_size < 10_000


def test_another_process_reads_what_one_wrote(tmp_path: Path, video: Path) -> None:
    inputs = Inputs()
    for _ in range(2):
        encode(FeatureCache(str(tmp_path / "kept"), make_detector(), COMPACT), video, inputs)
    assert inputs.asked == 1


@pytest.mark.parametrize(
    ("seed", "changed"),
    [(1, {}), (0, {"input_size": 48}), (0, {"options": {"width": 8, "pyramid_width": 8, "dropout": 0.1}})],
)
def test_another_encoder_reads_nothing_of_it(seed: int, changed: dict, tmp_path: Path, video: Path) -> None:
    inputs = Inputs()
    encode(FeatureCache(str(tmp_path / "kept"), make_detector(), COMPACT), video, inputs)
    spec = dataclasses.replace(COMPACT, **changed)
    encode(FeatureCache(str(tmp_path / "kept"), make_detector(spec, seed), spec), video, inputs)
    assert inputs.asked == 2


def test_a_trained_head_reads_all_of_it(tmp_path: Path, video: Path) -> None:
    inputs, detector = Inputs(), make_detector()
    encode(FeatureCache(str(tmp_path / "kept"), detector, COMPACT), video, inputs)
    with torch.no_grad():
        for parameter in detector.head.parameters():
            parameter.add_(1.0)
    encode(FeatureCache(str(tmp_path / "kept"), detector, COMPACT), video, inputs)
    assert inputs.asked == 1


def test_one_weight_that_moves_by_its_last_digit_is_another_encoder(tmp_path: Path) -> None:
    detector = make_detector()
    before = FeatureCache(str(tmp_path), detector, COMPACT).folder
    assert FeatureCache(str(tmp_path), detector, COMPACT).folder == before
    weight = detector.encoder.stem.weight.data
    weight.view(-1)[0] = torch.nextafter(weight.view(-1)[0], torch.tensor(torch.inf))
    assert FeatureCache(str(tmp_path), detector, COMPACT).folder != before


def test_other_clips_and_a_changed_video_are_encoded_anew(tmp_path: Path, video: Path) -> None:
    cache, inputs = FeatureCache(str(tmp_path / "kept"), make_detector(), COMPACT), Inputs()
    encode(cache, video, inputs)
    encode(cache, video, inputs, clips=CLIPS[:1])
    encode(cache, video, inputs, clips=CLIPS + 1)
    assert inputs.asked == 3
    video.write_bytes(b"thirteen bytes")
    encode(cache, video, inputs)
    assert inputs.asked == 4
    (tmp_path / "run.mp4").write_bytes(b"twelve bytes")
    encode(cache, tmp_path / "run.mp4", inputs)
    assert inputs.asked == 5


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [cut, flipped, lambda content: b"", lambda content: b"no features at all"])
def test_a_damaged_file_is_computed_and_written_anew(
    damage: Callable[[bytes], bytes], tmp_path: Path, video: Path
) -> None:
    cache, inputs = FeatureCache(str(tmp_path / "kept"), make_detector(), COMPACT), Inputs()
    whole = encode(cache, video, inputs)
    [file] = files(tmp_path / "kept")
    content = file.read_bytes()
    file.write_bytes(damage(content))
    again = encode(cache, video, inputs)
    assert inputs.asked == 2
    assert all(torch.equal(one, other) for one, other in zip(whole, again, strict=True))
    assert file.read_bytes() == content


def test_several_may_write_the_same_clips_at_once(tmp_path: Path, video: Path) -> None:
    cache = FeatureCache(str(tmp_path / "kept"), make_detector(), COMPACT)
    together = threading.Barrier(4, timeout=20)
    features = torch.randn(200, 1000)

    def compute() -> torch.Tensor:
        together.wait()  # all have found nothing, and will write
        return features

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: cache.features(str(video), CLIPS, compute), range(4)))
    found.append(cache.features(str(video), CLIPS, lambda: pytest.fail("computed again")))
    assert all(torch.equal(one, features) for one in found)
    assert len(files(tmp_path / "kept")) == 1


def test_a_video_that_cannot_be_looked_at_is_not_kept(tmp_path: Path) -> None:
    cache, inputs = FeatureCache(str(tmp_path / "kept"), make_detector(), COMPACT), Inputs()
    with torch.inference_mode():
        for _ in range(2):
            cache.encode("nowhere://walk.mp4", CLIPS, inputs)
    assert inputs.asked == 2
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("kind", [WholeDetector, SplitDetector])
def test_a_detector_without_a_separate_encoder_is_refused(kind: type, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"detector 'own:Mine' cannot use it; expected .* `encoder` .* `adapt`"):
        FeatureCache(str(tmp_path), kind(2), DetectorSpec("own:Mine", 2, 32, 4, 2))
