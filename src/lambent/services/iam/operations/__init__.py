"""AWS operations, one method each, split by the noun they are about. Thin: rules live in the modules beside."""
