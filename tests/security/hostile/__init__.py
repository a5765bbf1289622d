"""Bad and hostile input at every door of a running server: refused in words, or closed, and nothing else happens."""
