"""Tables of utterances: readers of known layouts, and builders of corpora."""
