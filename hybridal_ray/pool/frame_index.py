"""Where the decoding of a video may begin: found in one pass over the file, proved by trial, kept beside the pool.

A container's own key frames cannot be taken at their word: streams without a valid one, with references across them,
or with timestamps that repeat are all in circulation. So a key frame counts only if seeking to it was tried and gave,
for it and the frames after it, the same pictures as the decoding of the whole file did.
"""

import contextlib
import hashlib
import zlib
from dataclasses import asdict, dataclass, field, replace

import av

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.pool.containers import UnreadableVideo, VideoStream, failure, is_folder, opened
from hybridal_ray.pool.decoding import (
    FrameIndex,
    RgbConverter,
    SeekPoint,
    VideoFacts,
    frames_from,
    has_variable_rate,
    probe,
    stamp_of,
    upright_size,
)

FRAMES_BETWEEN_POINTS = 12  # nearer ones save less than a seek costs
FRAMES_TRIED = 3  # from a point on, compared with the whole decoding
FORMAT = 2


@dataclass
class _Walk:
    """What one decoding of a whole file leaves.

    Attributes:
        points: Key frames, at least `FRAMES_BETWEEN_POINTS` apart.
        pictures: Checksum of each frame that a point will be tried on.
        damaged: Frames that the decoder marked as corrupt.
        stamps: Of all frames.
        ordered: Whether every frame has a timestamp above that of the one before.
    """

    points: list[SeekPoint] = field(default_factory=list)
    pictures: dict[int, int] = field(default_factory=dict)
    damaged: list[int] = field(default_factory=list)
    stamps: list[int | None] = field(default_factory=list)
    ordered: bool = True
    num_frames: int = 0
    width: int = 0
    height: int = 0


def build_index(uri: str) -> FrameIndex:
    """Decodes a video once and finds where its decoding may begin.

    Args:
        uri: Local path or URI.

    Raises:
        UnreadableVideo: Not one frame can be decoded.
    """
    if is_folder(uri):
        return FrameIndex(probe(uri), ())
    with opened(uri) as source:
        assert isinstance(source, VideoStream)
        fps = source.fps
        walk = _walk(source)
    facts = VideoFacts(walk.num_frames, fps, walk.width, walk.height, has_variable_rate(walk.stamps))
    if not walk.ordered:
        return FrameIndex(facts, ())
    ends = [*(point.frame for point in walk.points), walk.num_frames][1:]
    sound = [
        point
        for point, end in zip(walk.points, ends, strict=True)
        if not any(point.frame <= frame < end for frame in walk.damaged)
    ]
    proved = [_proved(uri, point, walk) for point in sound]
    return FrameIndex(facts, tuple(point for point in proved if point is not None))


def _walk(source: VideoStream) -> _Walk:
    walk, last_stamp = _Walk(), None
    seek_to: dict[int, int] = {}  # by timestamp of the key frame's packet
    to_rgb = RgbConverter(None)
    try:
        for packet in source.stream.container.demux(source.stream):
            if packet.is_keyframe and packet.dts is not None:
                seek_to[packet.dts if packet.pts is None else packet.pts] = packet.dts
            for frame in packet.decode():
                if walk.num_frames == 0:
                    walk.width, walk.height = upright_size(frame)
                stamp = stamp_of(frame)
                if stamp is None or (last_stamp is not None and stamp <= last_stamp):
                    walk.ordered = False
                else:
                    last_stamp = stamp
                    _note(walk, frame, stamp, seek_to.get(stamp), to_rgb)
                walk.num_frames += 1
                walk.stamps.append(stamp)
    except av.FFmpegError as error:
        if walk.num_frames == 0:
            raise UnreadableVideo(source.uri, f"no frame can be decoded: {failure(error)}") from error
    except OSError as error:
        raise UnreadableVideo(source.uri, f"cannot be read: {error}") from error
    if walk.num_frames == 0:
        raise UnreadableVideo(source.uri, "no frame can be decoded: holds no frame")
    return walk


def _note(walk: _Walk, frame: av.VideoFrame, stamp: int, seek_to: int | None, to_rgb: RgbConverter) -> None:
    number = walk.num_frames
    if frame.is_corrupt:
        walk.damaged.append(number)
    last = walk.points[-1].frame if walk.points else 0
    if walk.ordered and seek_to is not None and frame.key_frame and number >= last + FRAMES_BETWEEN_POINTS:
        walk.points.append(SeekPoint(number, seek_to, stamp))
        last = number
    if walk.points and number < last + FRAMES_TRIED:
        walk.pictures[number] = _checksum(frame, to_rgb)


def _proved(uri: str, point: SeekPoint, walk: _Walk) -> SeekPoint | None:
    """The point with a place to seek to that was tried: its own time, or else that of its packet."""
    for seek_to in dict.fromkeys((point.stamp, point.seek_to)):
        candidate = replace(point, seek_to=seek_to)
        if _holds(uri, candidate, walk):
            return candidate
    return None


def _holds(uri: str, point: SeekPoint, walk: _Walk) -> bool:
    """Whether decoding from a point gives the pictures of the whole decoding."""
    to_rgb = RgbConverter((walk.height, walk.width))
    with opened(uri) as source:
        assert isinstance(source, VideoStream)
        frames = frames_from(source, point)
        for number in range(point.frame, min(point.frame + FRAMES_TRIED, walk.num_frames)):
            frame = next(frames, None)
            if frame is None or _checksum(frame, to_rgb) != walk.pictures[number]:
                return False
    return True


def _checksum(frame: av.VideoFrame, to_rgb: RgbConverter) -> int:
    return zlib.crc32(to_rgb(frame).tobytes())


class IndexStore:
    """The indices of videos, each made at the first request.

    Args:
        root: Directory or URI of the pool; they are kept in ``index/`` there, and made anew for a file that has
            changed. None keeps them in memory alone, as does a pool that cannot be written to.
    """

    def __init__(self, root: str | None = None) -> None:
        self._root = root
        self._known: dict[str, FrameIndex] = {}

    def of(self, uri: str) -> FrameIndex:
        """The index of a video.

        Raises:
            UnreadableVideo: The video cannot be decoded, or is not there.
        """
        if uri not in self._known:
            self._known[uri] = self._kept(uri) or self._made(uri)
        return self._known[uri]

    def _made(self, uri: str) -> FrameIndex:
        state = None if is_folder(uri) else list(storage.state_of(uri))
        index = build_index(uri)
        if self._root is not None and state is not None:
            content = {"format": FORMAT, "uri": uri, "state": state, **asdict(index)}
            with contextlib.suppress(UserError):  # a pool that belongs to others is read all the same
                storage.write_json(self._location(uri), content)
        return index

    def _kept(self, uri: str) -> FrameIndex | None:
        if self._root is None or is_folder(uri) or not storage.exists(self._location(uri)):
            return None
        try:
            content = storage.read_json(self._location(uri))
            if content["format"] != FORMAT or content["state"] != list(storage.state_of(uri)):
                return None
            points = tuple(SeekPoint(**point) for point in content["points"])
            return FrameIndex(VideoFacts(**content["facts"]), points)
        except (UserError, KeyError, TypeError):  # written by another version, or cut off
            return None

    def _location(self, uri: str) -> str:
        assert self._root is not None
        return storage.join(self._root, "index", hashlib.blake2b(uri.encode(), digest_size=12).hexdigest() + ".json")
