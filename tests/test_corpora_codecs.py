import numpy as np
import pytest
from scipy.signal import correlate

from sslig.corpora import codecs, recordings
from sslig.errors import AudioError

SAMPLES = 0.5 * recordings.synthetic(1, 1)[0].sound()
ALL = {**codecs.CODECS, "G.722": codecs.G722}


@pytest.mark.parametrize("code", ALL)
def test_a_codec_keeps_length_and_alignment_and_repeats_itself(code):
    coded = codecs.apply(SAMPLES, ALL[code])
    assert np.array_equal(codecs.apply(SAMPLES, ALL[code]), coded)
    lags = correlate(coded, SAMPLES)
    assert coded.dtype == np.float32
    assert coded.shape == SAMPLES.shape
    # Two samples: the phase of low bit rates is not exact.
    assert abs(int(lags.argmax()) - (len(SAMPLES) - 1)) <= 2
    assert lags.max() / np.sum(SAMPLES**2) > 0.8


@pytest.mark.parametrize("code", codecs.CODECS)
def test_a_higher_quality_index_is_nearer_to_the_original(code):
    errors = [np.sum((codecs.apply(SAMPLES, codecs.CODECS[code], quality) - SAMPLES) ** 2) for quality in (1, 3)]
    assert errors[1] < errors[0]


@pytest.mark.parametrize("length", [1, 159, 161, 4001])
@pytest.mark.parametrize("code", ALL)
def test_any_length_is_kept(code, length):
    assert codecs.apply(SAMPLES[:length], ALL[code]).shape == (length,)


def test_an_encoder_that_pyav_lacks_is_named_with_those_it_has():
    with pytest.raises(AudioError, match=r"Nothing: .*no encoder 'nothing'.*libopus"):
        codecs.apply(SAMPLES, codecs.Codec("Nothing", "nothing", "ogg"))


@pytest.mark.parametrize("quality", [0, 4])
def test_a_wrong_quality_is_named(quality):
    with pytest.raises(AudioError, match=f"Opus: codec_q {quality}; accepted: 1 to 3"):
        codecs.apply(SAMPLES, codecs.CODECS["C01"], quality)
