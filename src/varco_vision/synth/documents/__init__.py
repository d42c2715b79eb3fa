"""Pages of paper: letters, notices, articles, receipts, forms, price lists and name cards."""
