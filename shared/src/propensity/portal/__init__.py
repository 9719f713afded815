"""The questions and requests of a tenant's people: records, uploads, landings, readiness, exports."""
