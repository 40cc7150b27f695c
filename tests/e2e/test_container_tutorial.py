"""The tutorial's container and hub blocks, on a real engine and a real registry.

Verbatim where there is a GPU. Where there is none, verbatim too, up to the error that says so before anything is
started; and then with `cuda` read as `cpu` and without `gpus='all'`.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dure.device.probe import inventory
from dure.hub.engine import connect
from dure.nlp.snapshot import resolve
from tests.containers.workplace import BASE, build_base, engine
from tests.registry.workplace import registry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "examples" / "sentence_encoder" / "tutorial"
NAME = "all-MiniLM-L6-v2"
HUB = ("-m", "dure.cli.main", "hub")
HAS_GPU = bool(inventory().gpus)
SEVERAL = "range(10000)"
POST = """
with f:
    docs = f.post(on='/encode', inputs=[Document(text='many hands'), Document(text='one job')])
    np.save('embeddings.npy', docs.embeddings)
"""


@pytest.fixture(scope="module")
def docker() -> Iterator[Any]:
    with engine() as client:
        yield client


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheels of what the images need, fetched as pip is set up here: PyTorch for the CPU where that is on offer."""
    folder = tmp_path_factory.mktemp("wheels")
    pip = [sys.executable, "-m", "pip", "--quiet", "download", "--only-binary", ":all:", "-d", str(folder)]
    subprocess.run([*pip, "torch==2.13.0", "sentence-transformers", "nvidia-ml-py"], check=True, timeout=400)
    return folder


