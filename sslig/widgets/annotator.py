"""The annotator: a page on which people hear utterances and say what is in the regions that detectors point at."""

from typing import Any

import anywidget
import traitlets

from sslig.annotation.store import Store
from sslig.annotation.study import store_path
from sslig.annotation.vocabulary import CUES, LOCALITY, NAME_CHARACTERS, TEXT_CHARACTERS
from sslig.study import Study
from sslig.widgets import annotator_sheet, view
from sslig.widgets.annotator_session import Session


class Annotator(anywidget.AnyWidget):
    """The page of one annotator, of whom it asks the name; every change is in the store before it says "saved".

    Parameters
    ----------
    session
        What answers the browser.
    title
        Of the study.
    """

    words = traitlets.Dict().tag(sync=True)
    """What the page says and allows: title, cues, ends of the scale, most characters."""

    def __init__(self, session: Session, title: str) -> None:
        limits = {"name": NAME_CHARACTERS, "text": TEXT_CHARACTERS}
        words = {"title": title, "cues": list(CUES.items()), "locality": list(LOCALITY), "limits": limits}
        super().__init__(_esm=view.module("annotator"), words=words)
        self.session = session
        self.on_msg(self._heard)

    def _heard(self, _: Any, message: Any, buffers: list[bytes]) -> None:
        self.send(*view.split(self.session.answer(message)))


def annotator(experiment: Study) -> Annotator:
    """The annotator of a study; its sheet is made first where it is not there, which takes what the study lacks."""
    if not annotator_sheet.ready(experiment):
        annotator_sheet.make(experiment)
    store = Store(store_path(experiment))
    session = Session(annotator_sheet.read(experiment), store, experiment.annotation, experiment.corpus.seed)
    return Annotator(session, experiment.name)


def summary(session: Session) -> str:
    """How far the annotation of a study is, as a sentence that tells annotators nothing of the detectors."""
    utterances, annotators = len(session.sheet.utterances), session.store.annotators()
    states = [state for one in annotators for state in session.store.states(one).values()]
    done = sum(bool(state.get("done")) for state in states)
    regions = sum(field.endswith(".cue") for state in states for field in state)
    return (f"**Answer.** {utterances} utterances are to be annotated. So far {_counted(len(annotators), 'annotator')} "
            f"gave {_counted(regions, 'region')} a cue and finished {_counted(done, 'utterance')}.")  # fmt: skip


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
