"""The end of a run in its directory. Oracle: what was kept last."""

from pathlib import Path

from hybridal_ray.stopping.criterion import End
from hybridal_ray.stopping.end_file import END_FILE, keep_end, read_end


def test_what_was_kept_last_is_read_and_the_same_again_is_not_written(tmp_path: Path) -> None:
    run, end = str(tmp_path), End("target", 2, "reached")
    keep_end(run, None)
    assert not (tmp_path / END_FILE).exists()
    keep_end(run, end)
    written = (tmp_path / END_FILE).stat().st_mtime_ns
    keep_end(run, end)
    assert ((tmp_path / END_FILE).stat().st_mtime_ns, read_end(run)) == (written, end)
    keep_end(run, None)  # a threshold was raised, and the run goes on
    assert read_end(run) is None
