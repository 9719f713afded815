"""Backtests: what a model would have brought, month by month, trained and judged by what was known."""
