import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dure.export.nginx import config_of
from dure.export.ports import Door

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


def test_each_protocol_has_a_server_of_its_own() -> None:
    text = config_of("gateway", [Door("http", 8080, 80), Door("grpc", 8081, 0)])
    assert re.findall(r"listen (\d+)( http2)?;", text) == [("8080", ""), ("8081", " http2")]
    assert re.findall(r"(\w+)_pass (\S+);", text) == [
        ("proxy", "http://$gateway:8080"),
        ("grpc", "grpc://$gateway:8081"),
    ]


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed (nginx-light)")
def test_nginx_understands_it(tmp_path: Path) -> None:
    text = config_of("gateway", [Door("http", 18080, 80), Door("grpc", 18081, 0)])
    (tmp_path / "nginx.conf").write_text(text.replace("/tmp/", f"{tmp_path}/"), encoding="utf-8")
    command = [str(NGINX), "-t", "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert not done.returncode, done.stderr
