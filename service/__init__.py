"""The part of the product that runs in the image."""
