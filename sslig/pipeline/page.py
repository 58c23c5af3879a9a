"""Page: a notebook executed with the values of a study; unknown parameters are refused, outputs are whole or absent."""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from sslig.errors import InputError, PipelineError
from sslig.files import atomic
from sslig.study import Study

KERNEL = "python3"
INJECTED = "injected-parameters"

QUIET = {
    "PYTHONWARNINGS": "ignore::FutureWarning,ignore::DeprecationWarning",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}
"""Keeps the messages of libraries off a page; settings of the caller win."""


def page(study: Study, *, notebook: Path, output: Path) -> None:
    """Execute a notebook, which has a cell tagged ``parameters`` that sets ``experiment``, on a study.

    A failed run leaves `output` as it was, and itself beside it as ``<name>.failed.ipynb``.

    Raises
    ------
    InputError
        The notebook is missing or has no such parameter.
    PipelineError
        A cell raised, or the kernel died.
    """
    execute(notebook, output, {"experiment": os.path.relpath(study.path)})


def execute(notebook: Path, output: Path, parameters: dict[str, Any]) -> None:
    """Execute `notebook` with `parameters`, each of which must stand in its parameters cell; see `page`."""
    _check_parameters(notebook, parameters)
    failed = output.with_suffix(".failed.ipynb")
    failed.unlink(missing_ok=True)
    os.environ.update({name: os.environ.get(name, value) for name, value in QUIET.items()})
    # Sockets need a short path, whatever TMPDIR is.
    with tempfile.TemporaryDirectory(prefix="sslig-", dir=_short_folder()) as work:
        executed = Path(work) / output.name
        try:
            _run(notebook, executed, parameters, sockets=work)
        except PipelineError:
            if executed.is_file():
                failed.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(executed, failed)
            raise
        _strip(executed)
        with atomic(output) as part:
            shutil.copy(executed, part)


def _check_parameters(notebook: Path, parameters: dict[str, Any]) -> None:
    import papermill

    if not notebook.is_file():
        raise InputError(f"{notebook}: no such notebook")
    try:
        known = list(papermill.inspect_notebook(str(notebook)))
    except ValueError as error:
        raise InputError(f"{notebook}: not a notebook that can be run: {error}") from error
    if not known:
        raise InputError(f"{notebook}: no cell tagged 'parameters' that sets any")
    if unknown := sorted(set(parameters) - set(known)):
        raise InputError(f"{notebook}: unknown parameter {unknown[0]!r}; known: {', '.join(known)}")


def _run(notebook: Path, executed: Path, parameters: dict[str, Any], sockets: str) -> None:
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    try:
        options = {"kernel_name": KERNEL, "progress_bar": False, "log_output": False, "config": _kernel(sockets)}
        papermill.execute_notebook(str(notebook), str(executed), parameters, **options)
    except PapermillExecutionError as error:
        raise PipelineError(f"{notebook}: cell {error.exec_count} raised {error.ename}: {error.evalue}") from error
    except (DeadKernelError, RuntimeError) as error:
        raise PipelineError(f"{notebook}: the kernel died or could not be started: {error}") from error


def _kernel(folder: str) -> Any:
    """How the kernel is started: with sockets in a folder of this job, so that kernels that start at once cannot take
    each other's ports, and silent about being stopped, which is how every kernel ends."""
    from traitlets.config import Config

    silent = {"NotebookClient": {"extra_arguments": ["--IPKernelApp.log_level=50"]}}
    if sys.platform == "win32":
        return Config(silent)
    return Config(silent | {"KernelManager": {"transport": "ipc", "ip": f"{folder}/kernel"}})


def _short_folder() -> str | None:
    """A folder whose path leaves room for the name of a socket (108 bytes in all); none: the usual one."""
    return "/tmp" if len(tempfile.gettempdir()) > 60 and Path("/tmp").is_dir() else None


def _strip(path: Path) -> None:
    """Take out what differs from run to run, so that an unchanged page stays the same file."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        if INJECTED in cell.metadata.get("tags", []):
            cell.metadata["tags"].append("hide-input")  # a reader has the defaults, with what they mean
            cell["id"] = INJECTED  # papermill draws a random one
        for volatile in ("papermill", "execution"):
            cell.metadata.pop(volatile, None)
    nbformat.write(notebook, path)
