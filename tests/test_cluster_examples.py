"""Examples for clusters name commands, options, images and files that there are; no cluster runs them."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import run
from pipeline.core.clusters import queue_settings

yaml = pytest.importorskip("yaml", reason="pip install -r requirements_cluster.txt")
ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "docs" / "examples"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMMANDS = typer.main.get_command(run.app).commands
YAML = sorted(EXAMPLES.glob("*.yaml"))


def containers() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield every container with its pod and the file that it stands in."""
    for path in YAML:
        for one in yaml.safe_load_all(path.read_text()):
            pod = one["spec"].get("template", {}).get("spec", {})
            yield from ((path.name, container, pod) for container in pod.get("containers", ()))


def lines() -> Iterator[tuple[str, str]]:
    """Yield every command line of run.py, variables of the shell replaced."""
    for name, container, _ in containers():
        words = container.get("args", [])
        if "command" not in container:
            yield name, shlex.join(words)
        elif words:
            yield name, words[0].removeprefix("exec python run.py ")
    script = (EXAMPLES / "slurm_array.sh").read_text()
    yield from (
        ("slurm_array.sh", line) for line in re.findall(r"^ *python run\.py (.+)$", script, re.MULTILINE)
    )


@pytest.mark.parametrize(("name", "line"), sorted(lines()))
def test_every_command_parses(name, line):
    plain = re.sub(r"\$\(\(.+?\)\)|\$\{?\w+\}?", "1", line.replace("$PARTS", "20"))
    command, *words = shlex.split(plain)
    with COMMANDS[command].make_context(command, words) as context:
        assert context.params["images"], name
        assert (context.params["shard"] is None) == ("--shard" not in line)


def test_every_kind_of_example_runs_commands():
    assert {name for name, _ in lines()} == {*(path.name for path in YAML), "slurm_array.sh"}


def test_manifests_hold_together():
    """What a pod mounts is among its volumes; a service finds its pods; labels are those looked for."""
    for name, container, pod in containers():
        mounted = {one["name"] for one in container.get("volumeMounts", ())}
        assert mounted == {one["name"] for one in pod.get("volumes", ())} or not mounted, name
        assert container["image"] == "REGISTRY/protein-locations-command"
        assert container["image"].rpartition("/")[2] in DOCKERFILE
    for path in YAML:
        found = list(yaml.safe_load_all(path.read_text()))
        labels = [
            one["spec"]["template"]["metadata"]["labels"] for one in found if one["kind"] == "Deployment"
        ]
        assert [
            one["spec"]["selector"]["matchLabels"] for one in found if one["kind"] == "Deployment"
        ] == labels
        assert all(one["spec"]["selector"] in labels for one in found if one["kind"] == "Service")


def test_parts_are_as_many_as_pods():
    (job,) = yaml.safe_load_all((EXAMPLES / "kubernetes_shards.yaml").read_text())
    text = job["spec"]["template"]["spec"]["containers"][0]["args"][0]
    assert job["spec"]["completionMode"] == "Indexed"
    assert f"$((JOB_COMPLETION_INDEX + 1))/{job['spec']['completions']}" in text


@pytest.mark.parametrize(
    "words", [c["command"] for _, c, _ in containers() if c.get("command", [""])[0] == "dask"]
)
def test_dask_knows_the_options_of_its_commands(words):
    pytest.importorskip("distributed", reason="pip install -r requirements_cluster.txt")
    from distributed.cli import dask_scheduler, dask_worker

    known = {"scheduler": dask_scheduler, "worker": dask_worker}[words[1]].main
    known.make_context(words[1], list(words[2:]))


def test_the_script_of_the_array_is_a_script():
    subprocess.run(["/bin/bash", "-n", EXAMPLES / "slurm_array.sh"], check=True)


def test_the_queue_of_the_example_is_one():
    cluster = pytest.importorskip("dask_jobqueue.slurm", reason="pip install -r requirements_cluster.txt")
    workers, queue = queue_settings(EXAMPLES / "slurm_queue.toml")
    script = cluster.SLURMJob(scheduler="tcp://1:1", name="one", **queue).job_script()
    assert (workers, "#SBATCH -p short" in script, "source .venv/bin/activate" in script) == (40, True, True)


def test_images_copy_what_is_there_and_installs_what_it_copied():
    stages = re.split(r"^FROM .+ AS (\w+)$", DOCKERFILE, flags=re.MULTILINE)[1:]
    by_name = dict(zip(stages[::2], stages[1::2], strict=True))
    assert list(by_name) == ["base", "command", "service"]
    for text in by_name.values():
        copied = [one for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE) for one in line.split()]
        assert all((ROOT / one).exists() for one in copied)
        wanted = re.findall(r"-r (\S+)", text)
        assert wanted == [one for one in copied if one.startswith("requirements")]
