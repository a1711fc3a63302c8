"""Runs the Python code of the documents, so that none of it goes stale.

The blocks of a document run one after another in a folder with `cat.jpg`, a folder `photos` and a data set `mydata`, and see each other's names. A block
with `if __name__ == "__main__":` runs as a script of its own. A comment `<!-- needs: torch -->` before a block skips it where torch is not installed.
"""
import importlib.util
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import deepcut_vision as dc

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"(?:<!-- needs: (?P<needs>[\w, ]+) -->\n+)?^```python\n(?P<code>.*?)^```", re.M | re.S)
DOCUMENTS = {"README.md": 1, "docs/python.md": 15}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    pictures = ROOT / "examples/pictures"
    shutil.copy(pictures / "hare.jpg", tmp_path / "cat.jpg")
    (tmp_path / "photos/more").mkdir(parents=True)
    for name in ["ducks1.jpg", "ducks2.jpg"]:
        shutil.copy(pictures / name, tmp_path / "photos" / name)
    shutil.copy(pictures / "mug.jpg", tmp_path / "photos/more/mug.jpg")
    for kind in ["images", "masks"]:
        (tmp_path / "mydata" / kind).mkdir(parents=True)
    for name in ["duck", "mug"]:
        shutil.copy(pictures / f"{name}.jpg", tmp_path / "mydata/images")
        # A made-up truth: what refining finds.
        dc.segment(pictures / f"{name}.jpg", refine="bilateral").save(tmp_path / f"mydata/masks/{name}.png", "mask")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    return tmp_path


@pytest.mark.parametrize("document", DOCUMENTS)
def test_document(document, folder):
    text = (ROOT / document).read_text(encoding="utf-8")
    names, ran = {"__name__": "document"}, 0
    for block in BLOCK.finditer(text):
        lacking = [name for name in (block["needs"] or "").replace(",", " ").split() if importlib.util.find_spec(name) is None]
        line = text.count("\n", 0, block.start("code"))
        if lacking:
            print(f"{document}, line {line}: not run, as {', '.join(lacking)} is not installed")
            continue
        ran += 1
        # Lines of a traceback are those of the document.
        code = "\n" * line + block["code"]
        if '__name__ == "__main__"' in code:
            (folder / "script.py").write_text(code, encoding="utf-8")
            run = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, timeout=300)
            assert run.returncode == 0, run.stderr
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            exec(compile(code, document, "exec"), names)
    assert ran >= DOCUMENTS[document]


def test_a_broken_block_fails(folder):
    """The runner itself: code that raises is not passed over."""
    block = BLOCK.search("<!-- needs: json -->\n\n```python\nraise KeyError\n```\n")
    assert (block["needs"], block["code"]) == ("json", "raise KeyError\n")
    assert len(BLOCK.findall("```sh\nls\n```\n\n```python\n1\n```\n\n```python\n2\n```\n")) == 2
