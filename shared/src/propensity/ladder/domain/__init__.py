"""Pure rules of the ladder: the evidence for a rung, the choice of a rung, and the reason in words."""
