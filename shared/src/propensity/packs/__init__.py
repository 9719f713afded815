"""Domains as data: one folder per pack."""
