"""What a tenant's record may say."""
