"""How many customers are still there, and how often they will buy: BG/NBD on dates of purchase.

    python -m customer_value.main --action training|application --config FILE.json

Knows files only: nothing here imports the platform, so the model runs on a laptop as it runs in production.
"""
