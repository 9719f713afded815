"""Which states and settings a tenant's record may have, and in which order."""
