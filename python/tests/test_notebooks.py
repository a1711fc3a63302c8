"""Runs examples/notebooks: as notebooks in a kernel where Jupyter's packages are installed, else as scripts."""
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples/notebooks"
# What a notebook imports beside the package, and how many pictures it shows.
NOTEBOOKS = {
    "first_steps": (["matplotlib"], 4),
    "parts": (["matplotlib"], 3),
    "own_features": (["matplotlib", "torch"], 1),
    "folder_to_coco": (["matplotlib", "supervision"], 1),
    "evaluation": (["matplotlib", "PIL"], 2),
}
# A warning of the package or of a cell; other packages warn of what they lack when they are imported.
OURS = re.compile(r"^.*(deepcut_vision|ipykernel_\d+|examples/notebooks).*Warning", re.M)
JUPYTER = ["jupytext", "nbclient", "ipykernel"]


def missing(names):
    return [name for name in names if importlib.util.find_spec(name) is None]


def test_every_notebook_is_run():
    assert {path.stem for path in FOLDER.glob("*.py")} == set(NOTEBOOKS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook(name, tmp_path, monkeypatch):
    needs, pictures = NOTEBOOKS[name]
    if missing(needs):
        pytest.skip(f"{', '.join(missing(needs))} not installed")
    path = FOLDER / f"{name}.py"
    # Caches of matplotlib and IPython do not belong in anybody's home.
    for variable in ("MPLCONFIGDIR", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.setenv("PYTHONWARNINGS", "default")
    if missing(JUPYTER):
        run_script(path)
    else:
        run_notebook(path, pictures, tmp_path)


def run_script(path):
    run = subprocess.run([sys.executable, path], cwd=FOLDER, env={**os.environ, "MPLBACKEND": "agg"}, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert not OURS.search(run.stderr), run.stderr


def run_notebook(path, pictures, folder):
    import jupytext
    import nbclient
    import nbformat

    notebook = jupytext.read(path)
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}).execute()
    # To look at: jupyter nbconvert --to html.
    nbformat.write(notebook, folder / f"{path.stem}.ipynb")
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    errors = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stderr")
    assert not OURS.search(errors), errors
    assert sum("image/png" in output.get("data", {}) for output in outputs) == pictures
