# A study from recordings to book. This file alone says what depends on what.
#   snakemake --cores 2 --config experiment=experiments/demo.yaml
#
# A rule runs one function of sslig/pipeline. It runs again when one of its inputs is newer, when a value of the study
# that decides its outputs has changed (`values`), or when the code has (`code`: the rule's module and all it imports,
# without comments and docstrings). Trainings and corpora do not depend on code: they are too dear.
import json
import os
import shlex
import sys

from snakemake.exceptions import WorkflowError

from sslig import audio, files
from sslig.corpora import protocol
from sslig.pipeline import locks, outputs
from sslig.pipeline.code import fingerprint
from sslig.sources import READY_MADE
from sslig.study import load

shell.prefix(f"set -euo pipefail; export {outputs.IN_RULE}=1; ")

try:
    S = load(config.get("experiment", "experiments/demo.yaml"))
except ValueError as error:
    raise WorkflowError(str(error)) from error


for place in (S.path, S.runs, S.corpus_root):
    if {"{", "}"} & set(os.path.relpath(place) if place.is_relative_to(Path.cwd()) else str(place)):
        raise WorkflowError(f"{place}: Snakemake takes braces for wildcards; rename the folder, or name a link to it")

try:
    # Not in the processes of jobs, which work for the one that holds it.
    LOCK = locks.hold(S.runs, sys.argv) if workflow.is_main_process else None
except OSError as error:
    raise WorkflowError(f"{S.runs}: cannot be written to: {error}") from error


