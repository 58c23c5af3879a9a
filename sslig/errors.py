"""The exceptions of the package: what a caller may catch, by what it has to mend."""


class InputError(ValueError):
    """A file, a row or a value that cannot be used; the message names it, what was found and what is accepted."""


class StudyError(InputError):
    """An experiment file that cannot be used; the message names the file, the key and what is accepted."""


class AudioError(InputError):
    """A sound file that cannot be read; the message names it and says why."""


class CorpusError(InputError):
    """A corpus or a protocol that cannot be used or built; the message names the file and the row."""


class DetectorError(InputError):
    """A detector that cannot be built, loaded or explained; the message says what does not fit."""


class DataError(ValueError):
    """Data that cannot decide what was asked: too few trials, one class only, values that are not finite."""


class PipelineError(RuntimeError):
    """A step of a study that failed; the message names the step, the file and the log."""
