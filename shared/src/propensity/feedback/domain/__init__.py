"""Matchback figures and the rule that asks for a training."""
