"""What a delivery adds to the ledger. Oracle: small stories of who answers what and when, told by hand."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests_by_hand import ID, PROPOSED, nothing_proposed, pool, request

from hybridal_ray.oracles.arrivals import Arrival, settle
from hybridal_ray.oracles.interface import AnswerRecord, Delivery
from hybridal_ray.oracles.progress import progress_of
from hybridal_ray.pool import ledger
from hybridal_ray.pool.ledger import LABELS_SCHEMA
from hybridal_ray.requests.request import Request

BOX = {"class": "wave", "x1": 1.0, "y1": 2.0, "x2": 30.0, "y2": 40.0}
FAR = {"class": "wave", "x1": 40.0, "y1": 2.0, "x2": 60.0, "y2": 40.0}


def answer(rank: int = 0, *boxes: dict[str, Any], at: str | None = None, **fields: Any) -> dict[str, Any]:
    told = {"task": f"{ID}-{rank:05d}", "boxes": list(boxes), **fields}
    return told | ({"answered_at": f"2026-01-{at}T12:00:00Z"} if at else {})


class Book:
    """A ledger that grows delivery by delivery.

    Args:
        asked: The request; that of `requests_by_hand` by default.
        kind: Of the deliveries.
        counts_on: Whether they are of a tool that counts on.
    """

    def __init__(self, asked: Request | None = None, kind: str = "files", counts_on: bool = False) -> None:
        self.asked, self.kind, self.counts_on = asked or nothing_proposed(request()), kind, counts_on
        self.labels = LABELS_SCHEMA.empty_table()

    def take(self, *fields: dict[str, Any], open_round: int = 0, closed: set[int] | None = None) -> Arrival:
        records = [AnswerRecord(f"answer {number}", one) for number, one in enumerate(fields)]
        delivery = Delivery("f.json", self.kind, records, counts_on=self.counts_on)
        arrival = settle(delivery, [self.asked], pool(), self.labels, open_round, closed or set())
        self.labels = pa.concat_tables([self.labels, arrival.rows])
        return arrival

    def boxes(self, frame: int = 2, video: str = "a") -> list[float]:
        return [actor.box[0] for actor in ledger.labels_by_video(self.labels)[video][frame]]


def test_what_is_known_of_an_answer_is_kept() -> None:
    book = Book()
    book.take(answer(0, BOX, at="02", annotator="anna", seconds=9))
    (row,) = book.labels.to_pylist()
    assert (row["video_id"], row["frame"], row["round"], row["source"], row["request"]) == ("a", 2, 0, "files", ID)
    assert (row["annotator"], row["seconds"], f"{row['answered_at']:%d %H:%M}") == ("anna", 9.0, "02 12:00")
    assert row["boxes"][0]["class_id"] == 0


def test_the_same_delivery_twice_adds_nothing() -> None:
    book, batch = Book(), [answer(0, BOX, at="02"), answer(1, annotator="ben"), answer(2, BOX, FAR)]
    assert len(book.take(*batch).rows) == 3
    again = book.take(*batch)
    assert (len(again.rows), again.duplicates, again.corrections) == (0, 3, ())


def test_a_correction_supersedes_and_is_told() -> None:
    book = Book()
    book.take(answer(0, BOX, at="02", annotator="anna"))
    corrected = book.take(answer(0, FAR, at="03", annotator="anna"))
    assert corrected.corrections == ("f.json: answer 0: a, frame 2: supersedes the answer of anna of 2026-01-02 12:00",)
    assert book.boxes() == [40.0]
    assert len(book.labels) == 2
    assert book.take(answer(0, BOX, at="02", annotator="anna")).duplicates == 1  # the old file once more
    assert book.boxes() == [40.0]


def test_an_older_answer_that_arrives_late_does_not_supersede() -> None:
    book = Book()
    book.take(answer(0, FAR, at="03", annotator="anna"))
    assert book.take(answer(0, BOX, at="02", annotator="anna")).outdated == (
        "f.json: answer 0: a, frame 2: is older than the answer of anna of 2026-01-03 12:00; it is kept and does not "
        "count",
    )
    assert book.boxes() == [40.0]
    assert len(book.labels) == 2  # its time was spent all the same


def test_pieces_of_one_delivery_count_by_their_time() -> None:
    book = Book()
    book.take(answer(0, FAR, at="03"), answer(0, BOX, at="02"))
    assert book.boxes() == [40.0]


def test_another_annotator_corrects_or_gives_a_second_opinion() -> None:
    for twice, frames in (((), [40.0]), ((0,), [1.0])):
        book = Book(request(twice=twice))
        book.take(answer(0, BOX, annotator="anna"))
        arrival = book.take(answer(0, FAR, annotator="ben"))
        assert (len(arrival.corrections), arrival.second_opinions) == ((0, 1) if twice else (1, 0))
        assert book.boxes() == frames


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ({}, {"annotator": "anna"}),
        ({"annotator": "anna"}, {}),
        ({"at": "02"}, {"at": "02", "annotator": "anna"}),
        ({"at": "02", "annotator": "anna@example.org"}, {"at": "02", "annotator": "1"}),
        ({"at": "02", "annotator": "1"}, {"at": "02", "annotator": "anna@example.org"}),
    ],
)
@pytest.mark.parametrize("twice", [(), (0,)])
def test_the_same_answer_under_another_name_is_no_second_person(
    first: dict[str, str], again: dict[str, str], twice: tuple[int, ...]
) -> None:
    """Where two are wanted, the one that came without a name is refused."""
    unnamed = sum("annotator" not in one for one in (first, again)) if twice else 0
    book = Book(request(twice=twice))
    before = book.take(answer(0, BOX, seconds=20, **first))
    arrival = book.take(answer(0, BOX, seconds=20, **again))
    assert len(before.rejected) + len(arrival.rejected) == unnamed
    assert (len(book.labels), arrival.duplicates, arrival.superseded) == (1, 1 - unnamed, ())
    assert progress_of(book.asked, book.labels).answers == 1


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ({"at": "02", "annotator": "anna"}, {"at": "02", "annotator": "ben"}),
        ({"at": "02", "annotator": "1"}, {"at": "03", "annotator": "anna@example.org"}),
        ({"annotator": "1"}, {"annotator": "anna@example.org"}),
        ({"annotator": "anna"}, {"annotator": "ben"}),
    ],
)
def test_two_people_who_answer_alike_are_two(first: dict[str, str], again: dict[str, str]) -> None:
    book = Book(request(twice=(0,)))
    book.take(answer(0, BOX, **first))
    assert book.take(answer(0, BOX, **again)).second_opinions == 1


def test_a_correction_that_is_taken_back_without_a_date_is_told() -> None:
    book = Book()
    book.take(answer(0, BOX))
    book.take(answer(0, FAR))
    back = book.take(answer(0, BOX))
    assert (len(back.rows), back.duplicates) == (0, 1)
    assert back.superseded == (
        "f.json: answer 0: a, frame 2: was answered so before the answer of an unnamed annotator, which stands; "
        "expected answered_at where it is to stand again",
    )
    assert book.take(answer(0, FAR)).superseded == ()  # it stands
    assert book.take(answer(0, BOX, at="03")).superseded == ()
    assert book.boxes() == [1.0]


def test_a_second_opinion_brought_again_takes_nothing_back() -> None:
    book = Book(request(twice=(0,)))
    for _ in range(2):
        arrival = book.take(answer(0, BOX, annotator="anna"), answer(0, FAR, annotator="ben"))
    assert (arrival.duplicates, arrival.superseded) == (2, ())


def test_a_frame_nobody_asked_for_is_kept_and_told() -> None:
    book = Book()
    arrival = book.take({"video_id": "b", "frame": 1, "boxes": [BOX]})
    assert arrival.not_asked == ("f.json: answer 0: b, frame 1: no request asked for it; it is kept",)
    assert book.boxes(1, "b") == [1.0]
    assert book.labels["request"].to_pylist() == [None]


def test_late_answers_count_from_the_first_open_round() -> None:
    book = Book()
    book.take(answer(0, BOX))
    late = book.take(answer(1, BOX), {"video_id": "b", "frame": 1, "boxes": []}, open_round=2, closed={0, 1})
    assert late.rows["round"].to_pylist() == [2, 2]


def test_what_cannot_be_told_is_answered_and_no_label() -> None:
    book = Book()
    book.take(answer(0, BOX), answer(1, answer="cannot tell"))
    assert ledger.answered_frames(book.labels) == {"a": (2, 5)}
    assert set(ledger.labels_by_video(book.labels)["a"]) == {2}
    book.take(answer(0, answer="cannot tell"))  # on second thoughts
    assert ledger.labels_by_video(book.labels) == {}


def test_actors_are_known_again_on_the_nearest_labelled_frame() -> None:
    book = Book()
    book.take(answer(0, BOX, FAR), answer(1, {**FAR, "x1": 41.0}, {**BOX, "x1": 2.0}))
    rows = {row["frame"]: [box["tube_id"] for box in row["boxes"]] for row in book.labels.to_pylist()}
    assert rows[5] == rows[2][::-1]
    assert len(set(rows[2])) == 2
    book.take(answer(2, BOX))
    assert book.labels.to_pylist()[-1]["boxes"][0]["tube_id"] == "actor-7-0"  # another video


@pytest.mark.parametrize(
    ("boxes", "told"),
    [
        ([(4.0, 4.0, 20.0, 20.0)], "accepted"),
        ([(4.1, 4.0, 20.0, 20.0)], "accepted"),
        ([(6.0, 4.0, 22.0, 20.0)], "moved"),
        ([(4.0, 4.0, 20.0, 20.0), (30.0, 4.0, 40.0, 20.0)], "moved"),
        ([(40.0, 4.0, 60.0, 20.0)], "discarded"),
        ([], "discarded"),
    ],
)
def test_what_became_of_the_proposal(boxes: list[tuple[float, ...]], told: str) -> None:
    book = Book(request())
    named = [{"class": PROPOSED.class_name, **dict(zip(("x1", "y1", "x2", "y2"), box, strict=True))} for box in boxes]
    book.take(answer(0, *named), answer(1, BOX))
    assert book.labels["preannotation"].to_pylist() == [told, None]


def test_progress_counts_frames_and_second_annotators() -> None:
    book = Book(request(twice=(0,)))
    assert (
        progress_of(book.asked, book.labels).line()
        == "0 of 3 frames answered, 4 answers open, 1 of them a second annotator's too"
    )
    book.take(answer(0, BOX, annotator="anna"), answer(1, answer="cannot tell"), answer(2))
    book.take(answer(0, FAR, annotator="anna"))  # a correction is no second opinion
    progress = progress_of(book.asked, book.labels)
    assert (progress.answered, progress.answers, progress.answers_open, progress.cannot_tell) == (2, 3, 1, 1)
    book.take(answer(0, BOX, annotator="ben"))
    assert progress_of(book.asked, book.labels).complete


ANSWERS = st.builds(
    lambda rank, boxes, day, who: answer(rank, *boxes, at=f"{day:02d}", annotator=who),
    st.integers(0, 2),
    st.lists(st.sampled_from([BOX, FAR]), max_size=2),
    st.integers(1, 28),
    st.sampled_from(["anna", "ben"]),
)


@given(st.lists(ANSWERS, max_size=8, unique_by=lambda told: told["answered_at"]), st.data())
def test_order_and_repetition_of_deliveries_do_not_matter_to_one_annotator(
    told: list[dict[str, Any]], data: st.DataObject
) -> None:
    """Oracle: of each frame, the answer given last."""
    counts_last([{**one, "annotator": "anna"} for one in told], data)


@given(st.lists(ANSWERS, max_size=8, unique_by=lambda told: told["answered_at"]), st.data())
def test_nor_do_they_where_several_people_give_the_one_answer_that_is_wanted(
    told: list[dict[str, Any]], data: st.DataObject
) -> None:
    """Oracle: of each frame, the answer given last, whoever gave it."""
    counts_last(told, data)


def counts_last(told: list[dict[str, Any]], data: st.DataObject) -> None:
    """Takes dated answers in any order, and in their own again, and looks what stands of each frame."""
    book = Book()
    for one in data.draw(st.permutations(told)) + told:
        book.take(one)
    last: dict[str, dict[str, Any]] = {}
    for one in sorted(told, key=lambda one: one["answered_at"]):
        last[one["task"]] = one
    places = {f"{ID}-00000": ("a", 2), f"{ID}-00001": ("a", 5), f"{ID}-00002": ("b", 7)}
    expected = {places[task]: sorted(box["x1"] for box in one["boxes"]) for task, one in last.items()}
    found = ledger.labels_by_video(book.labels)
    assert {
        (video, frame): sorted(actor.box[0] for actor in actors)
        for video, frames in found.items()
        for frame, actors in frames.items()
    } == expected
