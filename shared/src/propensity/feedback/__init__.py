"""The feedback on scores: outcomes are matched to scores, drift is checked, and trainings off the cadence are
requested.
"""
