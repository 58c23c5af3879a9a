import numpy as np
import pytest

from sslig.cues.tiers import Tier, coverage, near, read_audacity, read_textgrid, runs, write_audacity, write_textgrid
from sslig.errors import InputError
from sslig.frames import SSL_CLOCK

SOURCE = {"tool": "hand"}


@pytest.fixture
def words() -> Tier:
    """Centres of frames lie at 12.5, 32.5, 52.5 ... ms: "one" has frames 1 and 2, "two" frames 3 and 4."""
    return Tier("words", [0.02, 0.06, 0.2], [0.06, 0.11, 0.26], ("one", "two", "one"), 0.3, SOURCE)


def same(left: Tier, right: Tier) -> bool:
    times = np.allclose(left.start_s, right.start_s, atol=1e-6) and np.allclose(left.end_s, right.end_s, atol=1e-6)
    return times and (left.name, left.labels, left.duration_s) == (right.name, right.labels, right.duration_s)


def test_a_frame_belongs_to_the_stretch_that_holds_its_centre(words):
    assert np.flatnonzero(words.mask(SSL_CLOCK, 14)).tolist() == [1, 2, 3, 4, 10, 11, 12]
    assert np.flatnonzero(words.mask(SSL_CLOCK, 14, ["one"])).tolist() == [1, 2, 10, 11, 12]
    assert not words.mask(SSL_CLOCK, 14, ["three"]).any()
    assert words.mask(SSL_CLOCK, 0).shape == (0,)


def test_a_stretch_ends_before_its_end():
    tier = Tier("words", [0.0125], [0.0325], ("one",), 1.0, SOURCE)
    assert tier.mask(SSL_CLOCK, 3).tolist() == [True, False, False]


def test_a_tier_may_be_empty():
    tier = Tier("words", [], [], (), 0.0, SOURCE)
    assert len(tier) == 0
    assert not tier.mask(SSL_CLOCK, 5).any()
    assert tier.changes_s().size == 0


@pytest.mark.parametrize(
    ("start_s", "end_s", "labels", "duration_s", "what"),
    [
        ([0.1], [0.1], ("a",), 1.0, "stretch 1 .0.1 to 0.1 s, 'a'.: it must begin"),
        ([-0.1], [0.1], ("a",), 1.0, "it must begin at 0 or later"),
        ([0.1], [1.1], ("a",), 1.0, "end by 1.0 s"),
        ([np.nan], [1.0], ("a",), 1.0, "it must begin"),
        ([0.1, 0.2], [0.3, 0.4], ("a", "b"), 1.0, "stretch 2 .0.2, 0.4, 'b'. begins before .0.1, 0.3, 'a'. ends"),
        ([0.1], [0.2], (" a",), 1.0, "a label is words"),
        ([0.1], [0.2], ("",), 1.0, "a label is words"),
        ([0.1], [0.2], ("a\tb",), 1.0, "a label is words"),
        ([0.1], [0.2, 0.3], ("a",), 1.0, "one of each per stretch"),
        ([], [], (), -1.0, "not negative"),
    ],
)
def test_faulty_stretches_are_refused(start_s, end_s, labels, duration_s, what):
    with pytest.raises(InputError, match=rf"tier 'x'.*{what}"):
        Tier("x", start_s, end_s, labels, duration_s, SOURCE)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [([], []), ([0, 0], []), ([1, 1], [[0, 2]]), ([1, 0, 0, 1, 1, 0, 1], [[0, 1], [3, 5], [6, 7]])],
)
def test_runs(mask, expected):
    assert runs(mask).tolist() == expected


@pytest.mark.parametrize(
    ("mask", "figures"),
    [("x-xxx", (5, 4, 0.8, 2, 0.04, 0.06)), ("---", (3, 0, 0, 0, 0, 0)), ("", (0, 0, 0, 0, 0, 0))],
)
def test_coverage(mask, figures):
    names = ("n_frames", "n_masked", "share", "n_runs", "mean_run_s", "longest_run_s")
    masked = np.array([letter == "x" for letter in mask], dtype=bool)
    assert coverage(masked, SSL_CLOCK) == pytest.approx(dict(zip(names, figures, strict=True)))


def test_frames_near_changes(words):
    """Of the frames around a change the nearest two are at most 10 ms away, the next two at most 30 ms."""
    np.testing.assert_allclose(words.changes_s(), [0.02, 0.06, 0.11, 0.2, 0.26])
    assert np.flatnonzero(near(words.changes_s(), SSL_CLOCK, 14, 20)).tolist() == [0, 2, 5, 9, 12]
    between = np.array([SSL_CLOCK.centre_s(5)[3:].mean()])  # halfway between frames 3 and 4
    for width_ms, n_frames in ((19, 0), (20, 2), (59, 2), (60, 4)):
        assert near(between, SSL_CLOCK, 11, width_ms).sum() == n_frames


def test_stretches_that_touch_are_one_where_their_labels_count_alike(words):
    np.testing.assert_allclose(words.changes_s(["one", "two"]), [0.02, 0.11, 0.2, 0.26])
    np.testing.assert_allclose(words.changes_s(["two"]), [0.06, 0.11])


def test_the_ends_of_the_recording_are_no_change():
    assert Tier("x", [0, 0.5], [0.5, 1], ("a", "b"), 1.0, SOURCE).changes_s().tolist() == [0.5]


