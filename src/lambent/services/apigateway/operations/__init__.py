"""The operations of API Gateway's REST APIs, a class per noun; `service` puts them together."""
