"""Three rounds against a real Label Studio server, answered by its API and on its own page.

Oracle: the truth of the demo pool, which the scripted annotator draws; what the ledger holds must be that.
"""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_runs import CONFIG_FILE

from hybridal_ray.local_label_studio import EXECUTABLE_VARIABLE, LocalServer, start_server, stop_server
from hybridal_ray.pool import ledger
from hybridal_ray.pool.tables import load_pool

JOBS = Path(__file__).parents[2] / "jobs"
pytestmark = [pytest.mark.label_studio, pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("people")


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[LocalServer]:
    executable = os.environ.get(EXECUTABLE_VARIABLE)
    if executable is None:
        pytest.skip(f"{EXECUTABLE_VARIABLE} is not set: it names the executable of an installed Label Studio")
    pytest.importorskip("label_studio_sdk", reason="pip install -c constraints.txt '.[label-studio]' brings the SDK")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    try:
        yield start_server(root / "server", executable, document_root=root, port=port)
    finally:
        stop_server(root / "server")


def test_three_rounds_with_people(
    server: LocalServer, root: Path, tiny_pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(JOBS))
    demo, chromium = pytest.importorskip("demo_people"), pytest.importorskip("chromium")
    if chromium.find_chromium() is None:
        pytest.skip("no Chromium is on the PATH, and the variable CHROMIUM names none")
    settings = ["run=run", f"pool.path={tiny_pool}", "rounds=3", "tracking.uri=sqlite:///" + str(root / "mlflow.db")]
    photographs = demo.play(server, root, settings, config_file=CONFIG_FILE)

    run, truth = root / "run", load_pool(str(tiny_pool))
    assert (run / "rounds/002/select.done.json").exists()
    assert len(photographs) == 3
    assert all(photograph.stat().st_size > 20_000 for photograph in photographs)
    rows = ledger.read(str(run)).to_pylist()
    assert len(rows) == len({(row["video_id"], row["frame"]) for row in rows}) == 15 + 8 + 8
    assert {row["annotator"] for row in rows} == {server.user}
    assert all(row["seconds"] > 0 and row["answered_at"] for row in rows)
    real = {}
    for row in truth.tubes.to_pylist():
        real.setdefault((row["video_id"], row["frame"]), []).append((row["class_id"], row["x1"], row["y2"]))
    for row in rows:
        found = [(box["class_id"], box["x1"], box["y2"]) for box in row["boxes"]]
        expected = sorted(real.get((row["video_id"], row["frame"]), []))
        assert [box[0] for box in sorted(found)] == [box[0] for box in expected]
        # By hand a box is as exact as the page's pixels are.
        assert [edge for box in sorted(found) for edge in box[1:]] == pytest.approx(
            [edge for box in expected for edge in box[1:]], abs=1.0
        )
    _token_is_nowhere(server, root)


def _token_is_nowhere(server: LocalServer, root: Path) -> None:
    """In no file of the runs or of MLflow; the server keeps it in its own directory."""
    files = [file for file in root.rglob("*") if file.is_file() and root / "server" not in file.parents]
    assert any(file.name == "config.yaml" for file in files)
    assert any(file.name == "mlflow.db" for file in files)
    assert [file for file in files if server.token.encode() in file.read_bytes()] == []
    assert server.token not in (root / "server/server.log").read_text()
