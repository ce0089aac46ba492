"""deploy/: what can be known without a container engine. Linters, schemas, and names that must agree.

That the commands in there do what they are for is shown by test_deploy_commands.py.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")

TOP = Path(__file__).parents[2]
DEPLOY = TOP / "deploy"
DOCKERFILE = DEPLOY / "Dockerfile"
MANIFESTS = sorted(each for each in (DEPLOY / "kubernetes").glob("*.yaml") if each.stem != "kustomization")
SERVERS = {"valkey/valkey": "valkey", "postgres": "postgres"}


def program(name):
    """Return a linter that came with the environment, or is on the PATH."""
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    return found or pytest.skip(f"{name} is not installed")


def check(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=TOP)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read(path):
    return [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each]


def pods():
    """Return each pod's template, by its name."""
    made = [each for path in MANIFESTS for each in read(path)]
    return {
        each["metadata"]["name"]: each["spec"]["template"]
        for each in made
        if "template" in each.get("spec", {})
    }


def containers():
    return [
        each
        for template in pods().values()
        for each in [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]
    ]


# --- Linters and schemas --------------------------------------------------------------------------


def test_yamllint():
    pytest.importorskip("yamllint")
    check(sys.executable, "-m", "yamllint", "--strict", "-c", "deploy/.yamllint.yaml", "deploy")


def test_hadolint():
    check(program("hadolint"), "--config", "deploy/.hadolint.yaml", "deploy/Dockerfile")


def test_the_compose_file_is_one():
    pytest.importorskip("check_jsonschema")
    schema = ["--builtin-schema", "vendor.compose-spec"]
    check(sys.executable, "-m", "check_jsonschema", *schema, "deploy/compose.yaml")


@pytest.mark.parametrize("version", ["1.30", "1.37"])
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_kubernetes_knows_every_field(path, version):
    validator = pytest.importorskip("kubernetes_validate")
    for resource in read(path):
        validator.validate(resource, version, strict=True)


def test_the_schemas_are_looked_at():
    validator = pytest.importorskip("kubernetes_validate")
    (namespace,) = read(DEPLOY / "kubernetes" / "namespace.yaml")
    with pytest.raises(validator.ValidationError):
        validator.validate({**namespace, "spce": {}}, "1.37", strict=True)


def test_kustomize_builds_it():
    built = check(program("kubectl"), "kustomize", "deploy/kubernetes")
    kinds = [each["kind"] for each in yaml.safe_load_all(built)]
    assert sorted(kinds) == sorted(each["kind"] for path in MANIFESTS for each in read(path))


# --- Names that must agree ------------------------------------------------------------------------


def test_every_manifest_is_applied():
    (listed,) = read(DEPLOY / "kubernetes" / "kustomization.yaml")
    assert sorted(listed["resources"]) == [path.name for path in MANIFESTS]


def test_services_find_their_pods():
    services = [each for path in MANIFESTS for each in read(path) if each["kind"] == "Service"]
    labels = {name: template["metadata"]["labels"] for name, template in pods().items()}
    for service in services:
        name, spec = service["metadata"]["name"], service["spec"]
        assert labels[name] == spec["selector"]
        (port,) = pods()[name]["spec"]["containers"][0]["ports"]
        assert [port["containerPort"]] == [each["port"] for each in spec["ports"]]


def test_secrets_that_are_asked_for_are_there():
    (secret,) = read(DEPLOY / "kubernetes" / "secret.yaml")
    asked = [
        entry["valueFrom"]["secretKeyRef"]
        for each in containers()
        for entry in each.get("env", [])
        if "secretKeyRef" in entry.get("valueFrom", {})
    ]
    assert asked
    assert {each["name"] for each in asked} == {secret["metadata"]["name"]}
    assert {each["key"] for each in asked} == set(secret["stringData"])


def test_no_container_is_root_or_may_write_where_it_need_not():
    for template in pods().values():
        assert template["spec"]["securityContext"]["runAsNonRoot"] is True
        assert template["spec"]["automountServiceAccountToken"] is False
    for each in containers():
        rights = each["securityContext"]
        assert rights["readOnlyRootFilesystem"] is True
        assert rights["allowPrivilegeEscalation"] is False
        assert rights["capabilities"] == {"drop": ["ALL"]}
        assert each["resources"]["limits"]


def test_there_are_three_replicas_of_either_kind():
    replicas = [each["spec"] for each in read(DEPLOY / "kubernetes" / "replicas.yaml")]
    assert [each["completions"] for each in replicas] == [3]
    assert [each["parallelism"] for each in replicas] == [3]
    (compose,) = read(DEPLOY / "compose.yaml")
    assert len([name for name in compose["services"] if name.startswith("replica-")]) == 3


def test_compose_and_kubernetes_run_the_same_servers():
    (compose,) = read(DEPLOY / "compose.yaml")
    there = {each["image"] for each in containers()}
    assert there == {each["image"] for each in compose["services"].values()}
    valkey = compose["services"]["valkey"]["command"]
    assert [valkey] == [each["args"] for each in containers() if each["name"] == "valkey"]


def test_hosts_that_are_named_exist():
    (compose,) = read(DEPLOY / "compose.yaml")
    said = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"(?:@|redis://)([a-z-]+):\d+", said)) <= set(compose["services"])
    assert set(re.findall(r"--master-host, ([a-z-]+)", said)) <= set(compose["services"])
    services = {
        each["metadata"]["name"] for path in MANIFESTS for each in read(path) if each["kind"] == "Service"
    }
    said = "".join(path.read_text(encoding="utf-8") for path in MANIFESTS)
    assert set(re.findall(r"(?:@|redis://)([a-z-]+):\d+", said)) == services


# --- The image ------------------------------------------------------------------------------------


def copied():
    """Return what the Dockerfile takes from the repository."""
    text = DOCKERFILE.read_text(encoding="utf-8")
    lines = re.findall(r"^COPY ((?!--from).+) \S+$", text, re.MULTILINE)
    return {each for line in lines for each in line.split()}


def test_what_is_copied_is_there_and_reaches_the_builder():
    ignore = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert {each[1:] for each in ignore if each.startswith("!")} == copied()
    for each in copied():
        assert (TOP / each).exists(), each


def test_the_image_has_the_extras_that_its_commands_need():
    text = DOCKERFILE.read_text(encoding="utf-8")
    project = (TOP / "pyproject.toml").read_text(encoding="utf-8")
    (extras,) = re.findall(r"pip install --no-cache-dir '\.\[(.+)\]'", text)
    for each in extras.split(","):
        assert re.search(rf"^{each} = \[", project, re.MULTILINE), each


def test_what_the_build_reads_is_copied():
    project = (TOP / "pyproject.toml").read_text(encoding="utf-8")
    (files,) = re.findall(r"^license-files = \[(.+)\]$", project, re.MULTILINE)
    licences = {each.split("/")[0] for each in re.findall(r'"([^"]+)"', files)}
    assert {*licences, "README.md", "pyproject.toml", "CMakeLists.txt"} <= copied()
