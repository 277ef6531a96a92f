"""Function URLs: plain HTTP in, payload 2.0 to the function, and its answer back."""
