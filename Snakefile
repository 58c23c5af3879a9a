# A study from recordings to book: corpus -> train -> score -> baseline -> attribute -> pages -> book.
#   snakemake --cores 2 --rerun-incomplete --config experiment=experiments/demo.yaml
#
# Snakemake removes the outputs of a job before it runs it again. Trainings are too dear for that, so the outputs of
# the steps before the pages are marks below runs/<study>/done/; whether there is anything to do, sslig.stages decides
# by the values that results were made with.
import dataclasses
import os

from snakemake.exceptions import WorkflowError

from sslig.corpora import protocol
from sslig import stages
from sslig.annotation.study import store_path
from sslig.corpora import corpora
from sslig.experiment import load
from sslig.stages.planted import STUDY

try:
    E = load(config.get("experiment", "experiments/demo.yaml"))
    READY_MADE = E.corpus.source == stages.READY_MADE
    if READY_MADE:
        stages.corpus(E)
except ValueError as error:
    raise WorkflowError(str(error)) from error

EXPERIMENT = os.path.relpath(E.path)
RUNS = E.runs
PROTOCOLS = {name: E.corpus_root / file for name, (file, _) in protocol.SETS.items()}
DONE = f"{RUNS}/done/{{step}}.{{detector}}.{{seed}}"
ANNOTATIONS, VALIDATION = "07_annotations", "08_validate"
PAGES = ["01_corpus", "02_train", "02b_augment", "03_evaluate", "03b_select", "04_attribute", "05_mask", "06_artefacts",
         ANNOTATIONS, VALIDATION, "published_audit"]
MASKS = stages.mask_jobs(E)
KINDS = E.validation.planted
CODE = sorted(Path("sslig").rglob("*.py"))
BOOK = [path for path in sorted(Path("book").rglob("*")) if path.is_file() and path.parts[1] not in ("pages", "_build")]
STAGE = "python -m sslig.stages"


def done(step, seeds=E.seeds):
    """The marks of a step for every detector, and for the seeds; Snakemake starts with what stands last, and AASIST,
    which stands first in our studies, takes longest."""
    return expand(DONE, step=step, detector=list(reversed(E.detectors)), seed=seeds)


def masks_done(seeds=E.seeds[:1]):
    """The marks of every job of masks; the slowest detector first, as of `done`."""
    jobs = expand("mask_{job}", job=MASKS)
    return [mark for detector in reversed(E.detectors) for mark in expand(DONE, step=jobs, detector=detector, seed=seeds)]


def validated_done():
    """The marks of all that the page of validation shows: of every detector and every kind of planted cue, and the
    attributions of every seed."""
    steps = [*expand("localise_{kind}", kind=KINDS), "faithful", "sane", "profile"]
    return [mark for step in steps for mark in done(step, E.seeds[:1])] + done("attribute")


def annotations():
    """The files of the store of annotations that are there; SQLite writes to the second one first."""
    store = store_path(E)
    return [path for path in (store, store.with_name(f"{store.name}-wal")) if path.is_file()]


def values(*parts):
    """The values that a step depends on, as text: it runs again when they change."""
    return repr([dataclasses.asdict(part) if dataclasses.is_dataclass(part) else part for part in parts])


wildcard_constraints:
    step="train|score|baseline|attribute",
    job="|".join(MASKS),
    kind="|".join(KINDS) or "none",
    judged="faithful|sane",
    detector="|".join(E.detectors),
    seed="|".join(map(str, E.seeds)),


rule book:
    input:
        expand(RUNS / "pages/{page}.ipynb", page=PAGES),
        BOOK,
    output:
        RUNS / "book/_build/html/index.html",
    shell:
        "python -m sslig.pipeline.book book {RUNS:q}/pages {RUNS:q}/book"


if not READY_MADE:

    rule corpus:
        output:
            list(PROTOCOLS.values()),
        params:
            values=values(E.corpus),
            listing=corpora.listing(E.corpus.source),
        threads: 2
        shell:
            f"{STAGE} corpus {{EXPERIMENT:q}} --workers {{threads}}"


rule train:
    input:
        PROTOCOLS["train"],
        PROTOCOLS["dev"],
    output:
        touch(DONE.replace("{step}", "train")),
    params:
        values=lambda wildcards: values(E.corpus, E.backbone, E.detectors[wildcards.detector], E.training, E.scoring),
    resources:
        gpu=1,
    shell:
        f"{STAGE} train {{EXPERIMENT:q}} --detector {{wildcards.detector}} --seed {{wildcards.seed}}"


rule score:
    input:
        PROTOCOLS["dev"],
        PROTOCOLS["eval"],
        DONE.replace("{step}", "train"),
    output:
        touch(DONE.replace("{step}", "score")),
    params:
        values=values(E.scoring),
    resources:
        gpu=1,
    shell:
        f"{STAGE} score {{EXPERIMENT:q}} --detector {{wildcards.detector}} --seed {{wildcards.seed}}"


