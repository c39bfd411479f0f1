"""docs/nodes.md and examples/nodes: a dry run of each file, and the table as the arithmetic has it."""

import importlib.util
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tokenmask.cli.parser import make_parser
from tokenmask.recipes import load_recipe

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/nodes.md").read_text(encoding="utf-8")
FOLDER = ROOT / "examples/nodes"


def module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def check_command(words: list[str], processes: int) -> None:
    """The words after ``-m tokenmask`` are a training that so many processes can share."""
    asked = make_parser().parse_args(words)
    recipe = load_recipe(asked.recipe, overrides=asked.set)
    assert asked.command == "train" and recipe.training.batch_size % processes == 0
    assert recipe.training.sharding == "full" and recipe.training.checkpoints == "sharded"
    assert {word.partition("=")[0] for word in asked.tokenizer} == set(recipe.streams)


def test_every_file_is_on_the_page():
    assert all(f"examples/nodes/{path.name}" in PAGE for path in FOLDER.iterdir() if path.is_file())
    assert len([path for path in FOLDER.iterdir() if path.is_file()]) == 3


def test_the_table_is_what_the_arithmetic_says():
    assert "\n".join(module(ROOT / "benchmarks/on_paper.py").rows()) in PAGE


def test_the_slurm_script_is_bash_and_its_command_a_training():
    path = FOLDER / "slurm.sh"
    subprocess.run(["bash", "-n", str(path)], check=True)
    text = path.read_text().replace("\\\n", " ")
    options = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)", text, re.MULTILINE))
    (line,) = re.findall(r"^srun (torchrun .*)$", text, re.MULTILINE)
    words = shlex.split(line)
    per_node = int(words[words.index("--nproc-per-node") + 1])
    assert options["gpus-per-node"] == str(per_node) and options["ntasks-per-node"] == "1"
    assert words[words.index("--nnodes") + 1] == "$SLURM_NNODES"
    check_command(words[words.index("tokenmask") + 1 :], int(options["nodes"]) * per_node)


def test_the_kubernetes_file_holds_a_service_and_a_job_that_fit():
    service, job = yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text())
    assert (service["apiVersion"], service["kind"]) == ("v1", "Service")
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    assert service["spec"]["clusterIP"] == "None" and pod["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"] == spec["template"]["metadata"]["labels"]
    assert spec["completionMode"] == "Indexed" and spec["completions"] == spec["parallelism"]
    (container,) = pod["containers"]
    options = dict(one.removeprefix("--").partition("=")[::2] for one in container["args"] if one.startswith("--"))
    host, port = options["rdzv-endpoint"].split(":")
    assert host == f"{job['metadata']['name']}-0.{pod['subdomain']}"
    assert int(port) == service["spec"]["ports"][0]["port"]
    assert options["nnodes"] == str(spec["completions"])
    assert options["nproc-per-node"] == str(container["resources"]["limits"]["nvidia.com/gpu"])
    assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in pod["volumes"]}
    words = container["args"][container["args"].index("tokenmask") + 1 :]
    check_command(words, spec["completions"] * int(options["nproc-per-node"]))


def test_the_ray_script_can_be_imported_without_ray_and_compiles():
    made = module(FOLDER / "ray_train.py")
    assert callable(made.loop) and callable(made.start)


@pytest.mark.parametrize("block", re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL))
def test_commands_of_the_page_are_commands(block):
    for line in block.replace("\\\n", " ").splitlines():
        words = shlex.split(line)
        if "tokenmask" in words:
            make_parser().parse_args(words[words.index("tokenmask") + 1 :])
