"""Settings, composition and error policy of the deployed functions."""
