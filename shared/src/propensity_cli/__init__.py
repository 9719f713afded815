"""The command line of Propensity. It speaks to the API and to the links that the API hands out, and to nothing else."""