rule baseline:
    input:
        DONE.replace("{step}", "train"),
    output:
        touch(DONE.replace("{step}", "baseline")),
    params:
        values=values(E.attribution.baseline, E.attribution.baseline_utterances, E.scoring),
    resources:
        gpu=1,
    shell:
        f"{STAGE} baseline {{EXPERIMENT:q}} --detector {{wildcards.detector}} --seed {{wildcards.seed}}"


rule attribute:
    input:
        PROTOCOLS["eval"],
        DONE.replace("{step}", "baseline"),
    output:
        touch(DONE.replace("{step}", "attribute")),
    params:
        values=values(E.attribution, E.scoring, E.corpus.seed),
    resources:
        gpu=1,
    shell:
        f"{STAGE} attribute {{EXPERIMENT:q}} --detector {{wildcards.detector}} --seed {{wildcards.seed}}"


rule segment:
    input:
        PROTOCOLS["train"],
        PROTOCOLS["eval"],
    output:
        touch(f"{RUNS}/done/segment"),
    params:
        values=values(E.masking.utterances, E.masking.segments, E.masking.profile_utterances, E.corpus.seed),
    threads: E.masking.workers
    shell:
        f"{STAGE} segment {{EXPERIMENT:q}}"


rule measure:
    input:
        PROTOCOLS["eval"],
    output:
        touch(f"{RUNS}/done/measure"),
    params:
        values=values(E.artefacts),
    threads: E.artefacts.workers
    shell:
        f"{STAGE} measure {{EXPERIMENT:q}}"


rule mask:
    input:
        f"{RUNS}/done/segment",
        DONE.replace("{step}", "attribute"),
    output:
        touch(DONE.replace("{step}", "mask_{job}")),
    params:
        values=lambda wildcards: values(MASKS[wildcards.job], E.masking, E.scoring, E.attribution, E.corpus.seed),
    resources:
        gpu=1,
    shell:
        f"{STAGE} mask {{EXPERIMENT:q}} --detector {{wildcards.detector}} --seed {{wildcards.seed}} "
        "--job {wildcards.job}"


rule plant:
    input:
        list(PROTOCOLS.values()),
    output:
        touch(f"{RUNS}/done/plant.{{kind}}"),
    params:
        values=lambda wildcards: values(
            E.corpus.seed, E.validation.planted_recordings, E.validation.severity.get(wildcards.kind)
        ),
    threads: 2
    shell:
        f"{STAGE} plant {{EXPERIMENT:q}} --job {{wildcards.kind}} --workers {{threads}}"


rule localise:
    input:
        f"{RUNS}/done/plant.{{kind}}",
        DONE.replace("{step}", "train") if E.validation.start == STUDY else [],
    output:
        touch(DONE.replace("{step}", "localise_{kind}")),
    params:
        values=lambda wildcards: values(
            E.backbone, E.detectors[wildcards.detector], E.training, E.scoring, E.attribution, E.validation
        ),
    resources:
        gpu=1,
    shell:
        f"{STAGE} localise {{EXPERIMENT:q}} --detector {{wildcards.detector}} --seed {{wildcards.seed}} "
        "--job {wildcards.kind}"


rule judge:
    input:
        DONE.replace("{step}", "score"),
        DONE.replace("{step}", "attribute"),
        f"{RUNS}/done/segment",
    output:
        touch(DONE.replace("{step}", "{judged}")),
    params:
        values=values(E.validation, E.masking.profile_utterances, E.scoring, E.attribution, E.corpus.seed),
    resources:
        gpu=1,
    shell:
        f"{STAGE} {{wildcards.judged}} {{EXPERIMENT:q}} --detector {{wildcards.detector}} --seed {{wildcards.seed}}"


rule profile:
    input:
        DONE.replace("{step}", "baseline"),
    output:
        touch(DONE.replace("{step}", "profile")),
    params:
        values=values(E.validation.profile_utterances, E.masking.segments, E.scoring, E.attribution, E.corpus.seed),
    resources:
        gpu=1,
    shell:
        f"{STAGE} profile {{EXPERIMENT:q}} --detector {{wildcards.detector}} --seed {{wildcards.seed}}"


rule page:
    input:
        list(PROTOCOLS.values()),
        done("score"),
        done("attribute", E.seeds[:1]),
        masks_done(),
        f"{RUNS}/done/measure",
        lambda wildcards: validated_done() if wildcards.page == VALIDATION else [],
        lambda wildcards: annotations() if wildcards.page == ANNOTATIONS else [],
        CODE,
        notebook="notebooks/{page}.ipynb",
    output:
        RUNS / "pages/{page}.ipynb",
    params:
        values=values(
            E.evaluation, E.masking, E.artefacts, E.selection, E.validation, E.annotation, E.corpus.seed
        ),
    wildcard_constraints:
        page="|".join(PAGES),
    resources:
        gpu=1,
    shell:
        "python -m sslig.pipeline.page {input.notebook} {output:q} -p experiment {EXPERIMENT:q}"
