"""Who is to be erased, what names them, and what the record says."""
