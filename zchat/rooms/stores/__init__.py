"""Where publications survive: the contract in `base`, one module for each store."""
