import numpy as np
import pytest
import torch

from sslig import audio, scoring
from sslig.corpora import protocol
from sslig.cues import edits, masking
from sslig.cues.masking import ALL_FRAMES, APPLIED, NO_FRAMES, MaskedUtterance, bands, cuts, mask_scores, shifted
from sslig.cues.masks import Places, parse
from sslig.cues.tiers import Tier
from sslig.errors import DataError
from sslig.frames import SSL_CLOCK
from sslig.study import Scoring

DRAWS = 5


def speech(duration_s, start_s, end_s):
    """The tier of a recording that is silent before `start_s` and after `end_s`."""
    bounds = [(0, start_s, "leading"), (start_s, end_s, "speech"), (end_s, duration_s, "trailing")]
    start, end, labels = zip(*((a, b, label) for a, b, label in bounds if b > a), strict=True)
    return Tier("speech", np.array(start), np.array(end), labels, duration_s, {"tool": "given"})


@pytest.fixture
def utterances(corpus):
    return protocol.load_set(corpus, "eval")


@pytest.fixture
def places(utterances):
    """Silent in the first 0.1 s and the last 0.06 s; attributions rise over time."""
    tiers, attributions = {}, {}
    for name, path in zip(utterances["utterance"], utterances["path"], strict=True):
        n_samples = audio.n_samples(path)
        tiers[name] = {"speech": speech(n_samples / 16_000, 0.1, n_samples / 16_000 - 0.06)}
        attributions[name] = np.arange(SSL_CLOCK.n_frames(n_samples), dtype=np.float32)
    return Places(tiers, attributions)


@pytest.fixture
def run(tiny_detector, utterances, places):
    def scores(*specs, head="camhfa", profile=None, places=places, utterances=utterances, **options):
        options = {"draws": DRAWS, "seed": 0} | options
        masks = [parse(spec) for spec in specs]
        return mask_scores(tiny_detector(head), utterances, masks, places, profile, Scoring(), **options)

    return scores


def controls(table):
    return np.stack(table["control_scores"])


def test_the_score_without_a_mask_is_that_of_scoring(run, tiny_detector, utterances):
    table, left_out = run("volume")
    expected, _ = scoring.score(tiny_detector(), utterances, Scoring())
    assert table["utterance"].tolist() == expected["utterance"].tolist()
    np.testing.assert_allclose(table["spoof_score"], expected["spoof_score"], atol=1e-5)
    assert left_out.empty


@pytest.mark.parametrize("head", ["aasist", "camhfa", "sls"])
@pytest.mark.parametrize("spec", ["volume(gain=1)", "noise(alpha=0)", "band(lo_hz=100, hi_hz=900, gain=1)"])
def test_what_changes_nothing_changes_no_score(run, head, spec):
    table, _ = run(spec, head=head, profile=torch.zeros(3, 16))
    np.testing.assert_allclose(table["masked_score"], table["spoof_score"], atol=1e-5)
    if parse(spec).control:
        np.testing.assert_allclose(
            controls(table), table["spoof_score"].to_numpy()[:, None].repeat(DRAWS, 1), atol=1e-5
        )


def test_a_mask_without_frames_changes_nothing_at_all(run, places, utterances):
    tiers = {name: {"speech": speech(1.0, 0.0, 1.0)} for name in utterances["utterance"]}
    table, _ = run("noise", "trim_silence", profile=torch.ones(3, 16), places=Places(tiers))
    assert set(table["status"]) == {NO_FRAMES}
    assert (table["masked_score"] == table["spoof_score"]).all()
    assert (controls(table) == table["spoof_score"].to_numpy()[:, None]).all()
    assert (table["share"] == 0).all()


def test_a_recording_without_speech_has_a_score_under_every_mask(run, utterances):
    tiers = {name: {"speech": speech(1.0, 0.0, 0.0)} for name in utterances["utterance"]}
    table, _ = run(
        "noise", "trim_silence", "time:non_speech(fill=noise)", profile=torch.ones(3, 16), places=Places(tiers)
    )
    assert set(table["status"]) == {ALL_FRAMES}
    assert np.isfinite(table["masked_score"]).all()
    assert np.isfinite(controls(table)).all()
    trimmed = table[table["mask"] == "trim_silence"]
    assert (trimmed["masked_score"] == trimmed["spoof_score"]).all()


