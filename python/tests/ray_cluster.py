"""A Ray cluster of several nodes on this machine, in a folder of its own, for tests and benchmarks."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# The tip is Ray's own, about accelerators; there is nothing that a caller could do.
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_DATA_DISABLE_PROGRESS_BARS"] = "1"

NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20}


@contextmanager
def cluster_of(nodes: int, *, connect: bool = True) -> Iterator[Any]:
    """A head that runs no work, and nodes of one CPU each. Nothing is left of it afterwards."""
    # Paths of sockets have at most 107 bytes, so the folder's is short.
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    before = os.environ.get("RAY_TMPDIR")
    os.environ["RAY_TMPDIR"] = folder
    os.mkdir(os.path.join(folder, "ray"))
    import ray
    from ray.cluster_utils import Cluster

    # A node that dies is missed after seconds, rather than half a minute.
    health = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_timeout_ms": 2000, "health_check_failure_threshold": 4}
    head = {**NODE, "_system_config": health, "num_cpus": 0, "include_dashboard": False, "temp_dir": os.path.join(folder, "ray")}
    cluster = Cluster(initialize_head=True, head_node_args=head, shutdown_at_exit=True)
    # By its folder its processes are known from those of another cluster.
    cluster.folder = folder
    try:
        for _ in range(nodes):
            cluster.add_node(**NODE)
        if connect:
            ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        yield cluster
    finally:
        if connect:
            ray.shutdown()
        cluster.shutdown()
        if before is None:
            del os.environ["RAY_TMPDIR"]
        else:
            os.environ["RAY_TMPDIR"] = before
        shutil.rmtree(folder, ignore_errors=True)


def resident_of_actor(cluster: Any) -> float | None:
    """MB in memory of a cluster's actor of `map_batches`, if there is one. Linux only."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as line, open(f"/proc/{name}/statm") as pages, open(f"/proc/{name}/environ", "rb") as names:
                if line.read().startswith(b"ray::MapWorker") and cluster.folder.encode() in names.read():
                    return int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
        except OSError:
            # It ended meanwhile.
            continue
    return None
