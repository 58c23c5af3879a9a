"""What can stop a training run."""


class TrainingError(ValueError):
    """A training run that cannot start or go on; the message says what was found and what is needed."""


class Interrupted(TrainingError):
    """A training run that a signal stopped; started again with the same values, it goes on."""
