"""Threads, processes and signals."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import child_environment, draw
from numpy.typing import NDArray

import deepcut_vision as dc
from deepcut_vision import _deepcut, _engine
from deepcut_vision._parameters import build_options, engine_of

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def segment_with(model: dc.DeepCut, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return model.fit_predict(image)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize(
    "method", [method for method in ("fork", "forkserver", "spawn") if method in multiprocessing.get_all_start_methods()]
)
def test_models_go_to_other_processes(method: str, image: NDArray[np.uint8]) -> None:
    model = dc.DeepCut(mode="parts", n_clusters=3)
    expected = model.segment(image).labels  # the network is loaded before the fork
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        for labels in pool.map(segment_with, [model] * 4, [image] * 4, timeout=120):
            assert np.array_equal(labels, expected)
    assert np.array_equal(model.segment(image).labels, expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_loads_its_own_network_and_ends_well(run_python: Run) -> None:
    script = """
import os, sys, threading
import numpy as np
import deepcut_vision as dc
from deepcut_vision._parameters import build_options, engine_of

image = np.zeros((64, 64, 3), np.uint8)
image[16:48, 16:48] = 200
model = dc.DeepCut()
expected = model.fit_predict(image)
engine = engine_of(model.get_params())
busy = threading.Event()

def work():
    for _ in range(20):
        model.segment(image)
        busy.set()

