"""The `wasmjob serve` that the tests share, and what they begin with."""

import atexit
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import urllib3
from kubernetes import client, config

ROOT = pathlib.Path(__file__).resolve().parents[2]
WASMJOB = os.environ.get("WASMJOB", str(ROOT / "target/debug/wasmjob"))


def _start():
    place = tempfile.mkdtemp()
    busybox = ROOT / "wasm-examples/busybox/busybox.wasm"
    process = subprocess.Popen(
        [WASMJOB, "serve", "--data-dir", f"{place}/data", "--listen", "127.0.0.1:0", "--no-cache"]
        + ["--alias", f"busybox={busybox}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": place},
    )

    def end():
        process.kill()
        process.wait()
        process.stdout.close()
        shutil.rmtree(place, ignore_errors=True)

    atexit.register(end)
    line = process.stdout.readline()
    assert line.startswith("export KUBECONFIG="), line
    return line.strip().split("=", 1)[1]


KUBECONFIG = _start()


def connect():
    """A client of the server, as its administrator."""
    # A request that is answered twice is a test that is not one.
    configuration = client.Configuration()
    config.load_kube_config(KUBECONFIG, client_configuration=configuration)
    configuration.retries = urllib3.Retry(0)
    return client.ApiClient(configuration)


def job(name, script="true", **spec):
    """A Job of one busybox script."""
    container = {"name": "main", "image": "busybox", "command": ["sh", "-c", script]}
    pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {**spec, "template": {"spec": pod}},
    }


def cron_job(name, **spec):
    """A CronJob that is due at night."""
    template = job("unused")["spec"]
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name},
        "spec": {"schedule": "0 3 * * *", **spec, "jobTemplate": {"spec": template}},
    }


def soon(ask):
    """Asks until the answer is true, and gives it."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if answer := ask():
            return answer
        time.sleep(0.02)
    raise AssertionError("it never was")
