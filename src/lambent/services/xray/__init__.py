"""X-Ray: segments that programs and Lambda itself report, kept as traces, summed up and searched."""
