# A study from recordings to book: corpus -> train -> score -> baseline -> attribute -> pages -> book.
#   snakemake --cores 2 --config experiment=experiments/demo.yaml
# Each rule writes whole files, so a killed run loses the jobs in flight and nothing else.
import dataclasses

from sslig import protocol
from sslig.experiment import load
from sslig.stages import READY_MADE

E = load(config.get("experiment", "experiments/demo.yaml"))
EXPERIMENT = E.path
CORPUS, RUNS = E.corpus_root, E.runs
RUN = f"{RUNS}/{{detector}}/seed{{seed}}"
PROTOCOLS = [CORPUS / file for file, _ in protocol.SETS.values()]
PAGES = ["01_corpus", "02_train", "03_evaluate", "04_attribute"]
INDEX = RUNS / "book/_build/html/index.html"
JOB = "python -m sslig.jobs"
EVERY = {"detector": list(E.detectors), "seed": E.seeds}


def values(*sections):
    """The values a step depends on, so that it runs again when they change, and only then."""
    parts = [getattr(E, section) for section in sections]
    return repr([dataclasses.asdict(part) if dataclasses.is_dataclass(part) else part for part in parts])


wildcard_constraints:
    detector="|".join(E.detectors),
    seed="|".join(map(str, E.seeds)),


rule book:
    input:
        pages=expand(RUNS / "pages/{page}.ipynb", page=PAGES),
        sources=[path for path in Path("book").glob("*") if path.is_file()],
    output:
        INDEX,
    shell:
        "python -m sslig.book book {RUNS}/pages {RUNS}/book"


if E.corpus.source != READY_MADE:

    rule corpus:
        output:
            PROTOCOLS,
        params:
            values=values("corpus"),
        threads: workflow.cores
        shell:
            "python -m sslig.stages corpus {EXPERIMENT} --workers {threads}"


rule train:
    input:
        PROTOCOLS,
        notebook=ancient("notebooks/02_train.ipynb"),  # its prose decides nothing
    output:
        f"{RUN}/checkpoint/model.safetensors",
        f"{RUN}/checkpoint/config.json",
        f"{RUN}/training.json",
        f"{RUN}/epochs.tsv",
        job=f"{RUN}/jobs/02_train.ipynb",
    params:
        values=values("corpus", "backbone", "detectors", "training", "scoring"),
    resources:
        gpu=1,
    shell:
        "{JOB} {input.notebook} {output.job} -p experiment {EXPERIMENT}"
        " -p detectors '[{wildcards.detector}]' -p seeds '[{wildcards.seed}]'"


rule score:
    input:
        PROTOCOLS,
        f"{RUN}/checkpoint/model.safetensors",
        notebook=ancient("notebooks/03_evaluate.ipynb"),  # its prose decides nothing
    output:
        expand(f"{RUN}/scores_{{set}}.{{kind}}", set=["dev", "eval"], kind=["parquet", "json"], allow_missing=True),
        job=f"{RUN}/jobs/03_evaluate.ipynb",
    params:
        values=values("scoring", "evaluation"),
    resources:
        gpu=1,
    shell:
        "{JOB} {input.notebook} {output.job} -p experiment {EXPERIMENT}"
        " -p detectors '[{wildcards.detector}]' -p seeds '[{wildcards.seed}]'"


rule baseline:
    input:
        f"{RUN}/checkpoint/model.safetensors",
    output:
        f"{RUN}/baseline.safetensors",
    params:
        values=values("attribution"),
    resources:
        gpu=1,
    shell:
        "python -m sslig.stages baseline {EXPERIMENT} --detector {wildcards.detector} --seed {wildcards.seed}"


rule attribute:
    input:
        f"{RUN}/baseline.safetensors",
        notebook=ancient("notebooks/04_attribute.ipynb"),  # its prose decides nothing
    output:
        f"{RUN}/attributions.parquet",
        f"{RUN}/attributions.json",
        job=f"{RUN}/jobs/04_attribute.ipynb",
    params:
        values=values("attribution"),
    resources:
        gpu=1,
    shell:
        "{JOB} {input.notebook} {output.job} -p experiment {EXPERIMENT}"
        " -p detectors '[{wildcards.detector}]' -p seeds '[{wildcards.seed}]'"


rule page:
    input:
        PROTOCOLS,
        expand(f"{RUN}/epochs.tsv", **EVERY),
        expand(f"{RUN}/scores_eval.parquet", **EVERY),
        expand(f"{RUN}/attributions.parquet", **EVERY),
        notebook="notebooks/{page}.ipynb",
    output:
        RUNS / "pages/{page}.ipynb",
    params:
        values=values("evaluation"),
    wildcard_constraints:
        page="|".join(PAGES),
    shell:
        "{JOB} {input.notebook} {output} -p experiment {EXPERIMENT}"
