"""The steps of a training run up to its fits: plan, data, search and fit."""
