"""A domain as data: contracts, features and models, and the pack that this stack serves."""
