"""REST APIs: Amazon API Gateway's first API, `apigateway`."""