def test_textgrid_comes_back(tmp_path, words):
    quoted = Tier("labels", [0.0, 0.123456789012], [6.25e-05, 0.3], ('say "a"', "tʃ ɑ̃"), 0.3, SOURCE)
    other = Tier("empty", [], [], (), 0.3, SOURCE)
    with pytest.raises(InputError, match=r"x\.TextGrid: praatio refuses"):
        write_textgrid(tmp_path / "x.TextGrid", [quoted])
    quoted = Tier("labels", [5e-05, 0.123456789012], [0.1, 0.3], ('say "a"', "tʃ ɑ̃"), 0.3, SOURCE)
    write_textgrid(tmp_path / "x.TextGrid", [words, other, quoted])
    back = read_textgrid(tmp_path / "x.TextGrid")
    assert [tier.name for tier in back] == ["words", "empty", "labels"]
    assert same(back[0], words)
    assert same(back[1], other)
    assert back[2].labels == quoted.labels
    np.testing.assert_allclose(back[2].start_s, [0, 0.123456789012])
    assert back[0].source == {"tool": "TextGrid", "file": "x.TextGrid"}
    assert [path.name for path in tmp_path.iterdir()] == ["x.TextGrid"]


def test_a_textgrid_of_praat_is_read(tmp_path):
    """The short form; a point tier is left out, intervals without text are gaps, spaces in a text are one."""
    words = '"IntervalTier"\n"words"\n0\n1.5\n2\n0\n0.5\n""\n0.5\n1.5\n"a  word "\n'
    clicks = '"TextTier"\n"clicks"\n0\n1.5\n1\n0.7\n"click"\n'
    head = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n1.5\n<exists>\n2\n'
    (tmp_path / "x.TextGrid").write_text(head + words + clicks)
    (tier,) = read_textgrid(tmp_path / "x.TextGrid")
    assert (tier.name, tier.labels, tier.duration_s) == ("words", ("a word",), 1.5)
    assert (tier.start_s, tier.end_s) == (0.5, 1.5)


def test_tiers_of_a_textgrid_are_of_one_recording(tmp_path, words):
    longer = Tier("other", [], [], (), 0.4, SOURCE)
    for tiers in ([], [words, longer], [words, words]):
        with pytest.raises(InputError, match=r"x\.TextGrid: tiers"):
            write_textgrid(tmp_path / "x.TextGrid", tiers)


def test_a_faulty_textgrid_is_named(tmp_path, words):
    path = tmp_path / "x.TextGrid"
    with pytest.raises(InputError, match=r"x\.TextGrid: .*No such file"):
        read_textgrid(path)
    for text in ("", "no TextGrid\n" * 9, '{"a": 1}'):
        path.write_text(text)
        with pytest.raises(InputError, match=r"x\.TextGrid: not a TextGrid"):
            read_textgrid(path)
    write_textgrid(path, [words])
    path.write_text(path.read_text().replace("xmin = 0 \n", "xmin = 0.01 \n"))
    with pytest.raises(InputError, match=r"x\.TextGrid: starts at 0\.01 s"):
        read_textgrid(path)


def test_audacity_labels_come_back(tmp_path, words):
    write_audacity(tmp_path / "x.txt", words)
    assert (tmp_path / "x.txt").read_text().splitlines()[0] == "0.020000\t0.060000\tone"
    back = read_audacity(tmp_path / "x.txt", "words", 0.3)
    assert same(back, words)
    assert back.source == {"tool": "Audacity labels", "file": "x.txt"}


def test_a_decimal_comma_of_audacity_is_read(tmp_path):
    (tmp_path / "x.txt").write_text("0,500000\t0,900000\ta click, loud\n")
    tier = read_audacity(tmp_path / "x.txt", "sls", 2.0)
    assert (tier.start_s.tolist(), tier.end_s.tolist(), tier.labels) == ([0.5], [0.9], ("a click, loud",))


def test_audacity_labels_are_put_in_order(tmp_path):
    """A line of frequencies is passed over, and what rounding makes overlap is joined."""
    (tmp_path / "x.txt").write_text("0.5\t0.7\tlater\r\n\\\t100.0\t200.0\r\n0.1\t0.500001\tfirst word\r\n\r\n")
    back = read_audacity(tmp_path / "x.txt", "words", 0.699999)
    assert back.labels == ("first word", "later")
    assert back.changes_s(["first word", "later"]).tolist() == [0.1]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("0.1\t0.2\ta\n0.1 0.2 b\n", "line 2: '0.1 0.2 b' is no label"),
        ("0.1\tx\ta\n", "line 1: .* is no label"),
        ("0.1\t0.1\tpoint\n", "stretch 1 .0.1 to 0.1 s, 'point'"),
        ("0.1\t0.2\t\n", "stretch 1 .* a label is words"),
        ("0.1\t0.3\ta\n0.2\t0.4\tb\n", r"tier 'words': stretch 2 .* begins before"),
        ("0.1\t2.0\ta\n", "end by 1.0 s"),
        ("0.1\t0.2\tä\n", "not a text in UTF-8"),
    ],
)
def test_faulty_audacity_labels_are_named(tmp_path, text, what):
    (tmp_path / "x.txt").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=rf"x\.txt.*{what}"):
        read_audacity(tmp_path / "x.txt", "words", 1.0)
