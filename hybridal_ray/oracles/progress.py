"""How far a request is answered."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.requests.request import Request


@dataclass(frozen=True)
class Progress:
    """How far a request is answered.

    Attributes:
        frames: Asked for.
        answered: Of them, by as many annotators as wanted.
        answers: Given so far, as far as they were wanted.
        answers_open: Answers that are still wanted.
        cannot_tell: Frames of which the standing answer is that it cannot be told.
    """

    frames: int
    answered: int
    answers: int
    answers_open: int
    cannot_tell: int

    @property
    def complete(self) -> bool:
        """Whether nothing is wanted any more."""
        return self.answers_open == 0

    def line(self) -> str:
        """One line for a person."""
        second = self.answers_open - (self.frames - self.answered)
        more = f", {second} of them a second annotator's too" if second > 0 else ""
        return f"{self.answered} of {self.frames} frames answered, {self.answers_open} answers open{more}"


def progress_of(request: Request, labels: pa.Table) -> Progress:
    """Counts the answers of a ledger (`LABELS_SCHEMA`) to the frames of a request, each annotator of a frame once.

    An answer counts whichever request it was given to: people may still answer a former one that asked for the frame.
    """
    asked = {(frame.video_id, frame.frame): frame for frame in request.frames}
    people: dict[tuple[str, int], set[str | None]] = {place: set() for place in asked}
    unknown: dict[tuple[str, int], bool] = {}
    own = labels.filter(pc.is_in(labels["video_id"], pa.array(list(request.videos), pa.string())))
    for row in own.select(["video_id", "frame", "annotator", "answer", "standing"]).to_pylist():
        place = (row["video_id"], row["frame"])
        if place in asked:
            people[place].add(row["annotator"])
            if row["standing"] is None:
                unknown[place] = row["answer"] is not None
    missing = [max(0, frame.answers_wanted - len(people[place])) for place, frame in asked.items()]
    wanted = sum(frame.answers_wanted for frame in request.frames)
    return Progress(
        frames=len(missing),
        answered=missing.count(0),
        answers=wanted - sum(missing),
        answers_open=sum(missing),
        cannot_tell=sum(unknown.values()),
    )
