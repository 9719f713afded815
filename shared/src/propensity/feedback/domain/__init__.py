"""Pure rules of feedback: the figures of a matchback, and the rule that asks for a training."""
