"""Several small files in one task: their list, their outcomes, and the processes that convert them."""
