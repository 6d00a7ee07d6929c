"""Who may call the public API, and what they may do with devices."""