@pytest.mark.parametrize("head", ["aasist", "camhfa", "sls"])
def test_the_masked_score_is_the_heads_on_masked_features(run, tiny_detector, utterances, head):
    profile = torch.linspace(-1, 1, 48).reshape(3, 16)
    table, _ = run("noise(alpha=0.5)", head=head, profile=profile)
    detector, row = tiny_detector(head), utterances.iloc[2]
    samples = torch.from_numpy(audio.read(row["path"]))[None]
    n_frames = SSL_CLOCK.n_frames(samples.shape[1])
    with torch.inference_mode():
        features = detector.features(samples[:, : SSL_CLOCK.n_samples(n_frames)])
        centre_s = torch.from_numpy(SSL_CLOCK.centre_s(n_frames))
        silent = (centre_s < 0.1) | (centre_s >= samples.shape[1] / 16_000 - 0.06)
        changed = edits.towards_profile(features, silent[None], profile, 0.5)
        expected = detector.head(changed).item()
    masked = table.set_index("utterance").loc[row["utterance"]]
    assert masked["masked_score"] == pytest.approx(expected, abs=1e-5)
    assert masked["share"] == pytest.approx(silent.float().mean().item())
    assert masked["n_runs"] == 2
    assert masked["status"] == APPLIED


def test_each_utterance_has_as_many_controls_as_asked_for_and_they_differ(run):
    table, _ = run("phonemes", "time:energy(fill=silence)", "spectral", draws=7)
    assert controls(table).shape == (24, 7)
    assert (controls(table).std(axis=1) > 0).all()


@pytest.mark.parametrize("spec", ["noise(alpha=0.5)", "phonemes", "time:energy(fill=silence)", "spectral"])
def test_a_control_moves_the_features_as_far_as_the_mask(spec, utterances, places, tiny_detector):
    """The head sees changes of one displacement, whatever the control moved before."""
    detector, row, profile = tiny_detector(), utterances.iloc[2], torch.linspace(-1, 1, 48).reshape(3, 16)
    waveform = torch.from_numpy(audio.read(row["path"]))[None]
    waveform, mask, seen = waveform[:, : SSL_CLOCK.n_samples(SSL_CLOCK.n_frames(waveform.shape[1]))], parse(spec), []
    with torch.inference_mode():
        utterance = MaskedUtterance(detector, row["utterance"], waveform, DRAWS, 0)
        frames = places.mask(mask, utterance.name, waveform, SSL_CLOCK, utterance.n_read)
        detector.head.project = lambda features: features
        detector.head.decide = detector.head.forward = lambda x: seen.append(x) or x.mean(dim=(1, 2, 3))
        utterance.projected = utterance.features
        result = utterance.under(mask, frames, profile)
        moved = masking.displacement(torch.cat(seen), utterance.features)
    assert moved == pytest.approx([result["displacement"]] * (1 + DRAWS), rel=1e-4)
    assert result["control_displacements"] != pytest.approx([result["displacement"]] * DRAWS, rel=1e-3)


def test_scales_match_the_first_displacement():
    factors = masking.scales(torch.tensor([2.0, 4.0, 1.0, 0.0, 2.0]))
    assert factors.tolist() == [1, 0.5, 2, 1, 1]
    assert masking.scales(torch.tensor([0.0, 4.0])).tolist() == [1, 0]
    given, changed = torch.zeros(1, 1, 1, 2), torch.tensor([3.0, 4.0]).expand(2, 1, 1, 2)
    moved = masking.scaled(changed, given, torch.tensor([1.0, 0.5])[:, None, None, None])
    assert masking.displacement(moved, given).tolist() == [5, 2.5]


def test_a_shorter_recording_has_no_displacement(run):
    table, _ = run("trim_silence", "volume")
    known = table.set_index("mask")["displacement"].notna().groupby("mask").all()
    assert known.to_dict() == {"trim_silence": False, "volume": True}


