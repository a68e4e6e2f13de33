"""The local cloud: loopback servers that answer as Google Cloud does."""
