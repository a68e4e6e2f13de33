-- Every purchase before the run date, of every customer: also of those who were first seen after the training.
SELECT
  customer_id,
  purchased_on
FROM example_shop.transactions
WHERE purchased_on < @run_date
ORDER BY customer_id, purchased_on
