"""Tables and sentences that pages show, made from what the stages of a study give."""
