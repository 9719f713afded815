"""The states and settings that a tenant's record may have, and the order of the states."""
