"""What stands behind methods: functions, other servers, or nothing but an answer."""