@pytest.fixture(scope="module")
def work(docker: Any, wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Follow the tutorial: `hub new`, its Executor and requirements, and the image sentence-encoder."""
    build_base(docker, tmp_path_factory.mktemp("base"))
    folder = tmp_path_factory.mktemp("tutorial")
    run(folder, *HUB, "new", "--name", "SentenceEncoder", "--dockerfile")
    bundle = folder / "SentenceEncoder"
    for name in ("executor.py", "main_docker.py"):
        shutil.copy(TUTORIAL / name, bundle)
    (bundle / "requirements.txt").write_text("torch==2.13.0\nsentence-transformers\n", encoding="utf-8")
    build(bundle, "sentence-encoder", wheels)
    return bundle


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    from sentence_transformers import SentenceTransformer

    found = SentenceTransformer(str(resolve(NAME).folder), device="cpu").encode(["many hands", "one job"])
    return np.asarray(found)


def run(
    folder: Path, *words: str | Path, check: bool = True, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert not check or not done.returncode, done.stdout + done.stderr
    return done


def build(bundle: Path, tag: str, wheels: Path) -> None:
    run(bundle, *HUB, "build", ".", "--base", BASE, "--tag", tag, "--wheels", wheels)


def cache_of_a_home(home: Path) -> None:
    """Put the model where Hugging Face keeps those that it has downloaded."""
    revision = "a" * 40  # what is no commit's digest is not taken for one
    of_model = home / ".cache" / "huggingface" / "hub" / f"models--sentence-transformers--{NAME}"
    shutil.copytree(resolve(NAME).folder, of_model / "snapshots" / revision)
    (of_model / "refs").mkdir()
    (of_model / "refs" / "main").write_text(revision, encoding="utf-8")
    for path in (home, *home.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def on_cpu(program: str) -> str:
    program = program.replace("'cuda'", "'cpu'")
    return re.sub(r",?\s*gpus='all'", "", program)


def blocks() -> list[str]:
    """The tutorial's ways to make a Flow, from the page of this project; it has quotes of another kind."""
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    page = page.replace('"', "'")
    return re.findall(r"tests/e2e/test_container_tutorial.py runs it -->\n```python\n(f = .*?)```", page, re.DOTALL)


def try_block(program: str, folder: Path, env: dict[str, str] | None = None) -> np.ndarray:
    """Run a program verbatim; without a GPU it says so, and is run once more on the CPU."""
    program = f"import numpy as np\nfrom dure import Document, Flow\n{program}{POST}"
    if not HAS_GPU:
        (folder / "verbatim.py").write_text(program, encoding="utf-8")
        told = run(folder, "verbatim.py", check=False, env=env)
        assert told.returncode
        assert "the Docker Engine has no NVIDIA runtime" in told.stderr or "there is no GPU" in told.stderr
        assert "nvidia" in told.stderr
        program = on_cpu(program)
    (folder / "page.py").write_text(program, encoding="utf-8")
    run(folder, "page.py", env=env)
    return np.asarray(np.load(folder / "embeddings.npy"))


def test_the_page_has_the_tutorials_blocks() -> None:
    assert [re.findall(r"uses='(.*?)'", block) for block in blocks()] == [
        ["docker://sentence-encoder"],
        ["docker://sentence-encoder"],
        ["jinahub+docker://TransformerTorchEncoder/gpu"],
    ]


def test_the_program_of_the_container_section(work: Path, tmp_path: Path) -> None:
    cache_of_a_home(tmp_path)
    program = (work / "main_docker.py").read_text(encoding="utf-8")
    assert SEVERAL in program
    if not HAS_GPU:
        told = run(work, "main_docker.py", check=False)
        assert "the Docker Engine has no NVIDIA runtime" in told.stderr or "there is no GPU" in told.stderr
        # The model is mounted, so that nothing is downloaded, and the documents are fewer: a CPU takes minutes.
        program = on_cpu(program).replace(SEVERAL, "range(64)")
        program = program.replace("{'device': 'cpu'}", f"{{'device': 'cpu'}}, volumes='{tmp_path}/.cache:/root/.cache'")
        program = program.replace(".add(", ".add(env={'HF_HUB_OFFLINE': '1'}, ")
    (work / "main_here.py").write_text(program, encoding="utf-8")
    told = run(work, "main_here.py")
    assert "Flow is ready to use" in told.stderr + told.stdout
    assert re.search(r"steps done in .* documents\)", told.stderr)


def test_the_block_with_the_mounted_cache(work: Path, tmp_path: Path, expected: np.ndarray) -> None:
    cache_of_a_home(tmp_path)
    block = blocks()[1].replace("/home/ubuntu", str(tmp_path))  # "replace /home/ubuntu with your home directory"
    block = block.replace(".add(", ".add(env={'HF_HUB_OFFLINE': '1'},")
    np.testing.assert_allclose(try_block(block, tmp_path), expected, atol=1e-4)


def test_the_block_of_the_hub(docker: Any, work: Path, wheels: Path, tmp_path: Path, expected: np.ndarray) -> None:
    cache_of_a_home(tmp_path)
    (tmp_path / "registry").mkdir()
    bundle = tmp_path / "TransformerTorchEncoder"
    shutil.copytree(ROOT / "hub" / "TransformerTorchEncoder", bundle)
    build(bundle, "dure-test/transformer:gpu", wheels)
    with registry(tmp_path / "registry", PLAIN="1") as site:  # an engine trusts a registry on loopback without a CA
        env = {"DURE_HUB": f"{site.host}/team", "DURE_CACHE": str(tmp_path / "dure")}
        name = f"{site.host}/team/transformer-torch-encoder:gpu"
        run(tmp_path, *HUB, "push", "--image", "dure-test/transformer:gpu", "TransformerTorchEncoder/gpu", env=env)
        with contextlib.closing(connect()) as client:
            client.images.remove(name)
            block = blocks()[2].replace("/home/ubuntu", str(tmp_path))
            found = try_block(block, tmp_path, env)
            assert client.images.get(name), "it was pulled"
            client.images.remove(name, force=True)
    found /= np.linalg.norm(found, axis=1, keepdims=True)  # that Executor gives the mean as it is
    np.testing.assert_allclose(found, expected, atol=1e-4)
