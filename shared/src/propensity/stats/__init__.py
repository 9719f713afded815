"""Pure figures: statistics with intervals, calibration, ranking, drift and sampling."""