other = threading.Thread(target=work)
if sys.argv[1] == "busy":
    other.start()
    busy.wait()
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
child = os.fork()
if not child:
    if sys.argv[1] != "busy":
        try:
            engine.segment(image, build_options(model.get_params()))
            os._exit(3)
        except RuntimeError as error:
            assert "fork" in str(error)
    assert engine_of(model.get_params()) is not engine
    assert np.array_equal(model.fit_predict(image), expected)
    sys.exit(7)  # with everything that the interpreter drops at its end
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 7, status
assert np.array_equal(model.fit_predict(image), expected)
"""
    for state in ("idle", "busy"):
        done = run_python(script, state, timeout=60)
        assert done.returncode == 0, (state, done.stderr)


def test_networks_are_kept_and_bounded() -> None:
    parameters = dc.DeepCut().get_params()
    first = engine_of(parameters)
    assert engine_of(dc.DeepCut(mode="parts").get_params()) is first
    for size in range(_engine._CAPACITY):
        engine_of({**parameters, "max_memory": f"{size + 1}GB"}, threads=1)
    assert len(_engine._slots) == _engine._CAPACITY
    assert engine_of(parameters) is not first


def test_threads_share_a_network(image: NDArray[np.uint8]) -> None:
    model = dc.DeepCut(mode="parts", n_clusters=3)
    expected = model.segment(image).labels
    images = [image, draw(color=(20, 200, 90)), draw(70, 90)]
    alone = [model.segment(one).labels for one in images]
    with ThreadPoolExecutor(4) as pool:
        for number, labels in enumerate(pool.map(lambda at: model.segment(images[at % 3]).labels, range(24))):
            assert np.array_equal(labels, alone[number % 3])
    assert np.array_equal(alone[0], expected)


def test_a_network_is_loaded_once_for_threads_that_ask_together() -> None:
    _engine._slots.clear()
    ready = threading.Barrier(6)

    def ask(_: int) -> int:
        ready.wait()
        return id(engine_of(dc.DeepCut(threads=1).get_params()))

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(ask, range(6)))) == 1


@pytest.mark.parametrize("call", ["segment", "features", "cluster", "decode", "mask", "overlay", "polygons"])
def test_other_threads_go_on_meanwhile(call: str, mug: Path, tmp_path: Path) -> None:
    import io

    import PIL.Image

    rng = np.random.default_rng(0)
    large = rng.integers(0, 255, (3000, 3000, 3), np.uint8)
    result = dc.DeepCut().cluster(rng.normal(size=(40, 40, 8)).astype(np.float32), image=large)
    features = dc.DeepCut(resolution=448).features(mug)
    buffer = io.BytesIO()
    PIL.Image.fromarray(large).save(buffer, "PNG", compress_level=1)
    data = buffer.getvalue()
    model = dc.DeepCut(resolution=896, threads=1)
    calls: dict[str, Callable[[], object]] = {
        "segment": lambda: model.segment(mug),
        "features": lambda: model.features(mug),
        "cluster": lambda: dc.DeepCut(threads=1, epochs=400).cluster(features, mode="parts"),
        "decode": lambda: [_deepcut.Image.decode(data) for _ in range(4)],
        "mask": lambda: [result._found.mask() for _ in range(20)],
        "overlay": lambda: result._found.png("overlay", large),
        "polygons": lambda: result._found.annotate("geojson", "a.png"),
    }
    calls[call]()  # the network is loaded
    # On a busy machine a thread may wait for other reasons, though not each time.
    tries = [longest_gap(calls[call]) for _ in range(4)]
    longest, whole = min(tries, key=lambda found: found[0] / found[1])
    # A call that kept the interpreter would be one gap, as long as itself.
    assert whole > 0.02, f"{call} is too quick to tell: {whole}"
    assert longest < 0.5 * whole, f"{call}: no thread ran for {longest:.3f} of {whole:.3f} s"


def longest_gap(call: Callable[[], object]) -> tuple[float, float]:
    """For how long another thread did not run during a call, and how long it took, in seconds."""
    ticks: list[float] = []
    stop = threading.Event()

    def tick() -> None:
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    other = threading.Thread(target=tick)
    other.start()
    try:
        begin = time.perf_counter()
        call()
        end = time.perf_counter()
    finally:
        stop.set()
        other.join()
    during = [begin, *(tick for tick in ticks if begin < tick < end), end]
    return max(np.diff(during)), end - begin


def test_results_are_freed(image: NDArray[np.uint8]) -> None:
    result = dc.segment(image)
    labels, owner = result.labels, weakref.ref(result)
    expected = labels.copy()
    del result
    gc.collect()
    assert owner() is None and np.array_equal(labels, expected)


def test_options_and_errors_pickle() -> None:
    options = build_options({**dc.DeepCut().get_params(), "tau": 0.25})
    assert pickle.loads(pickle.dumps(options)).flat() == options.flat()
    for error in (dc.ImageError("a.jpg: damaged"), dc.WeightsNotFound("no network")):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error) and str(again) == str(error)


INTERRUPTED = {
    "segment": "dc.segment(image, mode='parts', n_clusters=8, epochs=100_000)",
    "cluster": "dc.DeepCut(epochs=100_000).cluster(dc.DeepCut().features(image), mode='parts')",
    "iter_segment": "list(dc.iter_segment([image] * 10_000, resolution=448))",
    "segment_folder": "dc.segment_folder([sys.argv[1]] , sys.argv[2], formats=['mask'], resolution=448)",
    "evaluate": "dc.evaluate('masks', sys.argv[3], resolution=448)",
}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("call", INTERRUPTED)
def test_ctrl_c_is_a_keyboard_interrupt(call: str, tmp_path: Path) -> None:
    import PIL.Image

    photos, masks = tmp_path / "set" / "images", tmp_path / "set" / "masks"
    photos.mkdir(parents=True)
    masks.mkdir()
    if call in ("segment_folder", "evaluate"):
        for number in range(400):
            PIL.Image.fromarray(draw(color=(number % 256, 90, 200))).save(photos / f"{number:03}.png")
            PIL.Image.fromarray(draw()[..., 0] // 128 * 255).save(masks / f"{number:03}.png")
    script = tmp_path / "script.py"
    script.write_text(f"""
import sys
import numpy as np
import deepcut_vision as dc

image = np.zeros((96, 128, 3), np.uint8)
image[24:72, 40:96] = 200
dc.segment(image)
print("ready", flush=True)
try:
    {INTERRUPTED[call]}
except KeyboardInterrupt:
    print("interrupted", flush=True)
    assert dc.segment(image).has_object
    print("goes on", flush=True)
""")
    line = [sys.executable, "-W", "error", str(script), str(photos), str(tmp_path / "out"), str(tmp_path / "set")]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=child_environment()) as child:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        begin = time.perf_counter()
        while time.perf_counter() - begin < 0.7 or (call == "segment_folder" and not list((tmp_path / "out").glob("*.png"))):
            assert child.poll() is None, child.communicate()
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        sent = time.perf_counter()
        assert child.stdout.readline() == "interrupted\n", child.communicate()
        assert time.perf_counter() - sent < 5
        assert child.stdout.read() == "goes on\n" and child.wait(30) == 0
    if call == "segment_folder":
        whole = list((tmp_path / "out").glob("*.png"))
        assert 0 < len(whole) < 400 and all(PIL.Image.open(path).load() for path in whole)
