"""Runs one notebook as a job: refuses unknown parameters, writes whole or not at all, says one line about it."""

import argparse
import os
import shutil
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import nbformat
import papermill
import yaml
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from sslig.files import atomic

KERNEL = "python3"

QUIET = {
    "PYTHONWARNINGS": "ignore::FutureWarning,ignore::DeprecationWarning",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}
"""What keeps the chatter of libraries off a page; a caller's own settings win."""


class JobError(ValueError):
    """A notebook that cannot be run or that failed; the message names it, and the parameter or the error in it."""


def run(notebook: str | os.PathLike, output: str | os.PathLike, parameters: dict[str, Any]) -> Path:
    """Execute `notebook` with `parameters` into `output`.

    Parameters
    ----------
    notebook
        A notebook with a cell tagged ``parameters``.
    output
        The executed copy. A run that fails leaves it as it was, and itself beside it as ``<name>.failed.ipynb``.
    parameters
        Values by name; each name must stand in the notebook's parameters cell.

    Raises
    ------
    JobError
        The notebook is missing, a parameter is unknown, or a cell raised.
    """
    notebook, output = Path(notebook), Path(output)
    _check_parameters(notebook, parameters)
    failed = output.with_suffix(".failed.ipynb")
    failed.unlink(missing_ok=True)
    os.environ.update({name: os.environ.get(name, value) for name, value in QUIET.items()})
    # Away from the output, whose folder the job itself may clear, and with a folder for the sockets of its kernel.
    with tempfile.TemporaryDirectory(prefix="sslig-") as work:
        executed = Path(work) / output.name
        try:
            _execute(notebook, executed, parameters, sockets=work)
        except PapermillExecutionError as error:
            failed.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(executed, failed)
            raise JobError(f"{notebook}: cell {error.exec_count} raised {error.ename}: {error.evalue}\n"
                           f"the whole run is in {failed}") from error  # fmt: skip
        _strip(executed)
        with atomic(output) as part:
            shutil.copy(executed, part)
    return output


def parameters_of(notebook: str | os.PathLike) -> list[str]:
    """The names in the notebook's parameters cell.

    Raises
    ------
    JobError
        The notebook is missing, is none, names no kernel, or has no such cell.
    """
    notebook = Path(notebook)
    if not notebook.is_file():
        raise JobError(f"{notebook}: no such notebook")
    try:
        names = list(papermill.inspect_notebook(str(notebook)))
    except ValueError as error:
        raise JobError(f"{notebook}: no notebook that can be run: {error}") from error
    if not names:
        raise JobError(f"{notebook}: no cell tagged 'parameters' that sets any")
    return names


def _check_parameters(notebook: Path, parameters: dict[str, Any]) -> None:
    known = parameters_of(notebook)
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise JobError(f"{notebook}: unknown parameter {unknown[0]!r}; known: {', '.join(known)}")


def _execute(notebook: Path, output: Path, parameters: dict[str, Any], sockets: str) -> None:
    try:
        papermill.execute_notebook(
            str(notebook), str(output), parameters, kernel_name=KERNEL, progress_bar=False, log_output=False,
            config=_kernel(sockets),
        )  # fmt: skip
    except (DeadKernelError, RuntimeError) as error:
        raise JobError(f"{notebook}: the kernel died or could not be started: {error}") from error


def _kernel(folder: str) -> Config:
    """How the kernel is started: sockets in a folder of the job's own, so that kernels that start at once cannot take
    each other's ports; and no word about being stopped, which is how every kernel ends."""
    silent = {"NotebookClient": {"extra_arguments": ["--IPKernelApp.log_level=50"]}}
    if sys.platform == "win32":
        return Config(silent)
    return Config(silent | {"KernelManager": {"transport": "ipc", "ip": f"{folder}/kernel"}})


def _strip(path: Path) -> None:
    """Take out what differs from run to run, so that an unchanged page stays the same file."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata["tags"].append("hide-input")  # a reader has the defaults, with what they mean
            cell["id"] = "injected-parameters"  # papermill draws one
        for volatile in ("papermill", "execution"):
            cell.metadata.pop(volatile, None)
    nbformat.write(notebook, path)


def main() -> None:
    """Run a notebook from the command line; exit status 1 and one message where it fails."""
    parser = argparse.ArgumentParser(description="Run one notebook as a job.")
    parser.add_argument("notebook")
    parser.add_argument("output")
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), dest="parameters",
                        help="a parameter; the value is read as YAML")  # fmt: skip
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", module="papermill")
    values = {name: yaml.safe_load(value) for name, value in arguments.parameters}
    label = " ".join([Path(arguments.notebook).stem, *(str(values[name]) for name in sorted(values) if name in
                                                       ("detectors", "seeds"))])  # fmt: skip
    started = time.monotonic()
    try:
        run(arguments.notebook, arguments.output, values)
    except JobError as error:
        raise SystemExit(f"error: {error}") from error
    print(f"{label}: done in {time.monotonic() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
