"""What counts of answers that come late, again, or from a tool that counts on. Oracle: stories told by hand."""

import pytest
from requests_by_hand import ID, nothing_proposed, request
from test_arrivals import BOX, FAR, Book, answer

from hybridal_ray.oracles.agreement import agreement_of
from hybridal_ray.oracles.cost import labour


@pytest.mark.parametrize("late", [False, True])
def test_of_one_wanted_answer_the_newer_stands_whoever_gave_it(late: bool) -> None:
    newer, older = answer(0, BOX, at="03", annotator="anna"), answer(0, FAR, at="02", annotator="ben")
    book = Book()
    arrivals = [book.take(one) for one in ((newer, older) if late else (older, newer))]
    assert book.boxes() == [1.0]
    assert [len(arrival.outdated) for arrival in arrivals] == [0, int(late)]
    assert [len(arrival.corrections) for arrival in arrivals] == [0, int(not late)]
    if late:
        assert "is older than the answer of anna of 2026-01-03 12:00" in arrivals[1].outdated[0]


def test_without_a_date_another_s_answer_is_a_correction_still() -> None:
    book = Book()
    book.take(answer(0, BOX, at="03", annotator="anna"))
    assert len(book.take(answer(0, FAR, annotator="ben")).corrections) == 1
    assert book.boxes() == [40.0]


def test_an_older_second_opinion_does_not_replace_the_newer() -> None:
    """Two people agree on the box; what one of them thought two days before, and brings late, says nothing of that."""
    book = Book(request(twice=(0,)))
    for who in ("anna", "ben"):
        book.take(answer(0, BOX, at="03", annotator=who))
    late = book.take(answer(0, FAR, at="01", annotator="ben"))
    assert (late.second_opinions, len(late.outdated)) == (0, 1)
    agreement = agreement_of(book.labels, ID)
    assert (agreement.mean_iou, agreement.actor_f1) == (1.0, 1.0)


def test_a_second_opinion_may_be_older_than_the_first() -> None:
    book = Book(request(twice=(0,)))
    book.take(answer(0, BOX, at="03", annotator="anna"))
    assert book.take(answer(0, FAR, at="01", annotator="ben")).second_opinions == 1


def saved(*boxes: dict[str, object], seconds: float, at: str, who: str = "anna") -> dict[str, object]:
    """An annotation of Label Studio as it is after so many seconds of a page in all."""
    return answer(0, *boxes, at=at, seconds=seconds, annotator=who)


@pytest.mark.parametrize("at_once", [False, True])
def test_time_that_label_studio_counts_on_is_booked_once(at_once: bool) -> None:
    """Oracle: 20 s for the answer, 35 s in all when it was corrected, 30 s when the page had forgotten 5 of them."""
    told = [
        saved(BOX, seconds=20.0, at="02"),
        saved(FAR, seconds=35.0, at="03"),
        saved(BOX, seconds=30.0, at="04"),
        saved(FAR, seconds=50.0, at="05"),
    ]
    book = Book(nothing_proposed(request()), kind="label-studio", counts_on=True)
    for batch in [told] if at_once else [[one] for one in told]:
        book.take(*batch)
    assert book.labels["seconds"].to_pylist() == [20.0, 15.0, 0.0, 15.0]
    assert labour(book.labels).seconds == 50.0


def test_the_time_of_another_person_or_of_files_is_whole() -> None:
    book = Book(request(twice=(0,)), kind="label-studio", counts_on=True)
    book.take(saved(BOX, seconds=20.0, at="02"), saved(FAR, seconds=9.0, at="03", who="ben"))
    assert book.labels["seconds"].to_pylist() == [20.0, 9.0]
    by_files = Book()
    by_files.take(saved(BOX, seconds=20.0, at="02"), saved(FAR, seconds=9.0, at="03"))
    assert by_files.labels["seconds"].to_pylist() == [20.0, 9.0]


@pytest.mark.parametrize("who", ["anna", "ben"])
def test_what_label_studio_saves_again_unchanged_is_a_duplicate(who: str) -> None:
    """Of the first person as of the second."""
    book = Book(request(twice=(0,)), kind="label-studio", counts_on=True)
    book.take(saved(BOX, seconds=20.0, at="02"), saved(FAR, seconds=20.0, at="02", who="ben"))
    again = book.take(saved(BOX if who == "anna" else FAR, seconds=40.0, at="05", who=who))
    assert (len(again.rows), again.duplicates, again.corrections, again.outdated) == (0, 1, (), ())


def test_what_is_taken_back_in_label_studio_counts() -> None:
    book = Book(nothing_proposed(request()), kind="label-studio", counts_on=True)
    for at, box in (("02", BOX), ("03", FAR), ("04", BOX)):
        book.take(saved(box, seconds=20.0, at=at))
    assert (len(book.labels), book.boxes()) == (3, [1.0])
