-- Every purchase before the run date: a repetition for the same date sees the same days.
SELECT
  customer_id,
  purchased_on
FROM example_shop.transactions
WHERE purchased_on < @run_date
ORDER BY customer_id, purchased_on
