"""Requests to CVAT and back. Oracle: the boxes of the request, and CVAT's documented XML written by hand."""

import io
import zipfile
from pathlib import Path

import pytest
from requests_by_hand import ID, PROPOSED, pool, request

from hybridal_ray.errors import UserError
from hybridal_ray.oracles.checking import Checker
from hybridal_ray.oracles.cvat_answers import read_cvat_answers
from hybridal_ray.oracles.cvat_files import CvatFileOracle, cvat_labels, cvat_xml
from hybridal_ray.oracles.cvat_tasks import image_name
from hybridal_ray.requests.request import Request

EXPORT = f"""<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><id>7</id><name>x</name></task></meta>
  <image id="0" name="{ID}-00000.png" width="64" height="48">
    <box label="kick" source="manual" occluded="0" xtl="10.00" ytl="11.50" xbr="30.25" ybr="40.00" z_order="0">
      <attribute name="actor">left one</attribute></box>
    <box label="wave" source="auto" occluded="0" xtl="4.00" ytl="4.00" xbr="20.00" ybr="20.00" z_order="0"></box>
  </image>
  <image id="1" name="batch/{ID}-00001.png" width="64" height="48"><tag label="cannot tell" source="manual"/></image>
  <image id="2" name="{ID}-00002.png" width="64" height="48"><tag label="no actor" source="manual"></tag></image>
</annotations>"""


def written(tmp_path: Path) -> Request:
    asked = request(str(tmp_path))
    (tmp_path / "images").mkdir()
    for frame in asked.frames:
        (tmp_path / frame.image).write_bytes(frame.task.encode())
    return asked


def read(file: Path, text: str, **how: bool):
    file.write_text(text)
    return read_cvat_answers(str(file), [request()], **how)


def test_an_export_is_read(tmp_path: Path) -> None:
    delivery = read(tmp_path / "e.xml", EXPORT)
    (first, second, third), rejected, still_open = Checker([request()], pool()).check(delivery)
    assert (rejected, still_open, delivery.kind) == ([], 0, "cvat")
    assert [(box.class_id, box.box, box.actor) for box in first.boxes] == [
        (1, (10.0, 11.5, 30.25, 40.0), "left one"),
        (0, (4.0, 4.0, 20.0, 20.0), None),
    ]
    assert (second.frame, second.cannot_tell, third.cannot_tell, third.boxes) == (5, True, False, ())


def test_what_nobody_touched_is_open_until_all_were_seen(tmp_path: Path) -> None:
    asked = written(tmp_path)
    text = cvat_xml(asked).decode()
    records = read(tmp_path / "e.xml", text).records
    assert [record.fields["answer"] for record in records] == [None] * 3
    answers, rejected, _ = Checker([asked], pool()).check(read(tmp_path / "e.xml", text, all_seen=True))
    assert not rejected
    assert [box.box for box in answers[0].boxes] == [PROPOSED.box]
    assert [answer.boxes for answer in answers[1:]] == [(), ()]


def test_the_archive_holds_the_images_and_is_read_back(tmp_path: Path) -> None:
    asked = written(tmp_path)
    told = CvatFileOracle().send(asked)
    assert "cvat.zip" in told
    with zipfile.ZipFile(tmp_path / "cvat.zip") as archive:
        assert {name for name in archive.namelist() if name != "annotations.xml"} == {f.image for f in asked.frames}
        assert archive.read(asked.frames[2].image) == asked.frames[2].task.encode()
    before = (tmp_path / "cvat.zip").read_bytes()
    (tmp_path / "cvat.zip").unlink()
    CvatFileOracle().send(asked)
    assert (tmp_path / "cvat.zip").read_bytes() == before
    assert len(read_cvat_answers(str(tmp_path / "cvat.zip"), [asked]).records) == 3


def test_the_labels_of_the_project_are_classes_and_tags() -> None:
    assert [(label["name"], label["type"]) for label in cvat_labels(request())] == [
        ("wave", "rectangle"), ("kick", "rectangle"), ("no actor", "tag"), ("cannot tell", "tag"),
    ]  # fmt: skip


def test_an_export_of_a_task_that_was_sent_to_a_server_is_read(tmp_path: Path) -> None:
    """Oracle: the frames of the request, by the names that their images have on the server."""
    text = EXPORT
    for frame in request().frames:
        text = text.replace(f"{frame.task}.png", image_name(frame))
    answers, rejected, _ = Checker([request()], pool()).check(read(tmp_path / "e.xml", text))
    assert ([answer.frame for answer in answers], rejected) == ([2, 5, 7], [])
    _, (other,), _ = Checker([request()], pool()).check(
        read(tmp_path / "e.xml", text.replace(f"2_{ID}-00000", "2_ffffffffffff-00000"))
    )
    assert other.found == "'0000002_ffffffffffff-00000'"


def test_another_size_of_picture_is_scaled(tmp_path: Path) -> None:
    text = EXPORT.replace('width="64" height="48"', 'width="128" height="96"')
    (first, *_), _, _ = Checker([request()], pool()).check(read(tmp_path / "e.xml", text))
    assert first.boxes[0].box == (5.0, 5.75, 15.125, 20.0)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('xtl="10.00"', 'xtl="left"', "boxes[0].x1"),
        ('xtl="10.00"', "", "boxes[0].x1"),
        ('xtl="10.00"', 'xtl="nan"', "boxes[0].x1"),
        ('label="kick"', 'label="kcik"', "boxes[0].class"),
        (f"{ID}-00000", "ffffffffffff-00000", "task"),
        ('<box label="kick"', '<polygon label="kick" points="1,1;2,2"/><box label="kick"', "polygon"),
    ],
)
def test_a_bad_image_is_named_and_the_others_are_read(tmp_path: Path, old: str, new: str, field: str) -> None:
    answers, (rejected,), _ = Checker([request()], pool()).check(read(tmp_path / "e.xml", EXPORT.replace(old, new)))
    assert (rejected.field, len(answers)) == (field, 2)
    assert "image 0" in rejected.line()


def test_a_file_that_breaks_off_gives_what_is_whole(tmp_path: Path) -> None:
    delivery = read(tmp_path / "e.xml", EXPORT[: EXPORT.index('<image id="2"') + 20])
    assert len(delivery.records) == 2
    assert delivery.unreadable[0].record == "image 2"


def test_what_is_no_export_of_cvat_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not valid XML"):
        read(tmp_path / "e.xml", "annotations")
    with pytest.raises(UserError, match="holds no <image>"):
        read(tmp_path / "e.xml", "<annotations/>")
    with pytest.raises(UserError, match="refused"):
        read(tmp_path / "e.xml", '<!DOCTYPE a [<!ENTITY b "c">]><annotations>&b;</annotations>')
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("other.xml", EXPORT)
    (tmp_path / "e.zip").write_bytes(archive.getvalue())
    with pytest.raises(UserError, match=r"holds 0 files annotations\.xml"):
        read_cvat_answers(str(tmp_path / "e.zip"), [])


def test_a_zip_that_is_cut_off_is_told_as_one(tmp_path: Path) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("annotations.xml", EXPORT)
    whole = archive.getvalue()
    for length in (8, len(whole) // 2, len(whole) - 30):
        (tmp_path / "cut.zip").write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"cut\.zip: not a readable zip: "):
            read_cvat_answers(str(tmp_path / "cut.zip"), [])
