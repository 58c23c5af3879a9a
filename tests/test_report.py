"""Tables and sentences on small frames, with values worked out by hand."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from sslig import audio, stages
from sslig.corpora import protocol
from sslig.report import corpus as corpora
from sslig.report import evaluation, training
from sslig.report.display import listed, shown, span
from sslig.study import Evaluation


@pytest.fixture
def scores():
    """Two detectors on four bona fide and four spoofs of four speakers: one never errs, the other on one of each."""
    names = [f"E_{number}" for number in range(8)]
    table = pd.DataFrame({
        "utterance": names, "key": ["bonafide"] * 4 + ["spoof"] * 4, "attack": ["-"] * 4 + ["A01", "A01", "A02", "A02"],
        "codec": ["-", "C05"] * 4, "speaker": ["S0", "S1", "S2", "S3"] * 2, "recording": names, "seed": 0,
    })  # fmt: skip
    good = table.assign(detector="good", spoof_score=[-4.0, -3, -2, -1, 1, 2, 3, 4])
    poor = table.assign(detector="poor", spoof_score=[-40.0, -30, -20, 15, 10, 20, 30, -15])
    return pd.concat([good, poor], ignore_index=True)


# display ---------------------------------------------------------------------------------------------------------


def test_numbers_and_lists_read_as_in_a_text():
    assert [listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
    assert [span(10.2, 10.4), span(10.2, 30.6)] == ["10 %", "10 to 31 %"]


def test_a_table_is_shown_without_index_and_with_thousands():
    page = shown(pd.DataFrame({"n": [12345], "eer": [0.256], "none": [np.nan]}), decimals=2).to_html()
    assert "12,345" in page
    assert "0.26" in page
    assert "nan" not in page
    assert "row0" in page
    assert "row_heading" not in page


# corpus ----------------------------------------------------------------------------------------------------------


def test_a_corpus_is_counted(corpus):
    found = corpora.counts(corpus)
    expected = {"bonafide": 4, "spoof": 4, "coded": 0, "speakers": 2}
    assert found.to_dict("records") == [
        {"set": name, **expected, "attacks": "A03, A04" if name == "eval" else "A01, A02"} for name in protocol.SETS
    ]


def test_the_answer_names_the_strongest_measure(corpus):
    sets = {name: protocol.load_set(corpus, name) for name in protocol.SETS}
    rows = [("train", "duration_s", 0.4), ("eval", "duration_s", 0.45), ("eval", "level_dbfs", 0.21)]
    text = corpora.answer(sets, pd.DataFrame(rows, columns=["set", "measure", "eer"]))
    assert "24 utterances of 6 speakers, no speaker in two sets." in text
    assert "of 2 plain measures, `level_dbfs` in *eval*" in text
    assert "an EER of 21 %" in text


def test_a_speaker_in_two_sets_is_said(corpus):
    train = protocol.load_set(corpus, "train")
    alone = pd.DataFrame([("train", "duration_s", 0.4)], columns=["set", "measure", "eer"])
    assert "4 speakers, 2 of them in more than one set" in corpora.answer({"train": train, "dev": train}, alone)


def test_a_corpus_without_a_summary_names_nothing(corpus):
    assert corpora.names(corpus).empty
    assert corpora.sources(corpus).to_dict("records") == [
        {"set": name, "speaker": f"{name[0].upper()}_S{number}", "recordings": 2}
        for name in protocol.SETS for number in range(2)
    ]  # fmt: skip
    assert corpora.language_note(corpus) == ""


@pytest.fixture
def told(corpus, tmp_path):
    """A copy of the corpus that says of each spoof which bona fide it was made from; one spoof is in German."""
    root = tmp_path / "told"
    shutil.copytree(corpus, root)
    names = {"attack_names": {"A01": "griffin: a vocoder"}, "codec_names": {"C05": "mp3"}}
    (root / "corpus.json").write_text(json.dumps(names))
    utterances = pd.concat([protocol.load_set(corpus, name) for name in protocol.SETS])["utterance"]
    table = pd.DataFrame({"utterance": utterances, "speaker": "anna", "licence": "CC0"})
    numbers = utterances.str[2:].astype(int)
    table["recording"] = [f"{name[0]}_r{number // 2}" for name, number in zip(utterances, numbers, strict=True)]
    table["language"] = np.where(utterances == "E_0003", "de", "en")
    table.to_csv(root / "recordings.tsv", sep="\t", index=False)
    return root


def test_a_corpus_that_tells_names_attacks_and_sources(told):
    assert corpora.names(told).to_numpy().tolist() == [["A01", "griffin: a vocoder"], ["C05", "mp3"]]
    assert corpora.sources(told).to_dict("records") == [
        {"set": name, "speaker": "anna", "language": "en", "licence": "CC0", "recordings": 4} for name in protocol.SETS
    ]


def test_a_language_of_spoofs_alone_is_noticed(told):
    assert "the 1 spoofs by A03 in *eval* speak `de`, which no bona fide of it does" in corpora.language_note(told)
    table = pd.read_csv(told / "recordings.tsv", sep="\t").assign(language="en")
    table.to_csv(told / "recordings.tsv", sep="\t", index=False)
    assert corpora.language_note(told) == "In each set, the spoofs speak the languages of its bona fide."


def test_a_spoof_of_each_attack_stands_beside_its_recording(told):
    found = corpora.versions(told, protocol.load_set(told, "train"), seed=0)
    assert list(found) == ["A01 griffin: a vocoder", "A02"]
    for attack, (spoken, spoof) in found.items():
        number = int(spoof[-9:-5])
        assert number in ({1, 3} if attack.startswith("A01") else {5, 7})
        assert spoken == spoof.replace(f"T_{number:04d}", f"T_{number - 1:04d}")


def test_without_recordings_a_bona_fide_utterance_stands_in(corpus):
    table = protocol.load_set(corpus, "eval")
    found = corpora.versions(corpus, table, seed=0)
    assert list(found) == ["A03", "A04"]
    bonafide = set(table.loc[table["key"] == "bonafide", "path"])
    assert {spoken for spoken, _ in found.values()} <= bonafide


def test_dependent_trials_share_a_recording(corpus, told, tmp_path):
    """As the corpus tells; else a coded variant goes with its original."""
    table = protocol.load_set(told, "eval")
    assert protocol.with_recordings(told, table)["recording"].tolist() == [f"E_r{n // 2}" for n in range(8)]
    coded = protocol.read(corpus / protocol.SETS["eval"][0])
    coded.loc[2, ["codec", "codec_seed"]] = ["C05", "E_0000"]
    shutil.copytree(corpus, tmp_path / "coded")
    protocol.write(tmp_path / "coded" / protocol.SETS["eval"][0], coded)
    found = protocol.with_recordings(tmp_path / "coded", protocol.load_set(tmp_path / "coded", "eval"))
    assert found["recording"].tolist() == ["E_0000", "E_0001", "E_0000", *(f"E_000{n}" for n in range(3, 8))]


# training --------------------------------------------------------------------------------------------------------


def test_the_best_epoch_has_the_lowest_min_dcf():
    rows = [("aasist", 0, 0, 0.7, 0.2, 0.5), ("aasist", 0, 1, 0.6, 0.3, 0.4), ("sls", 0, 0, 0.5, 0.1, 0.3),
            ("sls", 0, 1, 0.4, 0.05, 0.6)]  # fmt: skip
    columns = ["detector", "seed", "epoch", "train_loss", "dev_eer", "dev_min_dcf"]
    epochs = pd.DataFrame(rows, columns=columns, index=[0, 1, 0, 1])  # as pages put tables under each other
    found = training.best_epochs(epochs)
    assert found["best epoch"].tolist() == [1, 0]
    assert found["training loss"].tolist() == [0.6, 0.5]
    assert found["dev EER (%)"].tolist() == pytest.approx([30, 10])
    told = "the detectors reach an EER of 10 to 30 % with the weights of the epochs that were kept, better than chance"
    assert told in training.answer(epochs)
    poor = training.answer(epochs.assign(dev_eer=0.48).head(2))
    assert "the detector reaches an EER of 48 % with the weights" in poor
    assert "hardly better than by chance" in poor


def test_the_answer_counts_an_average_that_was_kept():
    columns = ["detector", "seed", "epoch", "train_loss", "dev_eer", "dev_min_dcf"]
    epochs = pd.DataFrame([("sls", 0, 0, 0.7, 0.2, 0.5), ("sls", 1, 0, 0.7, 0.3, 0.5)], columns=columns)
    averaged = pd.DataFrame({"detector": "sls", "seed": [0, 1], "dev EER (%)": [10.0, 15.0],
                             "dev minDCF": [0.4, 0.6], "kept": ["average", "best epoch"]})  # fmt: skip
    told = "an EER of 10 to 30 % with the weights of the epochs (or averages) that were kept, better than chance"
    assert told in training.answer(epochs, averaged)


def run_of(experiment, detector, seed, **record):
    """A finished run that left a record only."""
    folder = experiment.run(detector, seed)
    folder.mkdir(parents=True)
    (folder / "training.json").write_text(json.dumps({"best_epoch": 1} | record))
    return folder


def test_an_average_is_shown_and_counts_where_it_was_kept(experiment):
    tried = {"averaged_epochs": [1, 3], "averaged_dev_eer": 0.05, "averaged_dev_min_dcf": 0.2}
    run_of(experiment, "sls", 0)
    run_of(experiment, "sls", 1, kept="average", **tried)
    run_of(experiment, "camhfa", 0, kept="best_epoch", **tried)
    run_of(experiment, "camhfa", 1)
    found = training.averages(experiment, ["camhfa", "sls"], [0, 1])
    assert found.to_numpy().tolist() == [["camhfa", 0, "1, 3", 5.0, 0.2, "best epoch"],
                                         ["sls", 1, "1, 3", 5.0, 0.2, "average"]]  # fmt: skip
    best = pd.DataFrame({"detector": ["camhfa", "camhfa", "sls", "sls"], "seed": [0, 1, 0, 1],
                         "dev EER (%)": [7.0, 8.0, 9.0, 10.0], "dev minDCF": 0.3})  # fmt: skip
    assert training.kept(best, found)["dev EER (%)"].tolist() == [7, 8, 9, 5]
    assert training.kept(best, found.head(0))["dev EER (%)"].tolist() == [7, 8, 9, 10]


def test_seeds_give_mean_deviation_and_interval():
    """Of 8, 10 and 12: mean 10, deviation 2; t of two degrees of freedom is 4.3027."""
    figures = pd.DataFrame({"detector": "sls", "seed": [0, 1, 2], "dev EER (%)": [8.0, 10.0, 12.0],
                            "dev minDCF": [0.2, 0.2, 0.2]})  # fmt: skip
    eer, min_dcf = training.over_seeds(figures).to_dict("records")
    assert (eer["seeds"], eer["mean"], eer["sd"]) == (3, 10, 2)
    assert (eer["low"], eer["high"]) == pytest.approx((10 - 4.3027 * 2 / 3**0.5, 10 + 4.3027 * 2 / 3**0.5), abs=1e-3)
    assert (min_dcf["mean"], min_dcf["sd"]) == pytest.approx((0.2, 0.0))
    (one, _) = training.over_seeds(figures.head(1)).to_dict("records")
    assert one["mean"] == 8
    assert np.isnan([one["sd"], one["low"], one["high"]]).all()


def test_logs_of_steps_stand_under_each_other(experiment):
    for seed, text in enumerate(["detector\tseed\tstep\nsls\t0\t10\n", "detector\tseed\tstep\n"]):
        (run_of(experiment, "sls", seed) / "steps.tsv").write_text(text)
    assert training.steps(experiment, ["sls"], [0, 1])["step"].tolist() == [10]
    assert training.steps(experiment, ["camhfa"], [0]).empty


def test_parameters_are_counted(tiny_detector):
    model = tiny_detector("camhfa")
    (row,) = training.sizes({"camhfa": model}).to_dict("records")
    assert (row["encoder"], row["layers"], row["features"]) == ("wavlm", 3, 16)
    # layer weights 2 x 3; compression 2 x (16 x 8 + 8); attention 4 x 5 x 8; out 4 x 8 + 1
    assert row["parameters of head"] == 2 * 3 + 2 * (16 * 8 + 8) + 4 * 5 * 8 + 4 * 8 + 1
    total = sum(parameter.numel() for parameter in model.parameters())
    assert row["parameters of encoder"] == total - row["parameters of head"]


# evaluation ------------------------------------------------------------------------------------------------------


def test_metrics_of_each_detector(scores):
    """`good` never errs; of the four of each class `poor` takes one for the other: 25 %."""
    found = evaluation.metric_table(scores, Evaluation(rounds=20), seed=0).set_index(["detector", "metric"])
    assert found.loc[("good", "eer"), ["value", "low", "high"]].tolist() == [0, 0, 0]
    assert found.loc[("poor", "eer"), "value"] == 0.25
    assert found.loc[("poor", "eer"), "low"] <= 0.25 <= found.loc[("poor", "eer"), "high"]
    assert set(found["n_speakers"]) == {4}
    wide = evaluation.wide(found.reset_index())
    assert wide["detector"].tolist() == ["good", "poor"]
    assert wide["EER"][0] == "0.0 % [0.0, 0.0]"
    assert wide["EER"][1].startswith("25.0 % [")
    assert wide["minDCF"][0] == "0.00 [0.00, 0.00]"
    assert list(wide) == ["detector", "seed", "EER", "minDCF", "actDCF", "Cllr (bits)"]


def test_errors_by_attack(scores):
    """`poor` misses one of two spoofs by A02, with bona fide of all kinds on the other side."""
    found = evaluation.group_table(scores, "attack", Evaluation(rounds=20), seed=0).set_index(["detector", "group"])
    assert set(found.index.get_level_values("group")) == {"A01", "A02"}
    assert found["n"].tolist() == [2] * 4
    assert (found.loc["good", "eer"] == 0).all()
    # threshold above -20: of four bona fide one is above (25 %), of two spoofs none is missed, or one (50 %)
    assert found.loc[("poor", "A02"), "eer"] == pytest.approx((0.25 + 0.5) / 2)


def test_groups_average_over_seeds(scores):
    """A second seed of `good` that turns all its scores around has an EER of 100 %: the mean is 50 %."""
    good = scores[scores["detector"] == "good"]
    both = pd.concat([good, good.assign(seed=1, spoof_score=-good["spoof_score"])])
    found = evaluation.group_table(both, "attack", Evaluation(rounds=20), seed=0)
    assert found["eer"].tolist() == [0.5, 0.5]
    shown = evaluation.seed_table(both, Evaluation(rounds=20), seed=0)
    assert shown[["detector", "seeds"]].to_numpy().tolist() == [["good", 2]]
    assert shown["EER"][0] == "50.0 ± 70.7 % [50.0, 50.0]"


def test_a_group_of_one_speaker_has_no_interval(scores):
    alone = scores[scores["speaker"] == "S0"]
    found = evaluation.group_table(alone, "attack", Evaluation(rounds=20), seed=0)
    assert found["eer"].tolist() == [0, 0]
    assert found[["low", "high"]].isna().all(axis=None)


def test_operating_points_stand_side_by_side(scores):
    table = evaluation.operating_table(scores, Evaluation(rounds=20), seed=0)
    assert table["detector"].tolist() == ["good"] * 5 + ["poor"] * 5
    wide = evaluation.operating_wide(table)
    assert list(wide) == ["point", "good", "poor"]
    assert wide["point"].tolist() == [
        "EER",
        "FNMR at FMR 1 %",
        "FNMR at FMR 0.1 %",
        "FMR at FNMR 1 %",
        "FMR at FNMR 0.1 %",
    ]
    assert wide["good"][1] == "0.0 % [0.0, 0.0]"
    # below the lowest spoof of `poor`, at -15, lie three of four bona fide: one is called spoof
    assert wide["poor"][1].startswith("25.0 % [")


def test_the_size_of_the_set_is_held_against_low_rates():
    rows = [("EER", np.nan), ("FNMR at FMR 1 %", 50.0), ("FNMR at FMR 0.1 %", 5.0), ("FMR at FNMR 0.1 %", 0.9)]
    table = pd.DataFrame(rows, columns=["point", "errors_allowed"]).assign(detector="d", n_bonafide=900, n_spoof=5000)
    note = evaluation.operating_note(table)
    assert "50.0 of the 5,000 spoofs (*FNMR at FMR 1 %*)" in note
    assert "0.9 of the 900 bona fide (*FMR at FNMR 0.1 %*)" in note
    assert "where not even one may pass, as at *FMR at FNMR 0.1 %*," in note
    assert "Where fewer than 10 may, as at *FNMR at FMR 0.1 %*," in note
    large = evaluation.operating_note(table.assign(errors_allowed=[np.nan, 5000, 500, 90]))
    assert large.endswith("(*FMR at FNMR 0.1 %*).")


def test_rates_over_the_threshold(scores):
    """Of `good`: at the lowest score all is called spoof, at 0 the classes part, at the highest one spoof is left."""
    curve = evaluation.rate_curves(scores)["good"]
    assert len(curve) == evaluation.CURVE_POINTS
    assert curve[["fnmr", "fmr"]].iloc[0].tolist() == [1, 0]
    assert curve.iloc[(curve["threshold"].abs()).argmin()][["fnmr", "fmr"]].tolist() == [0, 0]
    assert curve[["fnmr", "fmr"]].iloc[-1].tolist() == [0, 0.75]


def test_seeds_of_one_detector_are_told_apart(scores):
    assert list(evaluation.by_detector(scores)) == ["good", "poor"]
    several = pd.concat([scores, scores.assign(seed=1)])
    assert list(evaluation.by_detector(several)) == ["good seed 0", "poor seed 0", "good seed 1", "poor seed 1"]
    assert evaluation.eers(several) == {"good seed 0": 0, "poor seed 0": 0.25, "good seed 1": 0, "poor seed 1": 0.25}
    p_miss, p_fa = evaluation.det_curves(scores)["good"]
    assert ((p_miss == 0) & (p_fa == 0)).any()


def test_the_classes_come_apart_in_order(scores):
    bonafide, spoof = evaluation.by_class(scores[scores["detector"] == "good"])
    assert bonafide.tolist() == [-4, -3, -2, -1]
    assert spoof.tolist() == [1, 2, 3, 4]


def test_the_worst_errors_by_mean_rank(scores):
    """Ranks of eight by the two detectors: E_3 4 and 6, E_2 3 and 3, E_4 5 and 5, E_7 8 and 4."""
    found = evaluation.worst_errors(scores, 2)
    assert found["utterance"].tolist() == ["E_3", "E_2", "E_4", "E_7"]
    assert found["mean_rank"].tolist() == pytest.approx([5 / 8, 3 / 8, 5 / 8, 6 / 8])
    labels = evaluation.labelled(found, {name: f"{name}.flac" for name in found["utterance"]})
    assert labels["E_3: bona fide, C05, rank 62 %"] == ["E_3.flac"]
    assert labels["E_4: spoof, A01, rank 62 %"] == ["E_4.flac"]


def figures(*eers):
    """EERs as (value, low, high) of detectors d0, d1 ..., as a `metric_table`."""
    columns = ["detector", "seed", "metric", "value", "low", "high", "n_speakers"]
    return pd.DataFrame([(f"d{i}", 0, "eer", *values, 4) for i, values in enumerate(eers)], columns=columns)


def test_the_answer_is_the_range_with_its_ends():
    apart = evaluation.answer(figures((0.3, 0.25, 0.35), (0.1, 0.05, 0.15), (0.2, 0.1, 0.3)))
    assert "EERs are 10 to 30 %: lowest d1 with 10 % [5, 15], highest d0 with 30 % [25, 35]." in apart
    assert evaluation.answer(figures((0.2, 0.1, 0.3))) == "**Answer.** The EER on *eval*: d0 with 20 % [10, 30]."


def test_the_note_says_what_is_resampled_and_how_far_to_trust_it():
    note = evaluation.interval_note(figures((0.2, 0.1, 0.3)), Evaluation(rounds=1000, resample_recordings=True))
    assert "1,000 bootstrap rounds that resample speakers, and within each drawn speaker recordings," in note
    assert "With 4 speakers they say little about other speakers" in note
    many = evaluation.interval_note(figures((0.2, 0.1, 0.3)).assign(n_speakers=700), Evaluation())
    assert "within each drawn speaker" not in many
    assert "say little" not in many


def test_new_and_hard_attacks_are_named(experiment):
    """A01 and A02 stand in training; means over detectors are 0.2, 0.3 and 0.4."""
    rows = [("A01", 0.1), ("A01", 0.3), ("A03", 0.2), ("A03", 0.4), ("A04", 0.4), ("A04", 0.4)]
    by_attack = pd.DataFrame(rows, columns=["group", "eer"]).assign(detector=["aasist", "sls"] * 3)
    note = evaluation.attack_note(experiment, by_attack)
    assert note.startswith("A03 and A04 stand in no training utterance; A01 ")
    assert note.endswith("Averaged over detectors, A04 is the hardest attack and A01 the easiest.")
    assert evaluation.attack_note(experiment, by_attack.head(2)).startswith("All attacks stand in training too.")
    assert "By its EERs, A04 is the hardest" in evaluation.attack_note(experiment, by_attack[::2])


def test_scores_hardly_depend_on_their_company(experiment, tiny_detector, tmp_path, monkeypatch):
    tiny_detector("camhfa").save_pretrained(tmp_path / "saved")
    monkeypatch.setattr(stages, "checkpoint", lambda *_: tmp_path / "saved")
    (row,) = evaluation.company(experiment, ["camhfa"], seed=0, n=5).to_dict("records")
    assert (row["detector"], row["utterances"], row["batch sizes"]) == ("camhfa", 5, "1, 4 and 16")
    assert float(row["largest change (logit)"]) <= 1e-4
    assert row["spread of scores (logit)"] > 0


def test_scores_of_several_runs_lie_under_each_other(experiment, monkeypatch):
    table = protocol.load_set(experiment.corpus_root, "eval")
    monkeypatch.setattr(stages, "set_scores", lambda *which: table.assign(seed=which[2], spoof_score=float(which[2])))
    found = evaluation.scores_of(experiment, ["aasist", "sls"], [0, 1])
    assert len(found) == 4 * len(table)
    assert found["detector"].tolist() == ["aasist"] * 16 + ["sls"] * 16
    assert found["seed"].tolist() == ([0] * 8 + [1] * 8) * 2
    assert (found["recording"] == found["utterance"]).all()
    assert set(found["gender"]) == {"F"}
    assert audio.n_samples(evaluation.paths(experiment)["E_0000"]) == 6_000

