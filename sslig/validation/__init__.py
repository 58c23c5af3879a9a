"""Whether explanations are right: planted truth, faithfulness to the score, and checks of sanity."""
