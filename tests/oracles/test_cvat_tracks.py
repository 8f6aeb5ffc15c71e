"""Tracks of whole videos to CVAT and back. Oracle: the request's boxes, and an XML of CVAT written by hand."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from requests_by_hand import ID, PROPOSED, nothing_proposed, pool, request

from hybridal_ray.errors import UserError
from hybridal_ray.oracles.arrivals import settle
from hybridal_ray.oracles.checking import Checker
from hybridal_ray.oracles.cvat_tracks import cvat_tracks, tracks_of
from hybridal_ray.oracles.deliveries import read_delivery
from hybridal_ray.pool.ledger import LABELS_SCHEMA
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
    assert (box.class_id, box.box, box.actor) == (1, (20.0, 2.0, 30.0, 12.0), None)
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


NOBODY = EXPORT[: EXPORT.index("<track")] + "</annotations>"


@pytest.mark.parametrize(
    "meta",
    [
        NOBODY,
        NOBODY.replace("<source>a.mp4</source>", "<mode>interpolation</mode>"),
        NOBODY.replace("<task>", "<job>").replace("</task>", "</job>"),
    ],
)
def test_a_video_without_a_track_says_that_nobody_acts(tmp_path: Path, meta: str) -> None:
    """Oracle: the asked frames of the video; the one on which a detector saw somebody is answered, not left as sent."""
    (first,), rejected, still_open = taken(tmp_path / "a.xml", meta.encode())
    assert (first.frame, first.boxes, rejected, still_open) == (2, (), [], 1)
    answers, _, _ = taken(tmp_path / "a.xml", meta.encode(), all_seen=True)
    assert [(answer.frame, answer.boxes) for answer in answers] == [(2, ()), (5, ())]


def track(number: int, frame: int, x: int, **attributes: str) -> str:
    """A kick of one frame, 10 pixels wide, from `x` on."""
    told = "".join(f'<attribute name="{name}">{value}</attribute>' for name, value in attributes.items())
    boxes = [
        BOX.format(at, gone, x, x + 10).replace("/>", f">{told}</box>") for at, gone in ((frame, 0), (frame + 1, 1))
    ]
    return f'<track id="{number}" label="kick">{"".join(boxes)}</track>'


def actors_of(file: Path, *tracks: str) -> list[str | None]:
    """The actors of frame 2, from left to right."""
    answers, _, _ = taken(file, NOBODY.replace("</annotations>", f"{''.join(tracks)}</annotations>").encode())
    return [box.actor for box in sorted(answers[0].boxes, key=lambda box: box.box)]


def test_actors_have_the_names_that_people_gave_and_no_numbers_of_a_file(tmp_path: Path) -> None:
    """Oracle: the attributes; a track's number, and the name of what a detector saw, are nobody's name."""
    both = {"actor": "Kim", "tube_id": "left"}
    assert actors_of(tmp_path / "e.xml", track(0, 2, 5, **both), track(1, 2, 40, tube_id="right")) == ["Kim", "right"]
    assert actors_of(tmp_path / "e.xml", track(0, 2, 5, actor=""), track(1, 2, 40)) == [None, None]
    assert actors_of(tmp_path / "e.xml", track(0, 2, 5, tube_id="proposed tube-000")) == [None]
    # One actor in two tracks is one; the number behind the second is the importer's.
    assert actors_of(tmp_path / "e.xml", track(0, 7, 5, actor="Kim"), track(1, 2, 40, actor="Kim")) == ["Kim"]


def test_tracks_that_are_numbered_anew_are_known_again_by_their_place(tmp_path: Path) -> None:
    """Oracle: who stands left in one export and in the next, which numbers the two the other way round."""
    both, labels = [nothing_proposed(asked()), nothing_proposed(asked_again())], LABELS_SCHEMA.empty_table()
    for request_id, frame, order in ((ID, 2, (5, 40)), (NEXT, 8, (40, 5))):
        tracks = "".join(track(number, frame, x) for number, x in enumerate(order))
        file = tmp_path / f"a-{request_id}.xml"
        file.write_text(NOBODY.replace("</annotations>", f"{tracks}</annotations>"))
        labels = pa.concat_tables([labels, settle(read_delivery(str(file), both), both, pool(), labels, 0, set()).rows])
    names = {
        row["frame"]: [box["tube_id"] for box in sorted(row["boxes"], key=lambda box: box["x1"])]
        for row in labels.to_pylist()
        if row["boxes"]
    }
    assert len(set(names[2])) == 2
    assert names[8] == names[2]


def test_ids_with_folders_get_folders() -> None:
    assert tracks_of("Biking/v 1") == "tracks/Biking/v 1.xml"
