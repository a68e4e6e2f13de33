"""The Pulumi resource provider of the local cloud: what a program declares for Google Cloud comes to be here.

Stands in for pulumi-gcp and pulumi-docker-build behind the real engine. Refuses what they would refuse, and says so
where the local cloud cannot do what they can.
"""

from local.provider.serving import Serving, serve_provider

__all__ = ["Serving", "serve_provider"]
