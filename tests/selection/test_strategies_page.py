"""Oracle: the page itself; its examples are run as they are printed, and its table is compared with the registries."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_up_pools import make_request, make_video, score_row

from hybridal_ray.config import parse_config
from hybridal_ray.selection.frame_rules import FRAME_RULES
from hybridal_ray.selection.strategies import STRATEGIES, VIDEO_RULES, build_strategy, run_strategy

PAGE = (Path(__file__).parents[2] / "docs" / "strategies.md").read_text()
VIDEOS = [make_video("a", 30), make_video("b", 10), make_video("c", 40), make_video("d", 20)]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture(scope="module", autouse=True)
def _written_down(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("own")
    for name, text in zip(("my_strategy.py", "my_videos.py"), blocks("python"), strict=True):
        (folder / name).write_text(text)
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))


def test_every_configuration_of_the_page_can_be_built():
    sections = [yaml.safe_load(text)["selection"] for text in blocks("yaml")]
    assert len(sections) == 5
    for section in sections:
        selection = parse_config({"run": "r", "pool": {"path": "p"}, "selection": section}, "the page").selection
        build_strategy(selection.strategy, selection.options)
        build_strategy(selection.start_strategy, selection.start_options)


def test_the_strategy_of_the_page_picks_the_longest_videos():
    request = make_request(VIDEOS, labelled={"c": [1]}, num_videos=2)
    picks = run_strategy("my_strategy:LongestVideos", {"at_least": 15}, request).picks
    assert picks["video_id"].to_pylist() == ["a", "a", "d", "d"]
    assert picks["frame"].to_pylist() == [0, 1, 0, 1]


def test_the_choice_of_videos_of_the_page_combines_with_any_frames():
    rows = [score_row(video.video_id, 1.0, [0.0], [0, 1]) for video in VIDEOS]
    for row, empty in zip(rows, (3, 9, 9, 0), strict=True):
        row["empty_frames"] = empty
    for frames in FRAME_RULES:
        options = {"videos": "my_videos:EmptiestVideos", "frames": frames}
        picks = run_strategy("combined", options, make_request(VIDEOS, rows, num_videos=2, frames_per_video=1)).picks
        assert picks["video_id"].to_pylist() == (["b", "b"] if frames == "all" else ["b", "c"])


def test_the_table_names_every_strategy_and_the_text_every_choice():
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE)) == set(STRATEGIES)
    videos = PAGE.split("`videos`: ")[1].split("\n\n")[0]
    assert set(VIDEO_RULES) <= set(re.findall(r"`(\w+)`", videos))
    frames = PAGE.split("`frames`:\n")[1].split("\n\n")[0]
    assert set(FRAME_RULES) <= set(re.findall(r"`(\w+)`", frames))
