"""Corpora and what feeds a detector from them: recordings, attacks, codecs, data sets, augmentation."""
