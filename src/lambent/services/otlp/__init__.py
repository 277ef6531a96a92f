"""Spans of invocations for an OpenTelemetry collector, where the operator names one."""
