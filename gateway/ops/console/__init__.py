"""The web page for ops and support: read-only, rendered on the server, no script."""
