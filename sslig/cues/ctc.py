"""Which phones, characters and words a CTC model of Hugging Face hears when."""

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from sslig.cues.phones import PhoneError, known_class, letters
from sslig.cues.tiers import Tier, runs
from sslig.frames import SAMPLE_RATE_HZ, FrameClock

REACH_S = 0.1
"""How far a token reaches beyond the frames that emit it."""

BLANK, DELIMITER = "<blank>", "<delimiter>"


class CTC:
    """A CTC model of phones or characters, its vocabulary and its frame clock.

    A CTC model says in which order tokens come, and roughly when: it emits each in a few frames and a blank between
    them, in the middle of speech. A token therefore reaches halfway to its neighbours, at most `REACH_S` beyond the
    frames that emit it.

    Parameters
    ----------
    model
        A Hugging Face model with a CTC head on a stack of convolutions (wav2vec 2.0, HuBERT, WavLM ...).
    extractor
        Its feature extractor, which normalises waveforms where the model asks for it.
    tokenizer
        Its tokenizer, for the vocabulary only.
    name
        What `Tier.source` says of it.

    Raises
    ------
    PhoneError
        The model has no convolutions that say its frame clock.
    """

    def __init__(self, model: Any, extractor: Any, tokenizer: Any, name: str) -> None:
        try:
            self.clock = FrameClock.from_convolutions(model.config.conv_kernel, model.config.conv_stride)
        except AttributeError as error:
            raise PhoneError(f"{name}: {model.config.model_type!r} is no encoder on convolutions: {error}") from error
        self.model, self.extractor, self.name = model.eval(), extractor, name
        # The tokenizer adds special tokens that the model was never given, behind its last one.
        known = {token: i for token, i in tokenizer.get_vocab().items() if i < model.config.vocab_size}
        self.delimiter = tokenizer.word_delimiter_token if tokenizer.word_delimiter_token in known else None
        silent = set(tokenizer.all_special_tokens) - {self.delimiter}
        self.vocabulary = {i: token for token, i in known.items() if token not in silent}

    @classmethod
    def from_pretrained(cls, name: str | os.PathLike) -> "CTC":
        """A pretrained model, by name on the Hugging Face Hub or from a folder.

        Raises
        ------
        PhoneError
            There is no such model, or its weights do not fill it, as where it was never trained for CTC.
        """
        from transformers import AutoFeatureExtractor, AutoModelForCTC, Wav2Vec2CTCTokenizer

        try:
            model, report = AutoModelForCTC.from_pretrained(name, output_loading_info=True)
            extractor = AutoFeatureExtractor.from_pretrained(name)
            # Also for models of phones, whose own tokenizer asks for a phonemizer that only text needs.
            tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(name)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PhoneError(f"CTC model {str(name)!r} cannot be loaded: {error}") from error
        missing = sorted(key for key in report["missing_keys"] if "masked_spec_embed" not in key)
        if missing:
            raise PhoneError(f"CTC model {str(name)!r} lacks {len(missing)} weights: {', '.join(missing[:5])}")
        return cls(model, extractor, tokenizer, Path(name).name if Path(name).is_dir() else str(name))

    def emissions(self, samples: np.ndarray) -> Tier:
        """The tier ``emissions``: the most likely token of each frame as it is, runs of one token joined.

        `BLANK` stands for whatever is no token of the vocabulary, `DELIMITER` for the word delimiter. This is what the
        release of arXiv 2606.10912 masks by.
        """
        ids, duration_s = self._ids(samples), len(samples) / SAMPLE_RATE_HZ
        first = np.flatnonzero(np.diff(ids, prepend=-1))
        bounds = np.stack([first, np.append(first, len(ids))[1:]], axis=1)  # (run, 2)
        names = self.vocabulary | {i: DELIMITER for i, token in self.vocabulary.items() if token == self.delimiter}
        labels = [names.get(i, BLANK) for i in ids[first].tolist()]
        emitted_s = (self.clock.centre_s(1) - self.clock.hop_s / 2 + bounds * self.clock.hop_s).clip(0, duration_s)
        return self._tier("emissions", *emitted_s.T, labels, duration_s)

    def tokens(self, samples: np.ndarray) -> Tier:
        """The tier ``tokens``: what the model emits for (samples,) at 16 kHz, word delimiters too, blanks not."""
        ids = self._ids(samples)
        first = np.flatnonzero(np.diff(ids, prepend=-1))
        bounds = np.stack([first, np.append(first, len(ids))[1:]], axis=1)
        bounds = bounds[np.isin(ids[first], list(self.vocabulary))]  # (token, 2)
        labels = [self.vocabulary[i] for i in ids[bounds[:, 0]].tolist()]
        duration_s = len(samples) / SAMPLE_RATE_HZ
        emitted_s = self.clock.centre_s(1) - self.clock.hop_s / 2 + bounds * self.clock.hop_s
        return self._tier("tokens", *_widened(emitted_s, duration_s), labels, duration_s)

    def phones(self, samples: np.ndarray) -> Tier:
        """The tier ``phones``: `tokens` that are phones; tokens without a letter (tones, marks) are left out.

        Lower-case characters cannot be told from IPA: a model of characters has no phones, whatever this gives.

        Raises
        ------
        PhoneError
            The vocabulary has tokens with letters and without class, as that of a model of characters.
        """
        phones = {token for token in self.vocabulary.values() if letters(token)}
        unknown = sorted(token for token in phones if known_class(token) is None)
        if unknown:
            raise PhoneError(f"CTC model {self.name!r} has {len(unknown)} tokens that are no phones, such as "
                             f"{' '.join(unknown[:8])}; a model of ARPAbet or IPA phones is needed")  # fmt: skip
        tier = self.tokens(samples)
        kept = tier.has(phones)
        labels = [label for label in tier.labels if label in phones]
        return self._tier("phones", tier.start_s[kept], tier.end_s[kept], labels, tier.duration_s)

    def words(self, samples: np.ndarray) -> Tier:
        """The tier ``words``: `tokens` between word delimiters, joined.

        Raises
        ------
        PhoneError
            The model has no word delimiter.
        """
        if self.delimiter is None:
            raise PhoneError(f"CTC model {self.name!r} has no word delimiter, so it does not say where words end")
        tier = self.tokens(samples)
        bounds = runs(~tier.has([self.delimiter]))  # (word, 2)
        labels = ["".join(tier.labels[first:stop]) for first, stop in bounds]
        return self._tier("words", tier.start_s[bounds[:, 0]], tier.end_s[bounds[:, 1] - 1], labels, tier.duration_s)

    def _ids(self, samples: np.ndarray) -> np.ndarray:
        """(frame,) The most likely token of each frame."""
        import torch

        if self.clock.n_frames(len(samples)) == 0:
            return np.zeros(0, dtype=np.int64)
        values = self.extractor(np.asarray(samples), sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt").input_values
        with torch.inference_mode():
            return self.model(values.to(self.model.device)).logits[0].argmax(dim=-1).cpu().numpy()  # (frame,)

    def _tier(self, name: str, start_s: np.ndarray, end_s: np.ndarray, labels: list[str], duration_s: float) -> Tier:
        source = {"tool": "transformers", "version": version("transformers"), "model": self.name, "reach_s": REACH_S}
        return Tier(name, start_s, end_s, tuple(labels), duration_s, source)


def _widened(bounds_s: np.ndarray, duration_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends of (token, 2) `bounds_s` moved halfway to the neighbours' and to the ends, at most `REACH_S`."""
    start_s, end_s = bounds_s.T
    limit_s = np.concatenate([[0.0], (end_s[:-1] + start_s[1:]) / 2, [duration_s]])  # (token + 1,)
    return np.maximum(start_s - REACH_S, limit_s[:-1]), np.minimum(end_s + REACH_S, limit_s[1:])
