"""Tracks of whole videos to CVAT and back. Oracle: the request's boxes, and an XML of CVAT written by hand."""

from dataclasses import replace
from pathlib import Path

import pytest
from requests_by_hand import ID, PROPOSED, pool, request

from hybridal_ray.errors import UserError
from hybridal_ray.oracles.checking import Checker
from hybridal_ray.oracles.cvat_tracks import cvat_tracks, tracks_of
from hybridal_ray.oracles.deliveries import read_delivery
from hybridal_ray.requests.request import KnownBox, Request, task_name

BOX = '<box frame="{}" outside="{}" occluded="0" keyframe="1" xtl="{}" ytl="2.00" xbr="{}" ybr="12.00" z_order="0"/>'
EXPORT = f"""<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><size>10</size><start_frame>0</start_frame><stop_frame>9</stop_frame>
<labels><label><name>kick</name></label><label><name>wave</name></label></labels>
<original_size><width>64</width><height>48</height></original_size><source>a.mp4</source></task></meta>
<track id="0" label="kick" source="manual">
{BOX.format(1, 0, 10, 20)}{BOX.format(4, 0, 40, 50)}{BOX.format(5, 1, 40, 50)}
</track></annotations>"""


def asked() -> Request:
    """Frames 2 and 5 of ``a``, on whose frame 8 an actor is known."""
    by_hand = request()
    known = KnownBox(8, "left", "kick", (1.0, 2.0, 30.0, 40.0))
    video = replace(by_hand.videos["a"], labelled_frames=(8,), known=(known,))
    return replace(by_hand, videos={**by_hand.videos, "a": video})


def taken(file: Path, content: bytes, *, all_seen: bool = False):
    file.write_bytes(content)
    return Checker([asked()], pool()).check(read_delivery(str(file), [asked()], all_seen=all_seen))


def test_tracks_answer_the_asked_frames_as_cvat_shows_them(tmp_path: Path) -> None:
    answers, rejected, still_open = taken(tmp_path / "e.xml", EXPORT.encode(), all_seen=True)
    assert (rejected, still_open) == ([], 0)
    assert [answer.frame for answer in answers] == [2, 5]
    (box,) = answers[0].boxes  # a third of the way from frame 1 to frame 4
    assert (box.class_id, box.box, box.actor) == (1, (20.0, 2.0, 30.0, 12.0), "0")
    assert answers[1].boxes == ()


def test_what_was_sent_comes_back_as_open_or_as_seen(tmp_path: Path) -> None:
    sent = cvat_tracks(asked(), "a")
    assert taken(tmp_path / "e.xml", sent)[2] == 2
    (first, second), rejected, _ = taken(tmp_path / "e.xml", sent, all_seen=True)
    assert (rejected, second.boxes) == ([], ())
    assert [(box.class_id, box.box) for box in first.boxes] == [(0, PROPOSED.box)]
    assert b'frame="8"' in sent


def test_a_video_of_another_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"source: found 'other', expected a video of which this run has asked frames"):
        taken(tmp_path / "e.xml", EXPORT.replace("a.mp4", "other.mp4").encode())


NEXT = "ba9876543210"


def asked_again() -> Request:
    """A later request, for frames 0 and 8 of the same video."""
    first, second = asked().frames[:2]
    frames = [replace(frame, task=task_name(NEXT, rank)) for rank, frame in enumerate((first, second))]
    frames = [replace(frame, frame=number) for frame, number in zip(frames, (0, 8), strict=True)]
    return replace(asked(), request=NEXT, for_round=1, videos={"a": asked().videos["a"]}, frames=tuple(frames))


def frames_of(file: Path, content: bytes) -> list[int]:
    file.write_bytes(content)
    both = [asked(), asked_again()]
    answers, _, _ = Checker(both, pool()).check(read_delivery(str(file), both, all_seen=True))
    return [answer.frame for answer in answers]


def test_a_file_answers_the_request_that_it_names_and_no_later_one(tmp_path: Path) -> None:
    """Oracle: the frames that each request asked for; without a name, a file says nothing of either."""
    named = "<meta><task><name>a [{}]</name>"
    assert frames_of(tmp_path / "e.xml", EXPORT.replace("<meta><task>", named.format(ID)).encode()) == [2, 5]
    assert frames_of(tmp_path / "e.xml", EXPORT.replace("<meta><task>", named.format(NEXT)).encode()) == [0, 8]
    assert frames_of(tmp_path / f"a-{NEXT}.xml", EXPORT.encode()) == [0, 8]
    assert frames_of(tmp_path / "e.xml", cvat_tracks(asked_again(), "a")) == [0, 8]
    for odd in (EXPORT, EXPORT.replace("<meta><task>", named.format(f"{ID} {NEXT}"))):
        with pytest.raises(UserError, match=rf"e.xml: name: .* asked for by {ID}, {NEXT}; expected the id"):
            frames_of(tmp_path / "e.xml", odd.encode())


def test_ids_with_folders_get_folders() -> None:
    assert tracks_of("Biking/v 1") == "tracks/Biking/v 1.xml"
