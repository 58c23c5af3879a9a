"""Maps held against known places: tables by method and measure, aggregations, rivals, and an example to look at."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from sslig import audio, stages
from sslig.attribution.explanation import AGGREGATIONS, SIGNED
from sslig.frames import FrameClock
from sslig.report.display import listed
from sslig.report.validation import NOTHING, Planted
from sslig.report.validation_cells import LOCALISATION, LOOKS, headed, wide
from sslig.report.validation_paired import paired
from sslig.study import Study
from sslig.validation.planted_maps import PLAIN, PlantedMaps
from sslig.validation.rivals import FEATURE_CHANGE, LIMITS, RIVALS, SCORE_CHANGE

MEASURE = "roc_auc"
"""What conclusions rest on: it takes in every frame of a map, and needs neither a threshold nor positive evidence."""

RANDOM = "random"

FEWEST_PAIRS = 5
"""Of kind and detector, below which a correlation over them tells nothing."""

EXPLANATION, NOISE, RIVAL, LIMIT = GROUPS = ("explanation", "noise", "plain map", "limit")
"""What a map is: of the score; of nothing; of the recording or the head; of the cue itself, which no explanation can be
expected to do better than."""


def group(method: str) -> str:
    """Which of `GROUPS` a map belongs to."""
    return {RANDOM: NOISE, **dict.fromkeys(LIMITS, LIMIT)}.get(method, RIVAL if method in RIVALS else EXPLANATION)


def summary(study: Study, planted: Planted) -> pd.DataFrame:
    """Each measure of each map on each kind and detector beside chance, with ``group``, ``learnt`` and ``decided``."""
    columns = ["learnt", "decided"]
    if planted.table.empty:
        return pd.DataFrame(columns=["kind", "detector", "method", "aggregation", "statistic", "group", *columns])
    found = stages.localised_summary(study, planted.table)
    found["group"] = found["method"].map(group)
    found = found.merge(planted.about[["kind", "detector", *columns]])
    order = {name: place for place, name in enumerate(dict.fromkeys(planted.table["method"]))}
    kinds = list(dict.fromkeys(planted.about["kind"]))
    keys = {"method": order.get, "group": GROUPS.index, "kind": kinds.index}
    placed = found.assign(**{f"by_{name}": found[name].map(place) for name, place in keys.items()})
    ordered = placed.sort_values(["by_kind", "by_group", "by_method"], kind="stable", ignore_index=True)
    return ordered.drop(columns=[f"by_{name}" for name in keys])


def of_default(found: pd.DataFrame) -> pd.DataFrame:
    """The rows of the aggregation that tells evidence for spoof from evidence for bona fide, and of plain maps."""
    return found[found["aggregation"].isin([SIGNED, PLAIN])]


def measure_table(found: pd.DataFrame, detector: str) -> pd.DataFrame:
    """All measures of one detector: a row a kind and map, each measure beside chance with its interval."""
    own = of_default(found[found["detector"] == detector])
    told = own["kind"] + own["learnt"].map({True: "", False: " (not learnt)"})
    told += (own["learnt"] & ~own["decided"]).map({True: " (not decided at the place)", False: ""})
    return headed(wide(own.assign(kind=told), ["kind", "method"], LOCALISATION), "kind")


def aggregation_table(study: Study, planted: Planted, statistic: str = MEASURE) -> pd.DataFrame:
    """What becomes of each method with another aggregation: its mean over kinds and detectors, and the difference."""
    look, rows = LOOKS[statistic], []
    held = planted.telling
    held = held[(held["statistic"] == statistic) & (held["aggregation"] != PLAIN)]
    for method, part in held.groupby("method", sort=False):
        compared = paired(study, part, "aggregation", SIGNED).set_index("aggregation")
        told = {"method": method, SIGNED: f"{compared.at[SIGNED, 'value']:.{look.decimals}f}"}
        for name in AGGREGATIONS[1:]:
            told[name] = _difference(compared.loc[name], look.decimals)
        rows.append(told)
    return pd.DataFrame(rows, columns=["method", *AGGREGATIONS])


def aggregation_note(study: Study, planted: Planted) -> str:
    """For how many methods an unsigned aggregation finds the places better or worse, beyond doubt."""
    held, said = planted.telling, []
    if held.empty:
        return ""
    held = held[(held["statistic"] == MEASURE) & (held["aggregation"] != PLAIN) & (held["method"] != RANDOM)]
    for name in AGGREGATIONS[1:]:
        found = [
            paired(study, part, "aggregation", SIGNED).set_index("aggregation").loc[name]
            for _, part in held.groupby("method")
        ]
        better = sum(one["difference_low"] > 0 for one in found)
        worse = sum(one["difference_high"] < 0 for one in found)
        said.append(f"`{name}` finds the places better than the signed sum with {better} of {len(found)} methods and "
                    f"worse with {worse}")  # fmt: skip
    return f"{'; '.join(said)}; with any other the interval of the difference holds 0. Unsigned maps cannot tell " \
           "evidence for spoof from evidence for bona fide."  # fmt: skip


def _difference(row: pd.Series, decimals: int) -> str:
    """The mean, and in the second line its difference with the interval."""
    ends = f" [{row['difference_low']:+.{decimals}f}, {row['difference_high']:+.{decimals}f}]"
    return f"{row['value']:.{decimals}f}\n{row['difference']:+.{decimals}f}{ends}".replace(" [+nan, +nan]", "")


def rival_note(found: pd.DataFrame) -> str:
    """Which map finds the places best of all, kind by kind and detector by detector, in numbers of cells."""
    part = of_default(found[(found["statistic"] == MEASURE) & found["decided"].astype(bool)])
    if part.empty:
        return "No detector decides a kind at its place, so none of these numbers speaks for or against a method."
    said = []
    for detector, own in part.groupby("detector", sort=False):
        first = own[own["group"].isin([EXPLANATION, RIVAL])].sort_values("value").groupby("kind", sort=False).tail(1)
        plain = [f"`{row.method}` on `{row.kind}`" for row in first.itertuples() if row.group == RIVAL]
        n = len(first)
        said.append(f"{detector}: an explanation comes first in {n - len(plain)} of {n} kinds"
                    + (f", a plain map otherwise ({listed(plain)})" if plain else ""))  # fmt: skip
    limit = part[part["method"] == FEATURE_CHANGE]["value"]
    ends = dict.fromkeys(f"{value:.2f}" for value in (limit.min(), limit.max()))
    best = "" if limit.empty else f" The limit `{FEATURE_CHANGE}` lies at {' to '.join(ends)}."
    return f"{'; '.join(said)}.{best}"


def carried_note(planted: Planted, found: pd.DataFrame, method: str) -> str:
    """How far the maps of a method follow what the place really carries, over all kinds that are learnt."""
    own = of_default(found[(found["statistic"] == MEASURE) & found["learnt"].astype(bool)])
    wide = own.pivot(index=["kind", "detector"], columns="method", values="value")
    if method not in wide or len(wide) < FEWEST_PAIRS:
        return ""
    about = planted.about.set_index(["kind", "detector"]).loc[wide.index]
    by_place = wide[method].corr(about["place_carries"] - about["rest_carries"], method="spearman")
    if pd.isna(by_place):
        return ""
    text = (
        f"Over the {len(wide)} pairs of kind and detector that are learnt, whether decided at the place or not, the "
        f"ROC-AUC of `{method}` has a rank correlation of {by_place:.2f} with how much more the place carries than the "
        "rest"
    )
    if SCORE_CHANGE in wide:
        apart = (wide[method] - wide[SCORE_CHANGE]).abs().mean()
        text += f", and lies {apart:.2f} from that of `{SCORE_CHANGE}` on average"
    return f"{text}. A map that follows both is no worse for pointing elsewhere."


def typical(planted: Planted, method: str) -> pd.Series | None:
    """``kind`` and ``utterance`` of a spoof that most detectors detect and whose map is neither good nor bad.

    Of the kinds that are decided at their place, if there are any, the utterance that the most detectors explain, and
    of those the one whose mean measure is the median.
    """
    held = planted.telling
    if held.empty:
        return None
    own = held[(held["method"] == method) & (held["aggregation"] == SIGNED) & (held["statistic"] == MEASURE)]
    found = own.groupby(["kind", "utterance"], sort=False)["value"].agg(["size", "mean"]).reset_index()
    found = found[found["size"] == found["size"].max()].sort_values("mean", kind="stable")
    return found.iloc[(len(found) - 1) // 2]


def example_note(chosen: pd.Series | None, method: str) -> str:
    """What is shown, or that there is nothing to show."""
    if chosen is None:
        return NOTHING
    over = f"{int(chosen['size'])} detector{'s' if chosen['size'] > 1 else ''}"
    return (
        f"`{chosen['utterance']}` with the cue `{chosen['kind']}`, explained by `{method}`: a mean ROC-AUC of "
        f"{chosen['mean']:.2f} over {over}."
    )


def maps_of(
    study: Study, planted: Planted, chosen: pd.Series, seed: int, methods: Sequence[str],
    detectors: Sequence[str] | None = None,
) -> dict[str, PlantedMaps]:  # fmt: skip
    """Detector -> the maps of one spoof, for those that detect and explain it, or for some of them."""
    held = planted.table
    own = held[(held["kind"] == chosen["kind"]) & (held["utterance"] == chosen["utterance"])]
    return {
        detector: stages.localised_maps(study, detector, seed, chosen["kind"], chosen["utterance"], list(methods))
        for detector in own["detector"].unique()
        if detectors is None or detector in detectors
    }


def drawn(made: Mapping[str, PlantedMaps]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(samples,) the spoof as it was scored, and by detector the (frame,) signed map of its first method."""
    maps = {name: next(one.frames for one in own.maps if one.aggregation == SIGNED) for name, own in made.items()}
    return next(iter(made.values())).waveform, maps


def read_s(made: Mapping[str, PlantedMaps]) -> dict[str, float]:
    """By detector, up to when its head reads."""
    return {name: float(own.clock.centre_s(own.n_read)[-1] + own.clock.hop_s / 2) for name, own in made.items()}


def clock_of(made: Mapping[str, PlantedMaps]) -> FrameClock:
    """The frame grid of the maps, which all detectors of a study share."""
    return next(iter(made.values())).clock


def places_s(study: Study, chosen: pd.Series) -> list[tuple[float, float]]:
    """Start and end of each planted place of a spoof."""
    truth = stages.planted_truth(study, chosen["kind"])
    own = truth[truth["utterance"] == chosen["utterance"]]
    return list(zip(own["start_s"], own["end_s"], strict=True))


def sounds(made: Mapping[str, PlantedMaps], chosen: pd.Series) -> dict[str, list[bytes]]:
    """What `sslig.plots.players.players` needs to play the spoof as it was scored."""
    waveform = next(iter(made.values())).waveform
    return {f"{chosen['utterance']} ({chosen['kind']})": [audio.flac_bytes(waveform)]}
