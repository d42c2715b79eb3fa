"""The OpenAPI page holds what the server does: generated requests, valid and not, get the answers that are described.

Slow: schemathesis makes the requests; each gets an answer of a few tokens from a tiny model.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys

import pytest
from tiny import write_tiny

pytest.importorskip("fastapi", reason="the server needs the extra 'serve'")
pytest.importorskip("openai", reason="tests/serving.py needs the openai client")
if importlib.util.find_spec("schemathesis") is None:
    pytest.skip("pip install schemathesis brings the generated requests", allow_module_level=True)

import httpx2
from serving import running

from varco_vision.infer.api import VarcoVision
from varco_vision.serve.settings import Limits

pytestmark = pytest.mark.slow

LIMITS = Limits(new_tokens=8, request_time=60.0)
# A request may fit the page and still be refused: a picture that is none, a box without its task, two last answers.
LEFT_OUT = "positive_data_acceptance"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    vision = VarcoVision.from_pretrained(write_tiny(tmp_path_factory.mktemp("tiny") / "model"), device="cpu")
    with running(vision, LIMITS) as found:
        yield found


def test_the_server_does_what_its_page_says(server, tmp_path):
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json", "--seed", "1"]
    command += ["--checks", "all", "--exclude-checks", LEFT_OUT, "--max-examples", "100", "--no-color"]
    command += ["--phases", "examples,coverage,fuzzing", "--request-timeout", "60", "--generation-database", "none"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=tmp_path, check=False)
    print(done.stdout[-6000:])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    made, passed = map(int, re.search(r"(\d+) generated, (\d+) passed", done.stdout).groups())
    assert made == passed > 300
    assert server.service.stats()["accepted"] > 20, "too few requests came as far as the model"
    assert server.desk.admitted == 0 and server.service.stats()["running"] == 0, "something was left behind"
    assert server.desk._bodies.held == server.desk._pictures.held == 0


def test_the_page_is_complete(server):
    page = httpx2.get(f"{server.url}/openapi.json").json()
    assert set(page["paths"]) == {"/v1/chat/completions", "/v1/models", "/health", "/metrics"}
    body = page["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert {"model", "messages"} == set(body["required"]) and body["additionalProperties"] is False