def test_what_has_no_place_to_move_has_no_control(run):
    table, _ = run("volume", "compressor", "lowpass(cutoff_hz=4000)", "codec:opus")
    assert table["control_scores"].map(len).eq(0).all()
    assert table["share"].eq(1).all()


def test_a_result_does_not_depend_on_what_else_is_masked(run):
    alone, _ = run("time:energy(fill=noise)")
    among, _ = run("phonemes", "time:energy(fill=noise)", "spectral")
    same = among[among["mask"] == "time:energy(fill=noise)"].reset_index(drop=True)
    np.testing.assert_array_equal(controls(alone), controls(same))
    np.testing.assert_array_equal(alone["masked_score"], same["masked_score"])


def test_another_seed_draws_other_controls(run):
    (first, _), (other, _) = run("phonemes"), run("phonemes", seed=1)
    np.testing.assert_array_equal(first["masked_score"], other["masked_score"])
    assert not np.array_equal(controls(first), controls(other))


def test_masks_by_attribution_need_one(run, places, utterances):
    known = utterances["utterance"].iloc[0]
    only = Places(places.tiers, {known: places.attributions[known]})
    table, _ = run("top_attribution(percent=10)", "noise", profile=torch.zeros(3, 16), places=only)
    assert table.groupby("mask").size().to_dict() == {"noise": 8, "top_attribution(percent=10)": 1}


def test_controls_stay_among_the_frames_that_the_head_reads(run, tiny_detector, utterances):
    """SLS reads 15 of 18 frames here; the last three have no part in a mask, its coverage or its control."""
    table, _ = run("noise", head="sls", profile=torch.zeros(3, 16))
    short = table[table["utterance"] == utterances["utterance"].iloc[0]].iloc[0]
    assert short["n_frames"] == 18
    moved = masking.with_controls(parse("noise"), torch.arange(18)[None] < 4, 15, 20, torch.Generator().manual_seed(0))
    assert moved.sum(dim=1).tolist() == [4] * 21
    assert not moved[:, 15:].any()


def test_a_faulty_file_is_listed_and_the_others_are_masked(run, utterances, tmp_path):
    broken = tmp_path / "broken.flac"
    broken.write_bytes(b"no sound")
    table = utterances.copy()
    table.loc[3, "path"] = str(broken)
    masked, left_out = run("volume", utterances=table)
    assert left_out["utterance"].tolist() == [table["utterance"].iloc[3]]
    assert "broken.flac" in left_out["reason"].iloc[0]
    assert len(masked) == 7
    with pytest.raises(DataError, match="none of 8 utterances could be read"):
        run("volume", utterances=table.assign(path=str(broken)))


@pytest.mark.parametrize("spec", ["time:non_speech(fill=noise)", "codec:opus", "trim_silence", "volume"])
def test_the_recording_that_is_heard_is_the_one_that_is_scored(spec, utterances, places, tiny_detector):
    detector, row = tiny_detector(), utterances.iloc[0]
    waveform = torch.from_numpy(audio.read(row["path"]))[None]
    waveform = waveform[:, : SSL_CLOCK.n_samples(SSL_CLOCK.n_frames(waveform.shape[1]))]
    mask = parse(spec)
    with torch.inference_mode():
        utterance = MaskedUtterance(detector, row["utterance"], waveform, DRAWS, 0)
        frames = places.mask(mask, utterance.name, waveform, SSL_CLOCK, utterance.n_read)
        changed = utterance.recording(mask, frames)
        used = SSL_CLOCK.n_samples(SSL_CLOCK.n_frames(len(changed)))
        heard, scored = detector(changed[None, :used]).item(), utterance.under(mask, frames, None)["masked_score"]
    assert heard == pytest.approx(scored, abs=1e-4)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def marked(text):
    return torch.tensor([letter == "x" for letter in text])


def runs(row):
    """Lengths of the runs of a mask, sorted."""
    text = "".join("x" if value else "-" for value in row.tolist())
    return sorted(len(run) for run in text.split("-") if run)


