"""The Telemetry API (2022-07-01) and the older Logs API (2020-08-15): what extensions may hear of their environment."""
