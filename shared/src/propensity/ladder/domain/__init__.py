"""Evidence for a rung, the choice, and its words."""
