"""The steps of a training run up to the fitted candidates: plan, data, search and fit."""
