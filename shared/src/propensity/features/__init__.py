"""Features: feature SQL run as of a date, training labels, and the catalogue of features."""
