"""Outcomes matched to scores, drift, and requests for a training off the cadence."""
