"""Any structure of arrays as one flat vector with labels, and back; knows no function."""
