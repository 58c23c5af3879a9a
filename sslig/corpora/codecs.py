"""Speech and audio codecs, applied in memory through PyAV: encode, decode, remove the delay."""

import io
from dataclasses import dataclass

import numpy as np
import soxr

from sslig.errors import AudioError
from sslig.frames import SAMPLE_RATE_HZ


@dataclass(frozen=True)
class Codec:
    """A codec with the `encoder` and `container` that PyAV (FFmpeg) uses for it.

    `delay_samples` is the delay at 16 kHz that the container does not remove itself. `bit_rates` are bits per second by
    quality index, ``codec_q`` 1 first; empty for a codec with one rate. Samples are converted to `rate_hz` and back.
    """

    name: str
    encoder: str
    container: str
    delay_samples: int = 0
    bit_rates: tuple[int, ...] = ()
    rate_hz: int = SAMPLE_RATE_HZ


CODECS = {
    "C01": Codec("Opus", "libopus", "ogg", bit_rates=(8_000, 12_000, 20_000)),
    "C02": Codec("MP3", "libmp3lame", "mp3", bit_rates=(16_000, 32_000, 48_000)),
    # In MP4 and not in ADTS: the edit list of MP4 removes the 1024 samples of encoder delay.
    "C03": Codec("AAC", "aac", "mp4", bit_rates=(16_000, 32_000, 48_000)),
}
"""The codecs of coded trials, by the name in the protocol column ``codec``."""

# 22 samples: the two quadrature mirror filters of ITU-T G.722.
G722 = Codec("G.722", "g722", "g722", delay_samples=22)
# 80 samples: the 5 ms of speech that 3GPP TS 26.090 looks ahead.
AMR_NB = Codec(
    "AMR-NB",
    "libopencore_amrnb",
    "amr",
    delay_samples=80,
    bit_rates=(4_750, 5_150, 5_900, 6_700, 7_400, 7_950, 10_200, 12_200),
    rate_hz=8_000,
)


def apply(samples: np.ndarray, codec: Codec, quality: int = 1) -> np.ndarray:
    """(samples,) float32 at 16 kHz in [-1, 1] after encoding and decoding, aligned with the input and equally long.

    `quality` is the index ``codec_q``, from 1.

    Raises
    ------
    AudioError
        PyAV lacks the encoder, or the codec has no such quality.
    """
    if not 1 <= quality <= max(1, len(codec.bit_rates)):
        raise AudioError(f"{codec.name}: codec_q {quality}; accepted: 1 to {max(1, len(codec.bit_rates))}")
    return transcode(samples, codec, codec.bit_rates[quality - 1] if codec.bit_rates else None)


def transcode(samples: np.ndarray, codec: Codec, bit_rate: int | None = None) -> np.ndarray:
    """`apply` at any bit rate that the encoder accepts, in bits per second; none for a codec with one rate."""
    # Silence after the end keeps the delayed tail inside the input of the encoder.
    padded = np.pad(samples, (0, codec.delay_samples))
    decoded = _decode(_encode(padded, codec, bit_rate), codec)[codec.delay_samples :]
    return np.pad(decoded[: len(samples)], (0, max(0, len(samples) - len(decoded)))).astype(np.float32)


def _encode(samples: np.ndarray, codec: Codec, bit_rate: int | None) -> io.BytesIO:
    import av

    try:
        av.Codec(codec.encoder, "w")
    except ValueError as error:
        encoders = [known.encoder for known in (G722, AMR_NB, *CODECS.values())]
        offered = ", ".join(name for name in encoders if name in av.codecs_available) or "none"
        version = f"PyAV {av.__version__}"
        raise AudioError(f"{codec.name}: {version} has no encoder {codec.encoder!r}; it offers {offered}") from error
    if codec.rate_hz != SAMPLE_RATE_HZ:
        samples = soxr.resample(samples, SAMPLE_RATE_HZ, codec.rate_hz)
    pcm = np.round(np.clip(samples, -1.0, 1.0) * 32767).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts = codec.rate_hz, 0
    coded = io.BytesIO()
    # Muxers stamp random serial numbers and dates; bitexact leaves them out.
    with av.open(coded, "w", format=codec.container, container_options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(codec.encoder, rate=codec.rate_hz, layout="mono")
        if bit_rate:
            stream.bit_rate = bit_rate
        for part in (frame, None):
            container.mux(stream.encode(part))
    coded.seek(0)
    return coded


def _decode(coded: io.BytesIO, codec: Codec) -> np.ndarray:
    import av

    resampler = av.AudioResampler(format="flt", layout="mono", rate=codec.rate_hz)
    with av.open(coded, format=codec.container) as container:
        parts = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    parts += resampler.resample(None)
    decoded = np.concatenate([part.to_ndarray().reshape(-1) for part in parts])
    return decoded if codec.rate_hz == SAMPLE_RATE_HZ else soxr.resample(decoded, codec.rate_hz, SAMPLE_RATE_HZ)
