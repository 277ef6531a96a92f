"""CloudWatch metrics: what the region counts and what clients publish, by the minute."""
