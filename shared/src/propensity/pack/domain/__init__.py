"""Contracts, features and models as values, and what makes a pack file wrong."""
