"""HTTP APIs: the second API of Amazon API Gateway, `apigatewayv2`."""