def test_every_draw_has_runs_of_the_same_lengths():
    mask = marked("xx---x---xxxx----------")
    drawn = shifted(mask, 20, generator())
    assert drawn.shape == (20, 23)
    for draw in drawn:
        assert runs(draw) == runs(mask)
        assert not torch.equal(draw, mask)


def test_gaps_keep_their_lengths_where_the_mask_leaves_an_end_free():
    text = "xx-x---xxxx----------"
    for draw in shifted(marked(text), 20, generator()):
        assert any(torch.equal(draw, marked(text).roll(shift)) for shift in range(1, len(text)))


def test_a_mask_at_both_ends_is_placed_anew():
    mask = marked("xxxx" + "-" * 10 + "xx" + "-" * 10 + "xxx")
    drawn = shifted(mask, 300, generator())
    assert all(runs(row) == [2, 3, 4] for row in drawn)
    assert drawn.float().mean(dim=0).min() > 0.1  # every frame is masked in some draws
    assert len(torch.unique(drawn, dim=0)) > 250


def test_runs_without_room_stay_in_some_order():
    drawn = shifted(marked("xx-x"), 20, generator())
    assert {tuple(row.tolist()) for row in drawn} == {(True, True, False, True), (True, False, True, True)}


def test_shifts_of_a_row_are_distinct_while_they_last():
    drawn = shifted(marked("x" + "-" * 20), 20, generator())
    assert sorted(drawn.int().argmax(dim=1).tolist()) == list(range(1, 21))
    twice = shifted(marked("x---"), 6, generator()).int().argmax(dim=1).tolist()
    assert sorted(twice) == [1, 1, 2, 2, 3, 3]


def test_shifts_are_uniform():
    draws = [shifted(marked("x-----"), 1, generator(seed))[0] for seed in range(3000)]
    counts = torch.stack(draws).sum(dim=0)
    assert counts[0] == 0
    assert ((counts[1:] - 600).abs() < 110).all()  # five standard deviations


@pytest.mark.parametrize(("text", "n_places"), [("xx-------x", 5), ("xxx-------", 5)])
def test_a_cut_is_one_run_that_leaves_the_ends(text, n_places):
    drawn = cuts(marked(text), 30, generator())
    assert not (drawn & marked(text)).any()
    assert all(runs(draw) == [3] for draw in drawn)
    assert len(torch.unique(drawn, dim=0)) == n_places


@pytest.mark.parametrize("text", ["-----", "xxxxx", "x", "-"])
@pytest.mark.parametrize("draw", [shifted, cuts])
def test_empty_full_and_single_masks_stay(draw, text):
    assert torch.equal(draw(marked(text), 20, generator()), marked(text).expand(20, len(text)))


def test_a_cut_of_most_of_a_recording_overlaps_where_it_must():
    drawn = cuts(marked("xxxx-x"), 5, generator())
    assert drawn.sum(dim=1).tolist() == [5] * 5


def test_bands_are_as_wide_and_elsewhere():
    drawn = bands(600, 1200, 500, generator())
    assert all(high - low == pytest.approx(600) for low, high in drawn)
    assert all(high <= 600 or low >= 1200 for low, high in drawn)
    assert all(low >= 0 and high <= 8000 for low, high in drawn)
    below = sum(high <= 600 for low, high in drawn)
    assert below == 0  # exactly one band fits below, which has no weight among the places above
    assert max(low for low, _ in drawn) > 7200


def test_bands_on_both_sides_are_drawn_by_the_room_there():
    drawn = bands(3000, 4000, 2000, generator())
    below = sum(high <= 3000 for _, high in drawn)
    assert below == pytest.approx(2000 * 2 / 5, abs=110)  # 2 kHz of places below, 3 kHz above; five deviations


def test_a_wide_band_overlaps_where_it_must():
    assert all(low >= 0 and high <= 8000 for low, high in bands(2000, 7000, 50, generator()))
    assert bands(0, 8000, 2, generator()) == [(0.0, 8000.0)] * 2
