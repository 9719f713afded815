"""A training run: plan, data, search and fit."""