def relative(path):
    """A path below the current folder as relative, so that a checkout may be moved."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


EXPERIMENT, RUNS, CORPUS = relative(S.path), relative(S.runs), relative(S.corpus_root)
ABSENT = {name: f"{CORPUS}/{name}.tsv" for name in protocol.SETS}  # of sets that the corpus lacks; nothing makes them
PROTOCOLS = {name: relative(path) for name, path in protocol.tables(S).items()}
TESTS = {name: f"{relative(S.tests_root)}/{name}.tsv" for name in S.corpus.tests}
TABLES = ABSENT | PROTOCOLS | TESTS
REFERENCE = TABLES[S.corpus.reference]
PLANTED = f"corpora/{S.name}-planted/{{kind}}"
PLANTED_PROTOCOLS = {name: f"{PLANTED}/{file}" for name, (file, _) in protocol.SETS.items()}
PLANTED_RUN = f"{RUNS}/{outputs.PLANTED}/{outputs.RUN}"
KINDS, SEEDS, DETECTORS = S.validation.planted, S.seeds, list(reversed(S.detectors))
TRAINED = [name for name in S.detectors if name not in S.adopted]
BOOK = [str(file) for file in sorted(Path("book").rglob("*")) if file.is_file() and file.parts[1] != "_build"]
RULE = shlex.quote(sys.executable).replace("{", "{{").replace("}", "}}") + " -m sslig.pipeline"


def path(name):
    """The pattern of a file of the pipeline."""
    return f"{RUNS}/{outputs.patterns(S)[name]}"


def shard(step, table):
    """The pattern of a shard of the table `table`; the table itself where the step makes it in one."""
    folder, _, file = table.rpartition("/")
    alone = getattr(S.shards, step) == 1
    return table if alone else f"{folder}/shards/{file.removesuffix('.parquet')}.{{shard}}.parquet"


def which_shard(wildcards):
    """The shard that a job makes, such as ``0of4``."""
    return wildcards.get("shard", "0of1")


GATHERED = {
    "score": ["scores_{set_name}", "left_out_scores_{set_name}"],
    "attribute": ["attributions", "left_out_attributions"],
    "mask": ["masks", "left_out_masks"],
    "measure": ["artefacts_{measured}", "left_out_artefacts_{measured}"],
    "profile": ["profile_regions", "profile_utterances", "left_out_profile"],
}
"""Rule -> the tables that it makes in shards."""


def shards_of(wildcards, step, names):
    """The shards of tables, all of them made by one rule."""
    folder = f"{RUNS}/{wildcards.place}shards"
    n = getattr(S.shards, step)
    return [f"{folder}/{name.format(**wildcards)}.{shard}of{n}.parquet" for name in names for shard in range(n)]


def every(*names, seeds=SEEDS):
    """The files of every detector, seed and kind. Snakemake starts with the last; the first detector is the slowest."""
    return [
        file
        for name in names
        for file in sorted(set(expand(path(name), detector=DETECTORS, seed=seeds, kind=KINDS)), reverse=True)
    ]


def values(*parts):
    """Values of the study as text; a step runs again when they change."""
    return json.dumps([part.model_dump() if hasattr(part, "model_dump") else part for part in parts], sort_keys=True)


def code(*modules):
    """The fingerprint of the code of rules."""
    return fingerprint(*(f"sslig.pipeline.{module}" for module in modules))


def sounds(corpus):
    """The state of the sound files of a corpus that lies ready; one that is built here has its own fingerprint."""
    ready = corpus.is_read or corpus.source == READY_MADE
    return files.state(S.root / corpus.root, audio.ENDINGS) if ready else ""


SOUNDS = {"eval": sounds(S.corpus)} | {name: sounds(test) for name, test in S.corpus.tests.items()}


def scoring(set_name="eval"):
    """The values of scoring, and the sound files, that decide a score."""
    options = S.scoring.model_dump(exclude={"batch_size", "workers"})
    return options | {"sounds": SOUNDS.get(set_name, SOUNDS["eval"])}


def training(detector, study=S):
    """The values that decide a training."""
    return values(study.corpus.decisive(), study.backbone, study.detectors[detector], study.training.decisive())


def encoder_of(wildcards):
    """The trained detector whose encoder this one starts from, or none."""
    first = S.training.encoder
    return [] if first in (None, wildcards.detector) else path("detector").format(detector=first, seed=wildcards.seed)


def baselines():
    """The values that decide baselines."""
    return [S.attribution.baseline_utterances, S.masking.nonspeech_utterances, scoring()]


def judging():
    """The values that decide the tests of explanations."""
    chosen = [S.validation.utterances, S.validation.methods, S.validation.draws]
    return [chosen, S.attribution.model_dump(), S.corpus.seed, scoring()]


def files_of_checkpoint(detector):
    """The files of a detector that exists, where they lie on this machine."""
    place = Path(str(S.checkpoint(detector).get("checkpoint")))
    files = sorted(place.iterdir()) if place.is_dir() else [place]
    return [str(file) for file in files if file.is_file()]


def retrained():
    """One line for each training that is there and was made with other values than the study has now."""
    from sslig.training.recipe import changes

    for detector in TRAINED:
        for seed in SEEDS:
            record = Path(path("training").format(detector=detector, seed=seed))
            if record.is_file() and (lines := changes(json.loads(record.read_text()), S, detector, seed)):
                yield f"{detector} seed {seed} has other values and is trained again where it is needed: {'; '.join(lines)}"


onstart:
    for line in [*retrained(), *UNTRAINED]:
        print(line, file=sys.stderr)


wildcard_constraints:
    detector="|".join(S.detectors),
    seed="|".join(map(str, SEEDS)),
    kind="|".join(KINDS),
    set_name="|".join(["dev", "eval", *TESTS]),
    test="|".join(TESTS) or "none",
    which="eval|train|profile",
    measured="train|dev|eval",
    shard=r"\d+of\d+",
    place="(?:.+/)?",


# --- pages and book ---------------------------------------------------------------------------------------------------
FIRST = SEEDS[:1]
PAGES = {
    "01_corpus": [],
    "02_train": every("detector", "epochs", "log"),
    "02b_augment": [],
    "03_evaluate": [
        *every("scores_dev", "scores_eval", "left_out_scores_dev", "left_out_scores_eval", "official", "decisions"),
        *(path(f"artefacts_{name}") for name in ("train", "dev", "eval") if "train" in PROTOCOLS),
    ],
    "03b_select": every("scores_dev", "scores_eval"),
    "04_attribute": every("detector", "baseline", "nonspeech", "scores_dev", "scores_eval")
    + every("attributions", "left_out_attributions")
    + [path("segments_eval")],
    "05_mask": [
        *every("detector", "masks", "left_out_masks", "scores_dev", "scores_eval", "attributions", seeds=FIRST),
        *every("baseline", "nonspeech", seeds=FIRST),
        path("segments_eval"),
        path("segment_sources"),
    ],
    "06_artefacts": [
        *every("scores_dev", "scores_eval", "attributions", "detector", seeds=FIRST),
        *(path(f"artefacts_{name}") for name in ("train", "eval") if name in PROTOCOLS),
        path("left_out_artefacts_eval"),
        path("segments_eval"),
    ],
    "07_annotations": [*every("attributions", seeds=FIRST), path("segments_eval")],
    "08_validate": [
        *every("attributions", "detector"),
        *every("faithfulness", "left_out_faithfulness", "sanity", "left_out_sanity", seeds=FIRST),
        *every("profile_regions", "profile_utterances", "left_out_profile", seeds=FIRST),
        *every("baseline", "nonspeech", "scores_dev", "localisation", "left_out_localisation", seeds=FIRST),
        *every("transplants", "scores_eval", "paired", "left_out_paired", seeds=FIRST),
        *every("planted_detector", "planted_baseline", "planted_nonspeech", seeds=FIRST),
        *every("planted_scores_dev", "planted_scores_eval", seeds=FIRST),
    ],
    "published_audit": every("detector", "baseline", seeds=FIRST),
}
"""Page -> the files that it reads, besides the protocols of the corpus."""

NEEDS = {
    **dict.fromkeys(["02_train", "02b_augment", "08_validate"], {"train", "dev", "eval"}),
    **dict.fromkeys(["03_evaluate", "03b_select", "03c_cross", "04_attribute", "05_mask", "06_artefacts"], {"dev", "eval"}),
}
"""Page -> the sets of the corpus without which the book goes without it."""

PAGES = {page: files for page, files in PAGES.items() if NEEDS.get(page, set()) <= set(PROTOCOLS)}
if S.corpus.is_labelled(S.root) and {"dev", "eval"} <= set(PROTOCOLS):
    PAGES["08b_labelled"] = every("labelled", "left_out_labelled", seeds=FIRST)
if TESTS:
    PAGES["03c_cross"] = every("scores_eval", *(f"scores_{test}" for test in TESTS))

UNTRAINED = []
"""What the book goes without because detectors of the study exist already, as messages."""

if S.adopted:
    from sslig.models import named

    needing = dict.fromkeys(["02_train", "02b_augment"], "is about trainings")
    needing["08_validate"] = "trains detectors on planted cues"
    closed = [name for name in S.adopted if not named.opens(S.checkpoint(name))]
    if closed:
        explaining = ("04_attribute", "05_mask", "06_artefacts", "07_annotations", "published_audit")
        needing |= dict.fromkeys(explaining, f"needs the encoder and the head of {closed[0]}, which are not known")
    UNTRAINED += [f"{page} is left out of the book: it {why}" for page, why in needing.items() if page in PAGES]
    PAGES = {page: files for page, files in PAGES.items() if page not in needing}


READ_FIRST = 1
"""Priority of what the first pages need, and of pages: they can be read while the rest is computed."""


def annotations(page):
    """The files of the store of annotations that are there; SQLite writes to the second one first."""
    store = S.runs / S.annotation.store
    stores = [store, store.with_name(f"{store.name}-wal")] if page == "07_annotations" else []
    return [relative(file) for file in stores if file.is_file()]


rule book:
    input:
        sources=BOOK,
        pages=expand(f"{RUNS}/pages/{{page}}.ipynb", page=PAGES),
    output:
        f"{RUNS}/book/_build/html/index.html",
    params:
        code=code("book"),
    shell:
        RULE + " book {EXPERIMENT:q} sources=book pages={input.pages:q} output={RUNS:q}/book"


rule page:
    priority: READ_FIRST
    input:
        protocols=list(PROTOCOLS.values()),
        files=lambda wildcards: PAGES[wildcards.page],
        annotations=lambda wildcards: annotations(wildcards.page),
    output:
        f"{RUNS}/pages/{{page}}.ipynb",
    params:
        values=values(S.model_dump(exclude={"shards": True, "training": {"workers"}, "device": True})),
        code=lambda wildcards: fingerprint(Path(f"notebooks/{wildcards.page}.ipynb"), "sslig.pipeline.page"),
    wildcard_constraints:
        page="|".join(PAGES),
    shell:
        RULE + " page {EXPERIMENT:q} notebook=notebooks/{wildcards.page}.ipynb output={output:q}"


# --- corpus and detectors ---------------------------------------------------------------------------------------------
if S.corpus.source != READY_MADE:

    rule corpus:
        output:
            list(PROTOCOLS.values()),
        params:
            values=values(S.corpus.decisive()),
        threads: 2
        shell:
            RULE + " corpus {EXPERIMENT:q} workers={threads}"


rule corpus_test:
    output:
        f"{relative(S.tests_root)}/{{test}}.tsv",
    params:
        values=lambda wildcards: values(S.corpus.tests[wildcards.test].decisive()),
    shell:
        RULE + " corpus {EXPERIMENT:q} test={wildcards.test}"


rule train:
    priority: READ_FIRST
    input:
        protocols=[TABLES["train"], TABLES["dev"]],
        start=encoder_of,
    output:
        [path(name) for name in ("detector", "detector_config", "epochs", "log", "training")],
    params:
        values=lambda wildcards: training(wildcards.detector),
        planted="",
        corpus=CORPUS,
        run=f"{RUNS}/{outputs.RUN}",
        start=lambda wildcards, input: f"start=$(dirname '{input.start}')" if input.start else "",
    wildcard_constraints:
        detector="|".join(TRAINED) or "none",
    resources:
        gpu=1,
    shell:
        RULE + " train {EXPERIMENT:q} {params.planted} name={wildcards.detector} seed={wildcards.seed} "
        "corpus={params.corpus:q} output={params.run:q} {params.start}"


if S.adopted:

    rule adopt:
        input:
            lambda wildcards: files_of_checkpoint(wildcards.detector),
        output:
            [path(name) for name in ("detector", "detector_config")],
        params:
            values=lambda wildcards: values(S.detectors[wildcards.detector]),
            run=f"{RUNS}/{outputs.RUN}",
        wildcard_constraints:
            detector="|".join(S.adopted),
        shell:
            RULE + " adopt {EXPERIMENT:q} name={wildcards.detector} output={params.run:q}"


rule score:
    priority: READ_FIRST
    input:
        detector=path("detector"),
        protocol=lambda wildcards: TABLES[wildcards.set_name],
    output:
        scores=shard("score", path("scores_dev").replace("scores_dev", "scores_{set_name}")),
        left_out=shard("score", path("left_out_scores_dev").replace("scores_dev", "scores_{set_name}")),
    params:
        values=lambda wildcards: values(scoring(wildcards.set_name)),
        code=code("score"),
        shard=which_shard,
        planted="",
        corpus=lambda wildcards: relative(S.tests_root) if wildcards.set_name in TESTS else CORPUS,
    resources:
        gpu=1,
    shell:
        RULE + " score {EXPERIMENT:q} {params.planted} name={wildcards.detector} seed={wildcards.seed} "
        "detector=$(dirname {input.detector:q}) corpus={params.corpus:q} set_name={wildcards.set_name} "
        "shard={params.shard} scores={output.scores:q} left_out={output.left_out:q}"


for step, names in GATHERED.items():
    if getattr(S.shards, step) == 1:
        continue

    rule:
        name:
            f"gather_{step}"
        input:
            lambda wildcards, step=step, names=names: shards_of(wildcards, step, names),
        output:
            [f"{RUNS}/{{place}}{name}.parquet" for name in names],
        params:
            code=code("gather"),
        shell:
            RULE + " gather {EXPERIMENT:q} tables={output:q} shards={input:q}"


rule official:
    input:
        path("scores_eval"),
    output:
        path("official"),
    params:
        code=code("official"),
    shell:
        RULE + " official {EXPERIMENT:q} scores={input:q} official={output:q}"


rule decide:
    input:
        scores_dev=path("scores_dev"),
        scores_eval=path("scores_eval"),
    output:
        path("decisions"),
    params:
        code=code("decide"),
    shell:
        RULE + " decide {EXPERIMENT:q} scores_dev={input.scores_dev:q} scores_eval={input.scores_eval:q} "
        "decisions={output:q}"


# --- what explanations need, and explanations -------------------------------------------------------------------------
rule segment:
    input:
        protocol=lambda wildcards: REFERENCE if wildcards.which == "train" else TABLES["eval"],
    output:
        segments=f"{RUNS}/segments_{{which}}.parquet",
        left_out=f"{RUNS}/left_out_segments_{{which}}.parquet",
        sources=f"{RUNS}/segment_sources_{{which}}.json",
    params:
        values=lambda wildcards: values(
            {
                "eval": [S.masking.utterances, S.masking.segments],
                "train": S.masking.nonspeech_utterances,
                "profile": [S.validation.profile_utterances, S.masking.segments],
            }[wildcards.which],
            S.corpus.seed, SOUNDS["eval"],
        ),
        code=code("segment"),
        planted="",
        corpus=CORPUS,
    threads: S.masking.workers
    shell:
        RULE + " segment {EXPERIMENT:q} {params.planted} corpus={params.corpus:q} which={wildcards.which} "
        "segments={output.segments:q} left_out={output.left_out:q} sources={output.sources:q}"


rule baseline:
    priority: READ_FIRST
    input:
        detector=path("detector"),
        protocol=REFERENCE,
        segments=path("segments_train"),
    output:
        baseline=path("baseline"),
        nonspeech=path("nonspeech"),
    params:
        values=values(baselines()),
        code=code("baseline"),
        planted="",
        corpus=CORPUS,
    resources:
        gpu=1,
    shell:
        RULE + " baseline {EXPERIMENT:q} {params.planted} seed={wildcards.seed} detector=$(dirname {input.detector:q}) "
        "corpus={params.corpus:q} segments={input.segments:q} baseline={output.baseline:q} nonspeech={output.nonspeech:q}"


rule attribute:
    priority: READ_FIRST
    input:
        detector=path("detector"),
        protocols=[REFERENCE, TABLES["eval"]],
        baseline=path("baseline"),
        nonspeech=path("nonspeech"),
        scores_dev=path("scores_dev"),
    output:
        attributions=shard("attribute", path("attributions")),
        left_out=shard("attribute", path("left_out_attributions")),
    params:
        values=values(S.attribution, S.corpus.seed, scoring()),
        code=code("attribute"),
        shard=which_shard,
    resources:
        gpu=1,
    shell:
        RULE + " attribute {EXPERIMENT:q} name={wildcards.detector} seed={wildcards.seed} "
        "detector=$(dirname {input.detector:q}) corpus={CORPUS:q} baseline={input.baseline:q} "
        "nonspeech={input.nonspeech:q} scores_dev={input.scores_dev:q} shard={params.shard} "
        "attributions={output.attributions:q} left_out={output.left_out:q}"


rule mask:
    input:
        detector=path("detector"),
        protocol=TABLES["eval"],
        segments=path("segments_eval"),
        attributions=path("attributions"),
        nonspeech=path("nonspeech"),
    output:
        masks=shard("mask", path("masks")),
        left_out=shard("mask", path("left_out_masks")),
    params:
        values=values(
            [S.masking.utterances, S.masking.masks, S.masking.sweeps, S.masking.draws], S.corpus.seed, scoring()
        ),
        code=code("mask"),
        shard=which_shard,
    resources:
        gpu=1,
    shell:
        RULE + " mask {EXPERIMENT:q} name={wildcards.detector} seed={wildcards.seed} "
        "detector=$(dirname {input.detector:q}) corpus={CORPUS:q} segments={input.segments:q} "
        "attributions={input.attributions:q} nonspeech={input.nonspeech:q} shard={params.shard} "
        "masks={output.masks:q} left_out={output.left_out:q}"


rule measure:
    input:
        lambda wildcards: TABLES[wildcards.measured],
    output:
        artefacts=shard("measure", path("artefacts_eval").replace("_eval", "_{measured}")),
        left_out=shard("measure", path("left_out_artefacts_eval").replace("_eval", "_{measured}")),
    params:
        values=values(S.artefacts.utterances, S.artefacts.f0, S.corpus.seed, SOUNDS["eval"]),
        code=code("measure"),
        shard=which_shard,
    threads: S.artefacts.workers
    shell:
        RULE + " measure {EXPERIMENT:q} corpus={CORPUS:q} measured={wildcards.measured} shard={params.shard} "
        "artefacts={output.artefacts:q} left_out={output.left_out:q}"


rule profile:
    input:
        detector=path("detector"),
        protocols=[REFERENCE, TABLES["eval"]],
        baseline=path("baseline"),
        nonspeech=path("nonspeech"),
        scores_dev=path("scores_dev"),
        segments=path("segments_profile"),
    output:
        regions=shard("profile", path("profile_regions")),
        utterances=shard("profile", path("profile_utterances")),
        left_out=shard("profile", path("left_out_profile")),
    params:
        values=values(S.validation.profile_utterances, S.attribution, S.corpus.seed, scoring()),
        code=code("profile"),
        shard=which_shard,
    resources:
        gpu=1,
    shell:
        RULE + " profile {EXPERIMENT:q} name={wildcards.detector} seed={wildcards.seed} "
        "detector=$(dirname {input.detector:q}) corpus={CORPUS:q} baseline={input.baseline:q} "
        "nonspeech={input.nonspeech:q} scores_dev={input.scores_dev:q} "
        "segments={input.segments:q} shard={params.shard} regions={output.regions:q} "
        "utterances={output.utterances:q} left_out={output.left_out:q}"


rule faithfulness:
    input:
        detector=path("detector"),
        protocols=[REFERENCE, TABLES["eval"]],
        baseline=path("baseline"),
        nonspeech=path("nonspeech"),
        scores_dev=path("scores_dev"),
    output:
        faithfulness=path("faithfulness"),
        left_out=path("left_out_faithfulness"),
    params:
        values=values(judging()),
        code=code("faithfulness"),
    resources:
        gpu=1,
    shell:
        RULE + " faithfulness {EXPERIMENT:q} name={wildcards.detector} seed={wildcards.seed} "
        "detector=$(dirname {input.detector:q}) corpus={CORPUS:q} baseline={input.baseline:q} "
        "nonspeech={input.nonspeech:q} scores_dev={input.scores_dev:q} "
        "faithfulness={output.faithfulness:q} left_out={output.left_out:q}"


rule paired:
    input:
        detector=path("detector"),
        protocols=[REFERENCE, TABLES["eval"]],
        baseline=path("baseline"),
        nonspeech=path("nonspeech"),
        scores_dev=path("scores_dev"),
        scores_eval=path("scores_eval"),
    output:
        paired=path("paired"),
        left_out=path("left_out_paired"),
    params:
        values=values([S.validation.paired_utterances, S.validation.methods], S.attribution, S.corpus.seed, scoring()),
        code=code("paired"),
    resources:
        gpu=1,
    shell:
        RULE + " paired {EXPERIMENT:q} name={wildcards.detector} seed={wildcards.seed} "
        "detector=$(dirname {input.detector:q}) corpus={CORPUS:q} baseline={input.baseline:q} "
        "nonspeech={input.nonspeech:q} scores_dev={input.scores_dev:q} scores_eval={input.scores_eval:q} "
        "paired={output.paired:q} left_out={output.left_out:q}"


rule sanity:
    input:
        detector=path("detector"),
        protocols=[REFERENCE, TABLES["eval"]],
        baseline=path("baseline"),
        nonspeech=path("nonspeech"),
        scores_dev=path("scores_dev"),
    output:
        sanity=path("sanity"),
        left_out=path("left_out_sanity"),
    params:
        values=values(judging()),
        code=code("sanity"),
    resources:
        gpu=1,
    shell:
        RULE + " sanity {EXPERIMENT:q} name={wildcards.detector} seed={wildcards.seed} "
        "detector=$(dirname {input.detector:q}) corpus={CORPUS:q} baseline={input.baseline:q} "
        "nonspeech={input.nonspeech:q} scores_dev={input.scores_dev:q} sanity={output.sanity:q} left_out={output.left_out:q}"


# --- planted cues: a corpus, detectors and explanations of their own --------------------------------------------------
rule plant:
    input:
        list(PROTOCOLS.values()),
    output:
        list(PLANTED_PROTOCOLS.values()),
    params:
        values=lambda wildcards: values(
            S.corpus.seed, S.validation.planted_recordings, S.validation.severity.get(wildcards.kind)
        ),
        corpus=PLANTED,
    threads: 2
    shell:
        RULE + " plant {EXPERIMENT:q} kind={wildcards.kind} corpus={CORPUS:q} output={params.corpus:q} workers={threads}"


use rule train as train_planted with:
    priority: 0
    input:
        protocols=[PLANTED_PROTOCOLS["train"], PLANTED_PROTOCOLS["dev"]],
        start=path("detector") if S.validation.start == "study" else [],
    output:
        [f"{PLANTED_RUN}/{outputs.OF_DETECTOR[name]}" for name in ("detector", "detector_config", "epochs", "log", "training")],
    params:
        values=lambda wildcards: training(wildcards.detector, S.planted(wildcards.kind)),
        planted="--planted {kind}",
        corpus=PLANTED,
        run=PLANTED_RUN,
        start=lambda wildcards, input: f"start=$(dirname '{input.start}')" if input.start else "",


use rule segment as segment_planted with:
    input:
        protocol=PLANTED_PROTOCOLS["train"],
    output:
        segments=f"{RUNS}/planted/{{kind}}/segments_{{which}}.parquet",
        left_out=f"{RUNS}/planted/{{kind}}/left_out_segments_{{which}}.parquet",
        sources=f"{RUNS}/planted/{{kind}}/segment_sources_{{which}}.json",
    params:
        values=values(S.masking.nonspeech_utterances, S.corpus.seed),
        code=code("segment"),
        planted="--planted {kind}",
        corpus=PLANTED,
    wildcard_constraints:
        which="train",


use rule score as score_planted with:
    priority: 0
    input:
        detector=f"{PLANTED_RUN}/{outputs.OF_DETECTOR['detector']}",
        protocol=lambda wildcards: PLANTED_PROTOCOLS[wildcards.set_name].format(kind=wildcards.kind),
    output:
        scores=shard("score", f"{PLANTED_RUN}/scores_{{set_name}}.parquet"),
        left_out=shard("score", f"{PLANTED_RUN}/left_out_scores_{{set_name}}.parquet"),
    params:
        values=values(scoring()),
        code=code("score"),
        shard=which_shard,
        planted="--planted {kind}",
        corpus=PLANTED,


use rule baseline as baseline_planted with:
    priority: 0
    input:
        detector=f"{PLANTED_RUN}/{outputs.OF_DETECTOR['detector']}",
        protocol=PLANTED_PROTOCOLS["train"],
        segments=f"{RUNS}/planted/{{kind}}/segments_train.parquet",
    output:
        baseline=path("planted_baseline"),
        nonspeech=path("planted_nonspeech"),
    params:
        values=values(baselines()),
        code=code("baseline"),
        planted="--planted {kind}",
        corpus=PLANTED,


rule localise:
    input:
        detector=path("planted_detector"),
        protocols=list(PLANTED_PROTOCOLS.values()),
        baseline=path("planted_baseline"),
        nonspeech=path("planted_nonspeech"),
        scores_dev=path("planted_scores_dev"),
        scores_eval=path("planted_scores_eval"),
    output:
        localisation=path("localisation"),
        transplants=path("transplants"),
        left_out=path("left_out_localisation"),
    params:
        values=values(
            [S.validation.planted_utterances, S.validation.tuning_utterances, S.validation.methods],
            *(S.validation.grid_passes, S.attribution, S.corpus.seed, scoring()),
        ),
        code=code("localise"),
        corpus=PLANTED,
    resources:
        gpu=1,
    shell:
        RULE + " localise {EXPERIMENT:q} --planted {wildcards.kind} kind={wildcards.kind} name={wildcards.detector} "
        "seed={wildcards.seed} detector=$(dirname {input.detector:q}) corpus={params.corpus:q} "
        "baseline={input.baseline:q} nonspeech={input.nonspeech:q} scores_dev={input.scores_dev:q} "
        "scores_eval={input.scores_eval:q} localisation={output.localisation:q} "
        "transplants={output.transplants:q} left_out={output.left_out:q}"


rule localise_labelled:
    input:
        detector=path("detector"),
        protocols=[TABLES["dev"], TABLES["eval"]],
        baseline=path("baseline"),
        nonspeech=path("nonspeech"),
        scores_dev=path("scores_dev"),
        scores_eval=path("scores_eval"),
    output:
        localisation=path("labelled"),
        transplants=path("labelled_transplants"),
        left_out=path("left_out_labelled"),
    params:
        values=values(
            [S.validation.planted_utterances, S.validation.tuning_utterances, S.validation.methods],
            *(S.validation.grid_passes, S.attribution, S.corpus.seed, scoring()),
        ),
        code=code("localise"),
    resources:
        gpu=1,
    shell:
        RULE + " localise {EXPERIMENT:q} kind=labelled name={wildcards.detector} seed={wildcards.seed} "
        "detector=$(dirname {input.detector:q}) corpus={CORPUS:q} baseline={input.baseline:q} "
        "nonspeech={input.nonspeech:q} scores_dev={input.scores_dev:q} scores_eval={input.scores_eval:q} "
        "localisation={output.localisation:q} transplants={output.transplants:q} left_out={output.left_out:q}"
