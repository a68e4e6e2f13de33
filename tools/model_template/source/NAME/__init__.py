"""The model NAME."""
