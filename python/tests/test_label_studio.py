"""examples/label_studio_backend.py as Label Studio uses it: by HTTP, here on the loopback interface."""
import contextlib
import functools
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

REASON = "is not installed: pip install --no-deps -r python/tests/requirements.txt"
pytest.importorskip("label_studio_ml", reason=f"label_studio_ml {REASON}")
pytest.importorskip("label_studio_sdk", reason=f"label_studio_sdk {REASON}")

import deepcut_vision as dc

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "examples/pictures"
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def request(address, data=None):
    """Status and JSON of an answer."""
    body = None if data is None else json.dumps(data).encode()
    try:
        with OPENER.open(urllib.request.Request(address, body, {"Content-Type": "application/json"}), timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """The address of a server of pictures, one of them damaged: what Label Studio is for its backend."""
    folder = tmp_path_factory.mktemp("images")
    for name in ["duck.jpg", "ducks1.jpg"]:
        shutil.copy(PICTURES / name, folder)
    (folder / "damaged.jpg").write_bytes(b"\xff\xd8\xff no more")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    """The address of a running backend."""
    folder = tmp_path_factory.mktemp("backend")
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(ROOT / "examples/label_studio_backend.py"), "--port", str(port), "--model-dir", str(folder)]
    # Images that the SDK fetches go to its cache, which is below the home folder.
    home = {"HOME": str(folder), "XDG_CACHE_HOME": str(folder), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "LOCAL_FILES_DOCUMENT_ROOT": str(PICTURES)}
    with open(folder / "log", "w") as log, subprocess.Popen(command, env={**os.environ, **home}, stdout=log, stderr=log) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(300):
                with contextlib.suppress(OSError):
                    status, health = request(f"{address}/health")
                    break
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.2)
            else:
                pytest.fail("the backend did not start: " + (folder / "log").read_text())
            assert (status, health["status"]) == (200, "UP")
            yield address
        finally:
            process.terminate()


def predict(backend, config, urls):
    """Sets the backend up and asks for predictions, as Label Studio does."""
    project = {"project": "1.1", "label_config": config}
    status, answer = request(f"{backend}/setup", {"project": "1.1", "schema": config, "hostname": "", "access_token": ""})
    assert status == 200, answer
    tasks = [{"id": at, "data": {"photo": url}} for at, url in enumerate(urls, start=1)]
    return request(f"{backend}/predict", {**project, "tasks": tasks, "params": {"login": None, "password": None, "context": None}})


def config(tag, names=("duck",)):
    labels = "".join(f'<Label value="{name}"/>' for name in names)
    return f'<View><Image name="img" value="$photo"/><Choices name="c" toName="img"><Choice value="x"/></Choices><{tag} name="shape" toName="img">{labels}</{tag}></View>'


@pytest.fixture(scope="module")
def found():
    return dc.DeepCut(mode="objects").segment(PICTURES / "ducks1.jpg")


def only(answer):
    """The regions of the only task, and that they say where they belong."""
    status, body = answer
    assert status == 200, body
    (prediction,) = body["results"]
    assert 0 < prediction["score"] <= 1 and prediction["model_version"] == dc.__version__
    for region in prediction["result"]:
        assert (region["from_name"], region["to_name"], region["image_rotation"]) == ("shape", "img", 0)
    assert len({region["id"] for region in prediction["result"]}) == len(prediction["result"])
    return prediction["result"]


def test_brushes_are_the_masks(backend, images, found):
    from label_studio_sdk.converter import brush

    regions = only(predict(backend, config("BrushLabels"), [f"{images}/ducks1.jpg"]))
    height, width = found.shape
    assert len(regions) == len(found.objects()) > 0
    for region, object in zip(regions, found.objects()):
        assert (region["type"], region["original_width"], region["original_height"]) == ("brushlabels", width, height)
        assert (region["value"]["format"], region["value"]["brushlabels"]) == ("rle", ["duck"])
        alpha = brush.decode_rle(region["value"]["rle"]).reshape(height, width, 4)[:, :, 3]
        np.testing.assert_array_equal(alpha > 0, found.labels == object["label"])


def test_polygons_go_around_the_masks(backend, images, found):
    regions = only(predict(backend, config("PolygonLabels"), [f"{images}/ducks1.jpg"]))
    rings = [rings[0] for object in found.objects() for rings in object["polygons"]]
    assert len(regions) == len(rings) > 0
    for region, ring in zip(regions, rings):
        assert (region["type"], region["value"]["polygonlabels"], region["value"]["closed"]) == ("polygonlabels", ["duck"], True)
        points = np.array(region["value"]["points"]) / 100 * found.shape[::-1]
        np.testing.assert_allclose(points, ring, atol=1e-9)


def test_rectangles_are_the_boxes(backend, images, found):
    regions = only(predict(backend, config("RectangleLabels"), [f"{images}/ducks1.jpg"]))
    height, width = found.shape
    boxes = [[region["value"][key] / 100 * size for key, size in [("x", width), ("y", height), ("width", width), ("height", height)]] for region in regions]
    np.testing.assert_allclose(boxes, [object["bbox"] for object in found.objects()], atol=1e-9)
    assert {tuple(region["value"]["rectanglelabels"]) for region in regions} == {("duck",)}


def test_an_image_that_cannot_be_had_costs_only_itself(backend, images):
    urls = [f"{images}/damaged.jpg", f"{images}/none.jpg", "/data/local-files/?d=ducks1.jpg", f"{images}/duck.jpg"]
    status, body = predict(backend, config("RectangleLabels"), urls)
    assert status == 200, body
    assert [len(prediction["result"]) > 0 for prediction in body["results"]] == [False, False, True, True]
    assert [prediction["score"] > 0 for prediction in body["results"]] == [False, False, True, True]


def test_a_configuration_without_shapes_is_told(backend, images):
    status, body = predict(backend, '<View><Image name="img" value="$photo"/></View>', [f"{images}/duck.jpg"])
    assert status == 500 and "none of BrushLabels, PolygonLabels, RectangleLabels" in body
