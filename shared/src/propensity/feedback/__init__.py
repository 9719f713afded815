"""The feedback on scores: outcomes matched to scores, drift checks, and requests for a training off the cadence."""
