"""cluster.yaml against Ray's own schema and preparation, and against what the file promises in its comments."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from hybridal_ray.config import load_config

REPOSITORY = Path(__file__).parent.parent
TEXT = (REPOSITORY / "cluster.yaml").read_text()


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    return yaml.safe_load(TEXT)


def test_rays_schema_accepts_it(cluster: dict[str, Any]) -> None:
    import ray.autoscaler

    schema = json.loads(Path(ray.autoscaler.__file__).with_name("ray-schema.json").read_text())
    jsonschema.validate(cluster, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**cluster, "idle_timeout": 5}, schema)


def test_rays_launcher_prepares_it(cluster: dict[str, Any]) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(cluster)
    validate_config(prepared)

    assert prepared["available_node_types"]["head"]["max_workers"] == 0
    # Ray's defaults would install a nightly Ray on the nodes.
    for commands in (prepared["head_setup_commands"], prepared["worker_setup_commands"]):
        assert len(commands) == 1
        assert "-c /home/ray/hybridal/constraints.txt" in commands[0]


def test_no_idle_gpu_is_paid_for(cluster: dict[str, Any]) -> None:
    with_gpu = [kind for kind in cluster["available_node_types"].values() if kind["resources"].get("GPU")]

    assert with_gpu
    assert all(kind["min_workers"] == 0 for kind in with_gpu)
    assert 0 < cluster["idle_timeout_minutes"] <= 10
    assert cluster["provider"]["cache_stopped_nodes"] is False
    assert "GPU" not in cluster["available_node_types"][cluster["head_node_type"]]["resources"]


def test_images_hold_the_ray_of_the_constraints(cluster: dict[str, Any]) -> None:
    pinned = re.search(r"^ray==(\S+)$", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE)

    assert pinned is not None
    for image in ("head_image", "worker_image"):
        assert cluster["docker"][image].startswith(f"rayproject/ray:{pinned[1]}-py311-")


def test_jobs_come_through_ssh_only(cluster: dict[str, Any]) -> None:
    start = next(command for command in cluster["head_start_ray_commands"] if "ray start" in command)

    assert "--dashboard-host=127.0.0.1" in start


def test_the_job_of_its_first_lines_has_a_valid_configuration() -> None:
    comment = " ".join(line.lstrip("#").strip(" \\") for line in TEXT.splitlines() if line.startswith("#"))
    command = shlex.split(comment[comment.index("jobs/al_loop.py") : comment.index("ray down")])

    config = load_config(REPOSITORY / command[2], command[3:])

    assert config.cluster.may_grow
    assert config.training.gpus_per_worker == 1
    assert config.locate(config.run).startswith("s3://BUCKET/hybridal/")
