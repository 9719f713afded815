"""What a tenant's people ask for: records, uploads, landings, readiness, exports."""
